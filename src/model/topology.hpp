#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/option.hpp"

namespace gem {

struct PairExchange;

/// How fast one device gets rows from others.
struct Link {
  double latency_s = 0.0;    ///< of a few bytes
  double bytes_per_s = 0.0;  ///< into one device, of messages so large that latency doesn't count
  bool operator==(const Link&) const = default;
};

/// Which devices share a node (a host, or an NVLink domain), and how fast rows travel inside a node and across nodes.
struct Topology {
  std::string source;                 ///< "mpi", "stated" or "measured"; empty if nothing is known
  std::vector<std::int32_t> node_of;  ///< [device], nodes numbered from 0; empty if unknown
  std::vector<Link> links;            ///< inside a node, then across nodes; empty if unknown
  bool operator==(const Topology&) const = default;

  bool empty() const { return node_of.empty(); }
  /// 1 where nothing is known.
  std::size_t node_count() const;
  /// Devices of each node if all have as many; else 0, and where nothing is known.
  std::size_t node_size() const;
  /// Whether every node's devices follow each other, in equally large nodes in order.
  bool is_in_order() const;
  bool has_links() const { return links.size() == 2; }
  const Link& inside() const { return links[0]; }
  const Link& across() const { return links[1]; }
};

/// A topology as a user states it, for simulated devices or in place of what a profile says.
struct TopologyOptions {
  std::size_t nodes = 0;        ///< 0: not stated
  std::size_t domain_size = 0;  ///< 0: not stated
  double inside_gb_per_s = 0.0, across_gb_per_s = 0.0;
  double inside_latency_us = 2.0, across_latency_us = 5.0;
};

void describe(OptionList& options, TopologyOptions& topology);

/// What of `known` the options replace. OptionError if the devices don't divide, or bandwidths are stated by halves.
Topology stated_topology(const TopologyOptions& options, const Topology& known, std::size_t device_count);

/// `known` with the links that the pairs show: medians over pairs inside nodes and across them. Without both kinds of
/// pairs `known` as it is.
Topology with_measured_links(const Topology& known, const PairExchange& pairs);

/// "2 nodes of 4 devices (stated), 450 GB/s inside, 50 GB/s across", a line; empty where nothing is known.
std::string describe_topology(const Topology& topology);

}  // namespace gem
