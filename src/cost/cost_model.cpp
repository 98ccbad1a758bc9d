#include "cost/cost_model.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <iterator>

#include "base/text.hpp"
#include "model/exchange_law.hpp"
#include "model/shared_time.hpp"

namespace gem {

void describe(OptionList& options, CostOptions& cost) {
  options.add("features", cost.features, "search on latency over tiles and active experts, or over tokens");
  options
      .add("exchange-row-time", cost.exchange_row_ns, "NANOSECONDS",
           "minimise the exchange, too: so much time of dispatch and combine for each row of the device that gets the "
           "most, as gem-verify finds it; 0: don't")
      .range(0, 1e9)
      .without(
          "what the profile's law of the exchange says, if it has one (gem-profile {exchange}), where rows explain "
          "the exchange");
  options.add("across-nodes", cost.across_nodes,
              "over which network cards rows of other nodes come: the device's own, or all of its node and then inside "
              "it, as libraries do that forward; the exchange is counted so where the profile has several nodes and "
              "bandwidths, and {exchange-row-time} isn't given; off: not counted");
  options.add("shared-experts", cost.shared_experts,
              "whether the shared experts count, which each device runs for its own tokens beside its routed ones: "
              "where the profile has their time (gem-profile {shared-time}), or not at all");
}

std::string count_exchange(CostOptions& options, const LatencyProfile& profile, double tokens) {
  const bool nodes_count = !make_node_exchange_stages(profile, options.across_nodes).empty();
  if (options.exchange_row_ns || nodes_count || profile.exchange_law.empty()) return "";
  const ExchangeOfStep exchange = exchange_of_step(profile.exchange_law, tokens);
  const OptionName option = option_name(&CostOptions::exchange_row_ns);
  const std::string why = fmt::format("with {:.0f} tokens a step rows explain {:.0f} % of it, as the profile measured",
                                      tokens, 100.0 * exchange.explained);
  if (exchange.row_s <= 0.0)
    return fmt::format("The exchange is not counted: {}; {} NANOSECONDS counts it", why, spelled(option));
  options.exchange_row_ns = exchange.row_s * 1e9;
  return fmt::format(
      "The exchange is counted with {:.3g} ns for each row of the device that gets most: {}; {} 0 leaves "
      "it out",
      *options.exchange_row_ns, why, spelled(option));
}

std::string count_shared_experts(CostOptions& options, const LatencyProfile& profile, double tokens) {
  if (options.shared_experts == SharedExperts::Ignore || profile.shared_tokens.empty()) return "";
  options.shared_tokens = tokens / static_cast<double>(profile.device_count());
  const std::vector<double> seconds = shared_times_s(profile, options.shared_tokens);
  const auto [fastest, slowest] = std::ranges::minmax(seconds);
  const std::int64_t most = profile.shared_tokens.back();
  return fmt::format(
      "Shared experts are counted with each device's compute, {} to {} for its own {:.0f} tokens of a step, as the "
      "profile measured{}; {} ignore leaves them out",
      format_seconds(fastest), format_seconds(slowest), options.shared_tokens,
      options.shared_tokens > static_cast<double>(most) ? fmt::format(" for up to {}", most) : "",
      spelled(option_name(&CostOptions::shared_experts)));
}

CostModel::CostModel(const LatencyProfile& profile, const CostOptions& options)
    : latencies_(std::make_shared<const DeviceLatencies>(profile, options.features)) {
  std::vector<double> shared_s;
  if (options.shared_tokens > 0.0) shared_s = shared_times_s(profile, options.shared_tokens);
  stages_.push_back(make_compute_stage(latencies_, std::move(shared_s)));
  if (const double row_ns = options.exchange_row_ns.value_or(0.0); row_ns > 0.0)
    stages_.push_back(make_exchange_stage(row_ns));
  else
    std::ranges::move(make_node_exchange_stages(profile, options.across_nodes), std::back_inserter(stages_));
}

}  // namespace gem
