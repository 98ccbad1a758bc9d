// Permute tokens to expert order and back (formulas in permute.cu). All pointers are device pointers; launchers only
// enqueue on `stream` and return the launch's error (cudaErrorInvalidValue for arguments that can't be served).
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace gem::kernels {

/// permuted[row_map[t, j]] = input[t]. row_map [tokens, top_k] i32, -1 where the expert isn't here; input [tokens,
/// hidden] bf16, permuted [rows, hidden] bf16; hidden % 8 == 0, both 16-byte aligned. Rows that no (token, choice) maps
/// to are left alone.
cudaError_t launch_permute(const void* input, const std::int32_t* row_map, std::int64_t tokens, int top_k, int hidden,
                           void* permuted, cudaStream_t stream);

/// output[t] = sum_j weights[t, j] * permuted[row_map[t, j]], summed in f32 in the order of j, choices with row -1 left
/// out. permuted [rows, hidden] bf16, weights [tokens, top_k] f32, output [tokens, hidden] bf16; hidden % 8 == 0,
/// 16-byte aligned.
cudaError_t launch_unpermute(const void* permuted, const std::int32_t* row_map, const float* weights,
                             std::int64_t tokens, int top_k, int hidden, void* output, cudaStream_t stream);

}  // namespace gem::kernels
