// Variants for 64 tokens per tile and more: from 128 on bound by arithmetic once experts are busy.
#include "grouped_ffn_sm90.cuh"

namespace gem::kernels {

FfnVariants ffn_variants_many_tokens() {
  static const FfnVariant variants[] = {
      ffn_variant<FfnTile<64, 1, 2, 1, 8, 1>>("64: 128 rows, 8 stages"),
      ffn_variant<FfnTile<64, 2, 2, 1, 5, 1>>("64: 256 rows, 5 stages"),
      ffn_variant<FfnTile<128, 2, 2, 1, 4, 1>>("128: 256 rows, 4 stages"),
      ffn_variant<FfnTile<128, 2, 2, 1, 4, 2>>("128: 256 rows, 4 stages, cluster of 2"),
      ffn_variant<FfnTile<128, 1, 2, 1, 6, 1>>("128: 128 rows, 6 stages"),
      ffn_variant<FfnTile<256, 1, 2, 1, 4, 1>>("256: 128 rows, 4 stages"),
      ffn_variant<FfnTile<256, 1, 2, 1, 4, 2>>("256: 128 rows, 4 stages, cluster of 2"),
  };
  return {variants, static_cast<int>(sizeof(variants) / sizeof(variants[0]))};
}

}  // namespace gem::kernels
