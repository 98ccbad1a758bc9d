#include <fmt/core.h>
#include <optional>

#include "base/error.hpp"
#include "base/text.hpp"
#include "cost/stages.hpp"
#include "model/weight_type.hpp"

namespace gem {
namespace {

// A share of the rows of a device, or of all devices of a node, at so many seconds a row.
class NodeExchangeStage : public Stage {
 public:
  NodeExchangeStage(std::string_view name, double row_s, std::string what, std::vector<std::int32_t> nodes = {})
      : name_(name), row_s_(row_s), what_(std::move(what)), nodes_(std::move(nodes)) {}

  std::string_view name() const override { return name_; }
  std::string describe() const override { return fmt::format("{:.3g} ns for each row of {}", row_s_ * 1e9, what_); }
  std::span<const std::int32_t> nodes() const override { return nodes_; }
  double seconds(std::size_t, const DeviceLoad& load) const override {
    return row_s_ * static_cast<double>(load.tokens);
  }
  bool has_added() const override { return true; }
  double added_s(std::uint32_t tokens) const override { return row_s_ * tokens; }

  [[noreturn]] void refuse(double sum_s) const override {
    throw DataError(
        fmt::format("the rows of one step would take {} to exchange over the profile's links, which cannot be; correct "
                    "/topology/bandwidth, or state bandwidths",
                    format_seconds(sum_s)));
  }

 private:
  std::string_view name_;
  double row_s_;
  std::string what_;
  std::vector<std::int32_t> nodes_;
};

// Seconds of a row, whole, and which part of a device's rows come from where. Every device has the same share of the
// tokens, so that a row comes from each with the same probability.
struct RowTimes {
  double inside_s, across_s;
  double from_neighbours, from_others;
};

std::optional<RowTimes> row_times_over_links(const LatencyProfile& profile) {
  const Topology& topology = profile.topology;
  if (topology.node_size() == 0 || !topology.has_links() || profile.expert.hidden_size == 0) return std::nullopt;
  const auto devices = static_cast<double>(profile.device_count());
  const auto node_devices = static_cast<double>(topology.node_size());
  // Out as the weights are where these are of 1 byte, else in 2; back in 2.
  const double row_bytes =
      (profile.weight_dtype == word_of(WeightType::Fp8) ? 3.0 : 4.0) * static_cast<double>(profile.expert.hidden_size);
  return RowTimes{row_bytes / topology.inside().bytes_per_s, row_bytes / topology.across().bytes_per_s,
                  (node_devices - 1.0) / devices, (devices - node_devices) / devices};
}

// Of several nodes, where they are to count.
std::optional<RowTimes> row_times(const LatencyProfile& profile, AcrossNodes across_nodes) {
  if (profile.topology.node_count() < 2 || across_nodes == AcrossNodes::Off) return std::nullopt;
  return row_times_over_links(profile);
}

double seconds_of(const RowTimes& row) {
  return row.from_neighbours * row.inside_s + row.from_others * row.across_s;
}

}  // namespace

std::vector<std::shared_ptr<const Stage>> make_node_exchange_stages(const LatencyProfile& profile,
                                                                    AcrossNodes across_nodes) {
  const std::optional<RowTimes> row = row_times(profile, across_nodes);
  std::vector<std::shared_ptr<const Stage>> stages;
  if (!row) return stages;
  if (across_nodes == AcrossNodes::Device) {
    stages.push_back(std::make_shared<NodeExchangeStage>("exchange", seconds_of(*row),
                                                         "the device that gets the most, inside its node and across"));
    return stages;
  }
  // What comes over another device's card is forwarded inside the node.
  const auto node_devices = static_cast<double>(profile.topology.node_size());
  const double forwarded = row->from_others * (node_devices - 1.0) / node_devices;
  stages.push_back(std::make_shared<NodeExchangeStage>("inside", (row->from_neighbours + forwarded) * row->inside_s,
                                                       "the device that gets the most, inside its node"));
  stages.push_back(std::make_shared<NodeExchangeStage>("across", row_ns_of_node(profile, across_nodes) * 1e-9,
                                                       "the node that gets the most, across nodes",
                                                       profile.topology.node_of));
  return stages;
}

double row_s_over_links(const LatencyProfile& profile) {
  const std::optional<RowTimes> row = row_times_over_links(profile);
  return row ? seconds_of(*row) : 0.0;
}

double row_ns_of_node(const LatencyProfile& profile, AcrossNodes across_nodes) {
  const std::optional<RowTimes> row = row_times(profile, across_nodes);
  return row ? row->from_others * row->across_s / static_cast<double>(profile.topology.node_size()) * 1e9 : 0.0;
}

}  // namespace gem
