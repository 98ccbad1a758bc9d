#include "cost/cost_tables.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <stdexcept>

#include "base/error.hpp"

namespace gem {
namespace {

// Tables of more entries than this (1 GiB over all devices) mean that the trace is not what it should be.
constexpr std::size_t max_entries = std::size_t{1} << 28;

}  // namespace

CostTables::CostTables(const CostModel& model, const std::vector<std::vector<StageKeys>>& stages)
    : device_count_(model.device_count()) {
  const auto add_table = [&](std::vector<StageTable>& tables, const StageKeys& keys, bool is_linear) {
    const std::size_t key_count = static_cast<std::size_t>(keys.max_key) + 1;
    if (entry_count_ + key_count > max_entries / device_count_)
      throw UsageError(
          fmt::format("a device may get a load of {} in one step, too large for a table over {} devices; use smaller "
                      "steps (fewer tokens a step)",
                      keys.max_key, device_count_));
    tables.push_back({keys.keys, static_cast<std::int32_t>(entry_count_), key_count, is_linear});
    entry_count_ += key_count;
  };
  for (const std::vector<StageKeys>& stage : stages) {
    std::vector<StageTable>& tables = stages_.emplace_back();
    for (const StageKeys& keys : stage) add_table(tables, keys, false);
    if (stage.empty()) add_table(tables, {}, true);
    if (stage.size() > 1) choose_planes(tables);
  }
  while (first_node_stage_ < stages.size() && model.stage(first_node_stage_).nodes().empty()) ++first_node_stage_;
  if (first_node_stage_ < stages.size()) {
    const std::span<const std::int32_t> nodes = model.stage(first_node_stage_).nodes();
    node_of_.assign(nodes.begin(), nodes.end());
  }
  std::vector<double> seconds(device_count_ * entry_count_, 0.0);
  for (std::size_t d = 0; d < device_count_; ++d)
    for_each_key([&](std::size_t s, const LoadKeys& keys, std::size_t entry, std::int32_t key) {
      seconds[d * entry_count_ + entry] = model.stage(s).even_s(d, keys, key);
    });
  const double max_s = *std::max_element(seconds.begin(), seconds.end());
  tick_s_ = 1e-9 * std::max(1.0, std::ceil(max_s / 1e-9 / 2e9));
  ticks_.resize(seconds.size());
  std::ranges::transform(seconds, ticks_.begin(), [&](double s) { return ticks_of(s); });
  for (std::size_t s = 0; s < stages.size(); ++s)
    for (const StageKeys& keys : stages[s]) model.stage(s).check_table(keys.keys, keys.max_key, max_s);

  std::vector<std::int32_t> added(entry_count_, 0);  // by the experts of even loads
  for_each_key([&](std::size_t s, const LoadKeys& keys, std::size_t entry, std::int32_t key) {
    added[entry] = ticks_of(model.stage(s).even_added_s(keys, key));
  });
  if (std::ranges::all_of(added, [](std::int32_t ticks) { return ticks == 0; })) return;
  even_ticks_ = ticks_;
  for (std::size_t d = 0; d < device_count_; ++d)
    for (std::size_t entry = 0; entry < entry_count_; ++entry) ticks_[d * entry_count_ + entry] -= added[entry];
}

// Calls visit(stage, keys, entry of the first device, key) for every key above 0 of the stages that have any.
template <class Visit>
void CostTables::for_each_key(const Visit& visit) const {
  for (std::size_t s = 0; s < stages_.size(); ++s)
    for (const StageTable& table : stages_[s])
      for (std::int32_t key = 1; key < static_cast<std::int32_t>(table.key_count); ++key)
        visit(s, table.keys, static_cast<std::size_t>(table.first_entry + key), key);
}

// Tables in the same tile have the same keys, and so one plane, whose keys begin at the first of these tables.
void CostTables::choose_planes(const std::vector<StageTable>& tables) {
  if (!choices_.empty()) throw std::logic_error("two stages of a layer choose tables by rows");
  plane_units_.assign(1, tables[0].keys.unit_tokens);
  for (std::size_t tile = 1; tile < tables.size(); ++tile) {
    const LoadKeys& keys = tables[tile].keys;
    const auto found = std::ranges::find(plane_units_, keys.unit_tokens);
    const auto plane = static_cast<std::int32_t>(found - plane_units_.begin());
    if (found == plane_units_.end()) plane_units_.push_back(keys.unit_tokens);
    choices_.push_back({static_cast<std::int32_t>(std::min<std::int64_t>(keys.rows_from - 1, INT32_MAX)), plane,
                        tables[tile].first_entry - tables[0].first_entry});
  }
}

}  // namespace gem
