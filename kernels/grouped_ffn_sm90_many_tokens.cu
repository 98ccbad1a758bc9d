// Variants for 128 and 256 tokens per tile: bound by arithmetic once experts are busy. The more rows and tokens a tile
// has, the fewer bytes go from L2 to the multiprocessors: 128 x 128 is at its end there with more than about 384 tokens
// an expert, but shares out better with fewer. Clusters halve the token traffic of 256-token tiles.
#include "grouped_ffn_sm90.cuh"

namespace gem::kernels {

FfnVariants ffn_variants_many_tokens() {
  static const FfnVariant variants[] = {
      ffn_variant<FfnTile<128, 1, 2, 1, 6>>("128: 128 weight rows, 64 deep, 6 stages"),
      ffn_variant<FfnTile<128, 2, 2, 1, 4>>("128: 256 weight rows, 64 deep, 4 stages", 384.0),
      ffn_variant<FfnTile<256, 1, 2, 1, 4, 2>>("256: 128 weight rows, 64 deep, 4 stages, clusters of 2"),
      ffn_variant<FfnTile<256, 1, 2, 1, 4>>("256: 128 weight rows, 64 deep, 4 stages"),
  };
  return {variants, static_cast<int>(sizeof(variants) / sizeof(variants[0]))};
}

}  // namespace gem::kernels
