#include "mapping/shared_experts.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>

#include "base/table.hpp"
#include "base/text.hpp"
#include "cost/device_loads.hpp"
#include "search/packing.hpp"
#include "search/run_time_balance.hpp"

namespace gem {
namespace {

// Routed experts where the mapping has them, shared ones behind them on all devices.
ExpertHomes homes_with_shared(const Mapping& mapping, std::size_t layer, std::size_t shared_experts,
                              std::size_t devices) {
  const auto row = mapping.expert_to_device.row(layer);
  std::vector<std::int32_t> first(row.begin(), row.end());
  std::vector<RedundantCopy> further;
  for (std::size_t shared = 0; shared < shared_experts; ++shared) {
    for (std::size_t d = 1; d < devices; ++d)
      further.push_back({static_cast<std::int32_t>(first.size()), static_cast<std::int32_t>(d)});
    first.push_back(0);
  }
  return {first, further};
}

double slowest_s(const CostModel& model, std::span<const std::uint32_t> tokens, const ExpertHomes& homes) {
  std::vector<DeviceLoad> loads(model.device_count());
  sum_loads(tokens, homes, model.latencies().rules(), loads);
  double slowest = 0.0;
  for (std::size_t d = 0; d < loads.size(); ++d)
    if (loads[d].tokens > 0) slowest = std::max(slowest, model.stage(profiled_stage).seconds(d, loads[d]));
  return slowest;
}

}  // namespace

SharedScore score_shared(const CostModel& model, const LoadTrace& trace, const Mapping& mapping,
                         std::size_t shared_experts) {
  SharedScore score;
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    const ExpertHomes homes = homes_with_shared(mapping, layer, shared_experts, model.device_count());
    const std::vector<double> speeds = relative_speeds(model.latencies(), trace, layer);
    for (std::size_t step = 0; step < trace.step_count(); ++step) {
      const auto row = trace.counts.row(step, layer);
      std::vector<std::uint32_t> tokens(row.begin(), row.end());
      tokens.insert(tokens.end(), shared_experts, static_cast<std::uint32_t>(row_count(row) / trace.top_k));
      const auto seconds = [&](CopySplit split) {
        return slowest_s(model, tokens, homes_of_shares(split_shares(tokens, homes, speeds, split), tokens.size()));
      };
      score.own_s += seconds(CopySplit::Even) / static_cast<double>(trace.step_count());
      score.placed_s += seconds(CopySplit::Lp) / static_cast<double>(trace.step_count());
    }
  }
  return score;
}

SharedTable shared_table(const MappingQuestion& question, const std::vector<Mapping>& mappings,
                         std::size_t shared_experts) {
  const LoadTrace& trace = question.test ? *question.test : question.train;
  CostOptions routed_alone = question.cost;
  routed_alone.shared_tokens = 0.0;  // they are loads here
  const CostModel model(question.profile, routed_alone);
  Table table({{"method", ""}, {"own tokens", "ms/step"}, {"placed", "ms/step"}, {"", "of own"}});
  SharedTable result;
  for (const Mapping& mapping : mappings) {
    if (mapping.redundant_count() > 0) continue;
    const SharedScore score = score_shared(model, trace, mapping, shared_experts);
    table.add_row({mapping.method, fmt::format("{:.4f}", score.own_s * 1e3),
                   fmt::format("{:.4f}", score.placed_s * 1e3), fmt::format("{:.3f}", score.placed_s / score.own_s)});
    result.records.push_back(
        JsonRecord().add("method", mapping.method).add("own_s", score.own_s).add("placed_s", score.placed_s));
  }
  if (result.records.empty()) return result;
  result.text = "\n" +
                wrap(fmt::format(
                    "With {} of the routed experts' size on every device: each device computing those of its own "
                    "tokens, or their tokens put on the least loaded devices, step by step, by speed. Compute alone "
                    "of the {}; rows that are sent for it aren't counted.",
                    counted(shared_experts, "shared expert"), question.test ? "steps scored" : "steps searched on")) +
                "\n\n" + table.to_string();
  return result;
}

}  // namespace gem
