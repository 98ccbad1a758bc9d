#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "model/mapping.hpp"
#include "search/redundant_experts.hpp"
#include "search/score.hpp"

namespace gem {

/// Layers to place the experts of, or, where there are any, their copies.
std::vector<LayerProblem> problems_of(const CostModel& model, const LoadTrace& trace, const CopyCounts& copies);

/// What no mapping is below, [layer], mean seconds a step.
struct LowerBounds {
  std::vector<double> layer_s;     ///< of all stages
  std::vector<double> profiled_s;  ///< of the profiled stage
};

/// What mappings, with copies or without, cost on the steps of one trace, which must outlive it.
class MappingCosts {
 public:
  MappingCosts(CostModel model, const LoadTrace& trace);

  const CostModel& model() const { return model_; }
  /// Made once for the copies of each mapping; [layer].
  const std::vector<LayerProblem>& problems(const CopyCounts& copies);
  Score score(const Mapping& mapping);
  /// [layer] mean seconds a step of one stage.
  std::vector<double> stage_s(const Mapping& mapping, std::size_t stage);
  /// Ticks, summed over columns, of one layer.
  std::int64_t cost(const Mapping& mapping, std::size_t layer);
  /// Of mappings with as many slots a device as `like` has, whichever experts have its copies, if any.
  LowerBounds lower_bounds(const Mapping& like);

 private:
  struct Entry {
    CopyCounts copies;
    std::vector<LayerProblem> problems;
  };
  CostModel model_;
  const LoadTrace* trace_;
  std::deque<Entry> entries_;  // references to them stay valid
};

}  // namespace gem
