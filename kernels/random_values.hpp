// Random data for measuring (formula in random_values.cu). Device pointers; the launcher only enqueues on `stream` and
// returns the launch's error.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace gem::kernels {

/// Fills `count` bf16 with values uniform in [-amplitude, amplitude), from a hash of (index, seed): measuring on zeros
/// or constants flatters a GPU, because less switches and the clock stays higher.
cudaError_t launch_random_bf16(void* values, std::size_t count, float amplitude, std::uint32_t seed,
                               cudaStream_t stream);

}  // namespace gem::kernels
