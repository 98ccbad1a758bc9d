// Variants for fp8 operands: 256 weight rows, one stage a block of scales, as many stages as fit. Two warpgroups of 128
// rows, with 128 tokens a tile two of 64 tokens, take turns at the tensor cores. Tokens per tile end at 128: the sums,
// and beside them the product of a slab, are in registers.
#include "grouped_ffn_sm90.cuh"

namespace gem::kernels {

FfnVariants ffn_variants_fp8() {
  static const FfnVariant variants[] = {
      ffn_variant<FfnTile<16, 2, 2, 1, 6, 1, 1, FfnType::fp8>>("16: fp8, 256 weight rows, 6 stages"),
      ffn_variant<FfnTile<32, 2, 2, 1, 5, 1, 1, FfnType::fp8>>("32: fp8, 256 weight rows, 5 stages"),
      ffn_variant<FfnTile<64, 2, 2, 1, 4, 1, 1, FfnType::fp8>>("64: fp8, 256 weight rows, 4 stages"),
      ffn_variant<FfnTile<128, 2, 2, 1, 4, 1, 1, FfnType::fp8>>("128: fp8, 256 weight rows, 4 stages"),
  };
  return {variants, static_cast<int>(sizeof(variants) / sizeof(variants[0]))};
}

}  // namespace gem::kernels
