#include "cost/stages.hpp"

#include <fmt/core.h>
#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

class ComputeStage : public Stage {
 public:
  ComputeStage(std::shared_ptr<const DeviceLatencies> latencies, std::vector<double> shared_s)
      : latencies_(std::move(latencies)), shared_s_(std::move(shared_s)), rule_(latencies_->rules().of(0)) {}

  std::string_view name() const override { return "compute"; }
  std::string describe() const override {
    return shared_s_.empty() ? "the slowest device's compute" : "the slowest device's compute with its shared experts";
  }

  double seconds(std::size_t device, const DeviceLoad& load) const override {
    return latencies_->seconds(device, load) + (load.tokens > 0 ? shared_s(device) : 0.0);
  }

  std::vector<LoadKeys> keys(std::size_t slots) const override {
    if (latencies_->features() == LoadFeatures::Tokens) return {LoadKeys{}};
    const LoadRules& rules = latencies_->rules();
    std::vector<LoadKeys> keys;
    for (std::size_t regime = 0; regime < rules.count(); ++regime)
      keys.push_back({rules.of(regime).tile_tokens, static_cast<std::int32_t>(slots) + 1,
                      regime == 0 ? 0 : rules.rows_to(regime - 1) + 1, rules.rows_to(regime)});
    return keys;
  }

  double even_s(std::size_t device, const LoadKeys& keys, std::int32_t key) const override {
    return latencies_->even_s(device, latencies_->rules().regime_of(keys.rows_from), keys.units(key),
                              keys.active_experts(key), keys.units(key)) +
           shared_s(device);
  }

  double even_added_s(const LoadKeys& keys, std::int32_t key) const override {
    return rule_.costs.even_surplus_s(keys.units(key), keys.active_experts(key));
  }

  void check_table(const LoadKeys& keys, std::int32_t max_key, double max_s) const override {
    const double skewed_s = rule_.costs.even_surplus_s(keys.units(max_key), 0.0);
    if (skewed_s > max_s)
      throw DataError(fmt::format(
          "the profile says that {} tiles of one expert cost {} more than if they were spread evenly, longer than any "
          "load that was measured; profile again",
          keys.units(max_key), format_seconds(skewed_s)));
  }

  bool has_added() const override { return !rule_.costs.is_plain(); }
  double added_s(std::uint32_t tokens) const override { return rule_.added_s(tokens); }
  double saved_s(std::uint32_t tokens) const override { return std::max(0.0, -rule_.rows_s(tokens)); }

  [[noreturn]] void refuse(double sum_s) const override {
    throw DataError(
        fmt::format("the profile says that tiles and rows of one step cost {} beside what was measured, which cannot "
                    "be; profile again",
                    format_seconds(sum_s)));
  }

 private:
  double shared_s(std::size_t device) const { return shared_s_.empty() ? 0.0 : shared_s_[device]; }

  std::shared_ptr<const DeviceLatencies> latencies_;
  std::vector<double> shared_s_;  // [device], or empty
  LoadRule rule_;                 // where there are several, all are plain
};

}  // namespace

std::shared_ptr<const Stage> make_compute_stage(std::shared_ptr<const DeviceLatencies> latencies,
                                                std::vector<double> shared_s) {
  return std::make_shared<ComputeStage>(std::move(latencies), std::move(shared_s));
}

}  // namespace gem
