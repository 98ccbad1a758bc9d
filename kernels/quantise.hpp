// bf16 to e4m3 with f32 scales (formulas in quantise.cu), in the layout that the grouped FFN reads. Device pointers,
// 16-byte aligned; launchers only enqueue on `stream` and return the launch's error (cudaErrorInvalidValue for
// arguments that can't be served).
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace gem::kernels {

/// Tokens: one scale for each row and 128 columns. values [rows, columns] bf16, quantised [rows, columns] e4m3, scales
/// [columns / 128, scale_stride], see token_scale_stride(); columns % 128 == 0.
cudaError_t launch_quantise_rows(const void* values, std::int64_t rows, int columns, void* quantised, float* scales,
                                 std::int64_t scale_stride, cudaStream_t stream);

/// Weights: one scale for each block of 128 x 128. values [rows, columns] bf16, quantised [rows, columns] e4m3, scales
/// [rows / 128, columns / 128]; both sizes % 128 == 0. Matrices that follow each other can be given as one.
cudaError_t launch_quantise_weights(const void* values, std::int64_t rows, int columns, void* quantised, float* scales,
                                    cudaStream_t stream);

}  // namespace gem::kernels
