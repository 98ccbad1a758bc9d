#pragma once

#include <cstddef>
#include <vector>

#include "cost/cost_model.hpp"
#include "cost/device_loads.hpp"
#include "model/expert_copies.hpp"
#include "model/load_trace.hpp"
#include "model/topology.hpp"
#include "search/run_time_balance.hpp"

namespace gem {

/// What copies of experts that are made at run time cost.
struct CopyPrice {
  Topology topology{};  ///< without links copies are predicted to take no time
  double expert_bytes = 0.0;
};

/// Where the tokens of a trace go under a mapping: as it says, or as is decided in every step.
class StepHomes {
 public:
  /// `homes` [layer] of the mapping; `model` and `trace` must outlive it.
  StepHomes(std::vector<ExpertHomes> homes, const RunTimeOptions& decided, const CostModel& model,
            const LoadTrace& trace, const CopyPrice& price);

  /// Whether anything is decided in steps; and whether experts are copied in them.
  bool is_decided() const { return decided_.online_exact || decided_.split != CopySplit::Even; }
  bool sends_experts() const { return decided_.online_exact; }
  /// Of one step; valid until the next call.
  const ExpertHomes& at(std::size_t step, std::size_t layer);
  /// The same as tokens of experts and devices; where nothing is decided, empty.
  const std::vector<ExpertShare>& shares_at(std::size_t step, std::size_t layer);
  /// When copies are there, as far as links are known.
  CopyTimes copies_at(std::size_t step, std::size_t layer);
  /// [layer] all devices that hold an expert in any step.
  std::vector<ExpertHomes> ever();
  /// [step, layer, device] seconds of a device's experts, copies included.
  Cube<double> predict();
  HomesAt homes_at() {
    return [this](std::size_t step, std::size_t layer) -> const ExpertHomes& { return at(step, layer); };
  }

 private:
  std::vector<ExpertHomes> homes_;  // [layer]
  RunTimeOptions decided_;
  const CostModel* model_;
  const LoadTrace* trace_;
  CopyPrice price_;
  std::vector<std::vector<double>> speeds_;  // [layer][device]
  std::vector<ExpertShare> shares_;          // of the last step asked for
  ExpertHomes now_;                          // likewise
};

}  // namespace gem
