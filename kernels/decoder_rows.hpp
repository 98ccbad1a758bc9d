// What a decoder layer does with each token's row beside its products (formulas in decoder_rows.cu). Device pointers,
// bf16, row-major, 16-byte aligned; launchers only enqueue on `stream` and return the launch's error.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace gem::kernels {

/// output[t] = input[t] / sqrt(mean of squares + 1e-6), [rows, columns] both; `columns` is a multiple of 8.
cudaError_t launch_rms_norm(const void* input, std::int64_t rows, int columns, void* output, cudaStream_t stream);

/// The top_k largest of each row of `logits` [rows, experts] by falling value, ties by the lower index: `ids` [rows,
/// top_k] and `weights` [rows, top_k], their softmax. At most 1024 experts and 32 of them a row.
cudaError_t launch_top_k(const void* logits, std::int64_t rows, int experts, int top_k, std::int32_t* ids,
                         float* weights, cudaStream_t stream);

}  // namespace gem::kernels
