// Data that can be predicted exactly, and random data for measuring (formulas in pattern.cu). Device pointers;
// launchers only enqueue on `stream` and return the launch's error.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace gem::kernels {

/// The word that launch_pattern_fill writes at `index`: the same on host and device.
std::uint32_t pattern_word(std::uint64_t index, std::uint32_t seed);

/// words[i] = pattern_word(i, seed) for i < count; words 4-byte aligned.
cudaError_t launch_pattern_fill(std::uint32_t* words, std::size_t count, std::uint32_t seed, cudaStream_t stream);

/// Adds to *mismatches (device, u64; the caller zeroes it) the number of i < count with words[i] != pattern_word(i,
/// seed).
cudaError_t launch_pattern_check(const std::uint32_t* words, std::size_t count, std::uint32_t seed,
                                 unsigned long long* mismatches, cudaStream_t stream);

/// Fills `count` bf16 with values uniform in [-amplitude, amplitude), from a hash of (index, seed): measuring on zeros
/// or constants flatters a GPU, because less switches and the clock stays higher.
cudaError_t launch_random_bf16(void* values, std::size_t count, float amplitude, std::uint32_t seed,
                               cudaStream_t stream);

}  // namespace gem::kernels
