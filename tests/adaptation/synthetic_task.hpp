#pragma once

#include <cstddef>
#include <cstdint>

#include "workload/synthesis.hpp"

namespace gem::test {

/// Another task for another seed: 32 experts, top 4.
inline LoadTrace synthetic_task(std::uint64_t seed, std::size_t steps, std::int32_t layers = 4) {
  SynthesisOptions options;
  options.expert_count = 32;
  options.top_k = 4;
  options.layer_ids.clear();
  for (std::int32_t layer = 0; layer < layers; ++layer) options.layer_ids.push_back(layer);
  options.steps = steps;
  options.seed = seed;
  return synthesize_trace(options);
}

}  // namespace gem::test
