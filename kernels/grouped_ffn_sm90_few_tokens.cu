// Variants for 16 and 32 tokens per tile: bound by memory, so what counts is bytes in flight.
#include "grouped_ffn_sm90.cuh"

namespace gem::kernels {

FfnVariants ffn_variants_few_tokens() {
  static const FfnVariant variants[] = {
      ffn_variant<FfnTile<16, 1, 2, 1, 11, 1>>("16: 128 rows, 1 slice, 11 stages"),
      ffn_variant<FfnTile<16, 1, 2, 2, 5, 1>>("16: 128 rows, 2 slices, 5 stages"),
      ffn_variant<FfnTile<16, 1, 1, 2, 10, 1>>("16: 64 rows, 2 slices, 10 stages"),
      ffn_variant<FfnTile<16, 2, 2, 1, 5, 1>>("16: 256 rows, 1 slice, 5 stages"),
      ffn_variant<FfnTile<16, 1, 1, 2, 5, 1>>("16: 64 rows, 2 slices, 5 stages, 2 blocks"),
      ffn_variant<FfnTile<32, 1, 2, 1, 9, 1>>("32: 128 rows, 1 slice, 9 stages"),
      ffn_variant<FfnTile<32, 1, 1, 2, 8, 1>>("32: 64 rows, 2 slices, 8 stages"),
      ffn_variant<FfnTile<32, 1, 2, 2, 4, 1>>("32: 128 rows, 2 slices, 4 stages"),
  };
  return {variants, static_cast<int>(sizeof(variants) / sizeof(variants[0]))};
}

}  // namespace gem::kernels
