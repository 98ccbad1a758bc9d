// Variants for 16 and 32 tokens per tile: bound by memory. What counts is bytes in flight and tiles small enough to
// share out: 64 weight rows, so that a layer of few big experts still gives every multiprocessor work (Mixtral-8x7B, 2
// experts: the second product has 128 tiles, with 128 rows it would be 64, and 5 to 8 % slower, seen on an H100). Two
// blocks a multiprocessor: one's stores hide behind the other's copies.
#include "grouped_ffn_sm90.cuh"

namespace gem::kernels {

FfnVariants ffn_variants_few_tokens() {
  static const FfnVariant variants[] = {
      ffn_variant<FfnTile<16, 1, 1, 2, 5, 1, 2>>("16: 64 weight rows, 128 deep, 5 stages, 2 blocks a multiprocessor"),
      ffn_variant<FfnTile<32, 1, 1, 2, 4, 1, 2>>("32: 64 weight rows, 128 deep, 4 stages, 2 blocks a multiprocessor"),
  };
  return {variants, static_cast<int>(sizeof(variants) / sizeof(variants[0]))};
}

}  // namespace gem::kernels
