// Variants for 16 and 32 tokens per tile: bound by memory, so what counts is bytes in flight.
#include "grouped_ffn_sm90.cuh"

namespace gem::kernels {

FfnVariants ffn_variants_few_tokens() {
  static const FfnVariant variants[] = {
      ffn_variant<FfnTile<16, 1, 1, 2, 5, 1, 2>>("16: 64 rows x 2 slices x 5 stages x 2 blocks"),
      ffn_variant<FfnTile<16, 1, 1, 2, 10>>("16: 64 rows x 2 slices x 10 stages"),
      ffn_variant<FfnTile<16, 2, 1, 1, 5, 1, 2>>("16: 128 rows x 5 stages x 2 blocks"),
      ffn_variant<FfnTile<16, 1, 2, 2, 5>>("16: 128 rows x 2 slices x 5 stages"),
      ffn_variant<FfnTile<32, 1, 1, 2, 4, 1, 2>>("32: 64 rows x 2 slices x 4 stages x 2 blocks"),
      ffn_variant<FfnTile<32, 2, 1, 1, 4, 1, 2>>("32: 128 rows x 4 stages x 2 blocks"),
      ffn_variant<FfnTile<32, 1, 1, 2, 8>>("32: 64 rows x 2 slices x 8 stages"),
      ffn_variant<FfnTile<32, 1, 2, 2, 4>>("32: 128 rows x 2 slices x 4 stages"),
  };
  return {variants, static_cast<int>(sizeof(variants) / sizeof(variants[0]))};
}

}  // namespace gem::kernels
