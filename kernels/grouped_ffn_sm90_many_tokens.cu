// Variants for 64 tokens per tile and more: bound by memory while experts have few tokens, by arithmetic once they are
// busy. The more rows and tokens a tile has, the fewer bytes go from L2 to the multiprocessors; the fewer, the better
// the tiles share out. 128 x 128 is at its end with more than about 384 tokens an expert. 64 weight rows with 64 tokens
// are as fast on even loads, but a hot expert among cold ones then costs up to 10 % more than its tiles say. Clusters
// halve the token traffic of 256-token tiles.
#include "grouped_ffn_sm90.cuh"

namespace gem::kernels {

FfnVariants ffn_variants_many_tokens() {
  static const FfnVariant variants[] = {
      ffn_variant<FfnTile<64, 1, 2, 1, 8>>("64: 128 weight rows, 64 deep, 8 stages"),
      ffn_variant<FfnTile<128, 1, 2, 1, 6>>("128: 128 weight rows, 64 deep, 6 stages"),
      ffn_variant<FfnTile<128, 2, 2, 1, 4>>("128: 256 weight rows, 64 deep, 4 stages", 384.0),
      ffn_variant<FfnTile<256, 1, 2, 1, 4, 2>>("256: 128 weight rows, 64 deep, 4 stages, clusters of 2"),
      ffn_variant<FfnTile<256, 1, 2, 1, 4>>("256: 128 weight rows, 64 deep, 4 stages"),
  };
  return {variants, static_cast<int>(sizeof(variants) / sizeof(variants[0]))};
}

}  // namespace gem::kernels
