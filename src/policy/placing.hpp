#pragma once

#include <cstddef>
#include <cstdint>

#include "base/array.hpp"
#include "cost/cost_model.hpp"
#include "model/load_trace.hpp"

namespace gem {

/// Where a model's experts are, what was routed lately, and what moving them takes.
struct PlacingQuestion {
  LoadTrace searched;            ///< steps that placements are searched on
  LoadTrace judged;              ///< steps that they are judged by; may be the same
  Matrix<std::int32_t> present;  ///< [layer, slot] expert; empty: nothing is placed yet
  std::size_t slots_per_device = 0;
  std::size_t max_moves = SIZE_MAX;        ///< of a layer
  std::size_t max_total_moves = SIZE_MAX;  ///< of all layers together
  double move_s = 0.0;                     ///< of one expert
  double horizon_steps = 1.0;
  std::size_t iterations = 0;  ///< of the search beyond the first local optimum
  std::uint64_t seed = 1;
};

struct PlacingAnswer {
  Matrix<std::int32_t> map;  ///< [layer, slot] expert
  std::size_t moves = 0;
  std::size_t changed_layers = 0;
  double present_s = 0.0;  ///< of a mean judged step, all layers; of linear placement where nothing is placed yet
  double placed_s = 0.0;
};

/// The placement that takes the least time over the horizon, moves included. Every layer keeps the present one unless
/// its gain in the judged steps pays for its moves; without a present one, whatever is best on the searched steps. The
/// answer depends on the arguments alone. DataError for a present map that cannot be, UsageError for loads that cannot
/// be searched on.
PlacingAnswer place_experts(const CostModel& model, const PlacingQuestion& question);

}  // namespace gem
