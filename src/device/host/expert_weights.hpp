#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/ids.hpp"

namespace gem {

/// The three matrices of an expert.
enum class ExpertMatrix : std::uint64_t { Gate = 0, Up = 1, Down = 2 };

/// Fills the weights of one matrix: a function of (seed, layer, expert, matrix) alone, so that an expert computes the
/// same on whatever device it lives. Uniform with mean 0 and variance 1 / fan_in, which keeps activations near 1.
void fill_expert_weights(std::uint64_t seed, std::size_t layer, ExpertId expert, ExpertMatrix matrix,
                         std::size_t fan_in, std::span<float> weights);

/// Uniform with mean 0 and variance 1: random rows to measure on.
void fill_random_rows(std::uint64_t seed, std::span<float> rows);

}  // namespace gem
