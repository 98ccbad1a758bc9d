#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/option.hpp"
#include "cost/device_latencies.hpp"
#include "cost/stage.hpp"

namespace gem {

/// Over which network cards rows of other nodes reach a device.
enum class AcrossNodes {
  Device,  ///< its own
  Node,    ///< all cards of its node alike, and inside the node from there
  Off      ///< neither that nor what is exchanged inside nodes is counted
};

inline std::vector<OptionWord<AcrossNodes>> words_of(AcrossNodes) {
  return {{"device", AcrossNodes::Device}, {"node", AcrossNodes::Node}, {"off", AcrossNodes::Off}};
}

/// Whether the time of shared experts counts, which each device runs for its own tokens beside its routed experts.
enum class SharedExperts {
  Count,  ///< where the profile has it
  Ignore
};

inline std::vector<OptionWord<SharedExperts>> words_of(SharedExperts) {
  return {{"count", SharedExperts::Count}, {"ignore", SharedExperts::Ignore}};
}

/// What is counted of a layer's time, stage by stage.
struct CostOptions {
  LoadFeatures features = LoadFeatures::TilesAndExperts;
  /// Of dispatch and combine, for each row of the device that gets the most; 0: no stage; none: see count_exchange.
  std::optional<double> exchange_row_ns{};
  AcrossNodes across_nodes = AcrossNodes::Device;  ///< where there are several nodes and their links are known
  SharedExperts shared_experts = SharedExperts::Count;
  double shared_tokens = 0.0;  ///< own ones of a device, whose shared experts count, see count_shared_experts; 0: none
};

inline std::vector<OptionWord<LoadFeatures>> words_of(LoadFeatures) {
  return {{"tiles", LoadFeatures::TilesAndExperts}, {"tokens", LoadFeatures::Tokens}};
}

void describe(OptionList& options, CostOptions& cost);

/// Where the options leave it open and nodes don't count: the row time that the profile's law has for steps of so many
/// tokens, as far as it is true. Returns what is counted and how to leave it out, a sentence; empty where the profile
/// has no law or the options say it.
std::string count_exchange(CostOptions& options, const LatencyProfile& profile, double tokens);

/// Where the options want it and the profile has it: counts the shared experts of steps of so many tokens, shared
/// evenly by the devices. Returns what is counted and how to leave it out, a sentence; else empty.
std::string count_shared_experts(CostOptions& options, const LatencyProfile& profile, double tokens);

/// The experts' own time on the devices: the latency surface at (tiles, active experts), or the curve at tokens, with
/// what skew and partly filled tiles add (LoadRule). `shared_s` is [device] or empty: what a device's shared experts
/// take in a step in which it has any load. One that has none is counted with nothing, because another's routed and
/// shared experts take longer than its shared ones alone.
std::shared_ptr<const Stage> make_compute_stage(std::shared_ptr<const DeviceLatencies> latencies,
                                                std::vector<double> shared_s = {});

/// Dispatch and combine: so many seconds for each row of the device that gets the most. A linear stage.
std::shared_ptr<const Stage> make_exchange_stage(double row_ns);

/// Dispatch and combine inside nodes and across them, at the bandwidths of the profile's links: linear stages; none
/// where the profile has no two nodes of equal size, no links or no hidden size.
std::vector<std::shared_ptr<const Stage>> make_node_exchange_stages(const LatencyProfile& profile,
                                                                    AcrossNodes across_nodes);

/// Seconds of a row, out and back, over the profile's links, inside nodes and across them, in proportion to where rows
/// come from; 0 where links, equal nodes or the hidden size are unknown.
double row_s_over_links(const LatencyProfile& profile);

/// Nanoseconds that a row of a whole node takes across nodes, its network cards sharing the node's rows evenly; 0 where
/// these stages aren't counted.
double row_ns_of_node(const LatencyProfile& profile, AcrossNodes across_nodes);

}  // namespace gem
