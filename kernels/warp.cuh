// Small warp-wide helpers.
#pragma once

namespace gem::kernels {

/// Sum of `value` over the 32 lanes, in every lane. Shuffles, not redux: redux needs compute capability 8.0.
__device__ __forceinline__ int warp_sum(int value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

/// Inclusive prefix sum of `value` over the lanes.
__device__ __forceinline__ int warp_inclusive_sum(int value, int lane) {
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    const int lower = __shfl_up_sync(0xffffffffu, value, static_cast<unsigned>(step));
    if (lane >= step) value += lower;
  }
  return value;
}

}  // namespace gem::kernels
