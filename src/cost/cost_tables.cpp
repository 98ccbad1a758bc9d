#include "cost/cost_tables.hpp"

#include <fmt/core.h>
#include <algorithm>

#include "base/error.hpp"

namespace gem {
namespace {

// Tables of more entries than this (1 GiB over all devices) mean that the trace is not what it should be.
constexpr std::size_t max_entries = std::size_t{1} << 28;

}  // namespace

CostTables::CostTables(const CostModel& model, const std::vector<StageKeys>& stages)
    : device_count_(model.device_count()) {
  for (const StageKeys& stage : stages) {
    const std::size_t key_count = static_cast<std::size_t>(stage.max_key) + 1;
    if (entry_count_ + key_count > max_entries / device_count_)
      throw UsageError(
          fmt::format("a device may get a load of {} in one step, too large for a table over {} devices; use smaller "
                      "steps (fewer tokens a step)",
                      stage.max_key, device_count_));
    stages_.push_back({stage.keys, static_cast<std::int32_t>(entry_count_), key_count});
    entry_count_ += key_count;
  }
  // Calls visit(stage, entry of the first device, key) for every key above 0 of the stages that have any.
  const auto for_each_key = [&](auto visit) {
    for (std::size_t s = 0; s < stages_.size(); ++s)
      for (std::int32_t key = 1; key <= stages[s].max_key; ++key)
        visit(s, static_cast<std::size_t>(stages_[s].first_entry) + static_cast<std::size_t>(key), key);
  };
  std::vector<double> seconds(device_count_ * entry_count_, 0.0);
  for (std::size_t d = 0; d < device_count_; ++d)
    for_each_key([&](std::size_t s, std::size_t entry, std::int32_t key) {
      seconds[d * entry_count_ + entry] = model.stage(s).even_s(d, *stages_[s].keys, key);
    });
  const double max_s = *std::max_element(seconds.begin(), seconds.end());
  tick_s_ = 1e-9 * std::max(1.0, std::ceil(max_s / 1e-9 / 2e9));
  ticks_.resize(seconds.size());
  std::ranges::transform(seconds, ticks_.begin(), [&](double s) { return ticks_of(s); });
  for (std::size_t s = 0; s < stages_.size(); ++s)
    if (stages_[s].keys) model.stage(s).check_table(*stages_[s].keys, stages[s].max_key, max_s);

  std::vector<std::int32_t> added(entry_count_, 0);  // by the experts of even loads
  for_each_key([&](std::size_t s, std::size_t entry, std::int32_t key) {
    added[entry] = ticks_of(model.stage(s).even_added_s(*stages_[s].keys, key));
  });
  if (std::ranges::all_of(added, [](std::int32_t ticks) { return ticks == 0; })) return;
  even_ticks_ = ticks_;
  for (std::size_t d = 0; d < device_count_; ++d)
    for (std::size_t entry = 0; entry < entry_count_; ++entry) ticks_[d * entry_count_ + entry] -= added[entry];
}

}  // namespace gem
