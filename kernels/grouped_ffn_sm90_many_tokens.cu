// Variants for 64 tokens per tile and more: from 128 on bound by arithmetic once experts are busy.
#include "grouped_ffn_sm90.cuh"

namespace gem::kernels {

FfnVariants ffn_variants_many_tokens() {
  static const FfnVariant variants[] = {
      ffn_variant<FfnTile<64, 1, 2, 1, 8>>("64: 128 rows x 8 stages"),
      ffn_variant<FfnTile<64, 1, 1, 1, 6, 1, 2>>("64: 64 rows x 6 stages x 2 blocks"),
      ffn_variant<FfnTile<64, 2, 1, 1, 4, 1, 2>>("64: 128 rows x 4 stages x 2 blocks"),
      ffn_variant<FfnTile<64, 2, 2, 1, 5>>("64: 256 rows x 5 stages"),
      ffn_variant<FfnTile<128, 1, 2, 1, 6>>("128: 128 rows x 6 stages"),
      ffn_variant<FfnTile<128, 1, 2, 1, 6, 2>>("128: 128 rows x 6 stages x cluster of 2"),
      ffn_variant<FfnTile<128, 2, 1, 1, 3, 1, 2>>("128: 128 rows x 3 stages x 2 blocks"),
      ffn_variant<FfnTile<128, 2, 2, 1, 4>>("128: 256 rows x 4 stages"),
      ffn_variant<FfnTile<128, 2, 2, 1, 4, 2>>("128: 256 rows x 4 stages x cluster of 2"),
      ffn_variant<FfnTile<256, 1, 2, 1, 4>>("256: 128 rows x 4 stages"),
      ffn_variant<FfnTile<256, 1, 2, 1, 4, 2>>("256: 128 rows x 4 stages x cluster of 2"),
  };
  return {variants, static_cast<int>(sizeof(variants) / sizeof(variants[0]))};
}

}  // namespace gem::kernels
