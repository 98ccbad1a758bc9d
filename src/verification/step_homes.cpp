#include "verification/step_homes.hpp"

#include <algorithm>
#include <set>

#include "cost/prediction.hpp"
#include "search/packing.hpp"

namespace gem {

StepHomes::StepHomes(std::vector<ExpertHomes> homes, const RunTimeOptions& decided, const CostModel& model,
                     const LoadTrace& trace, const CopyPrice& price)
    : homes_(std::move(homes)), decided_(decided), model_(&model), trace_(&trace), price_(price), now_(homes_.front()) {
  const bool by_speed = decided.online_exact ? decided.quota == Quota::Speed : decided.split != CopySplit::Even;
  for (std::size_t layer = 0; is_decided() && layer < homes_.size(); ++layer)
    speeds_.push_back(by_speed ? relative_speeds(model.latencies(), trace, layer)
                               : std::vector<double>(model.device_count(), 1.0));
}

const std::vector<ExpertShare>& StepHomes::shares_at(std::size_t step, std::size_t layer) {
  if (!is_decided()) return shares_;
  const auto tokens = trace_->counts.row(step, layer);
  shares_ = sends_experts() ? online_shares(tokens, homes_[layer], speeds_[layer], price_.topology.node_of)
                            : split_shares(tokens, homes_[layer], speeds_[layer], decided_.split);
  return shares_;
}

const ExpertHomes& StepHomes::at(std::size_t step, std::size_t layer) {
  if (!is_decided()) return homes_[layer];
  now_ = homes_of_shares(shares_at(step, layer), trace_->expert_count());
  return now_;
}

CopyTimes StepHomes::copies_at(std::size_t step, std::size_t layer) {
  const std::vector<ExpertShare>& shares = shares_at(step, layer);
  if (price_.topology.has_links()) return copy_times(shares, price_.topology, price_.expert_bytes);
  return {std::vector<double>(model_->device_count(), 0.0),
          static_cast<std::size_t>(std::ranges::count_if(shares, [](const ExpertShare& s) { return s.from >= 0; }))};
}

std::vector<ExpertHomes> StepHomes::ever() {
  if (!sends_experts()) return homes_;
  std::vector<ExpertHomes> ever;
  for (std::size_t layer = 0; layer < homes_.size(); ++layer) {
    std::vector<std::set<std::int32_t>> devices(trace_->expert_count());
    for (std::size_t expert = 0; expert < devices.size(); ++expert)
      devices[expert].insert(homes_[layer].of(expert).begin(), homes_[layer].of(expert).end());
    for (std::size_t step = 0; step < trace_->step_count(); ++step)
      for (const ExpertShare& share : shares_at(step, layer))
        devices[static_cast<std::size_t>(share.expert)].insert(share.device);
    std::vector<std::vector<std::int32_t>> lists;
    std::vector<std::vector<std::uint32_t>> none;
    for (const auto& of_expert : devices) {
      lists.emplace_back(of_expert.begin(), of_expert.end());
      none.emplace_back(of_expert.size(), 0u);
    }
    ever.emplace_back(lists, none);
  }
  return ever;
}

Cube<double> StepHomes::predict() {
  Cube<double> predicted = gem::predict(*model_, profiled_stage, *trace_, homes_at());
  if (!sends_experts()) return predicted;
  ExpertHomes home = now_;
  const Cube<double> home_s =
      gem::predict(*model_, profiled_stage, *trace_, [&](std::size_t step, std::size_t layer) -> const ExpertHomes& {
        home = homes_of_shares(at_home(shares_at(step, layer)), trace_->expert_count());
        return home;
      });
  for (std::size_t step = 0; step < predicted.planes(); ++step)
    for (std::size_t layer = 0; layer < predicted.rows(); ++layer) {
      const CopyTimes copies = copies_at(step, layer);
      for (std::size_t d = 0; d < predicted.columns(); ++d)
        predicted(step, layer, d) =
            seconds_with_copies(predicted(step, layer, d), home_s(step, layer, d), copies.there_s[d]);
    }
  return predicted;
}

}  // namespace gem
