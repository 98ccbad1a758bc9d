#include "model/topology.hpp"

#include <fmt/core.h>
#include <algorithm>

#include "base/statistics.hpp"
#include "base/text.hpp"
#include "model/latency_profile.hpp"

namespace gem {

std::size_t Topology::node_count() const {
  return empty() ? 1 : static_cast<std::size_t>(std::ranges::max(node_of)) + 1;
}

std::size_t Topology::node_size() const {
  if (empty()) return 0;
  std::vector<std::size_t> sizes(node_count(), 0);
  for (const std::int32_t node : node_of) ++sizes[static_cast<std::size_t>(node)];
  return std::ranges::all_of(sizes, [&](std::size_t size) { return size == sizes[0]; }) ? sizes[0] : 0;
}

bool Topology::is_in_order() const {
  return node_size() > 0 && std::ranges::is_sorted(node_of);
}

void describe(OptionList& options, TopologyOptions& topology) {
  options.group("Nodes");
  options
      .add("nodes", topology.nodes, "N",
           "state that the devices are on N nodes, as many on each, neighbours together; instead of what MPI says")
      .range(0, 65536)
      .without("as found");
  options
      .add("domain-size", topology.domain_size, "N",
           "state that each N neighbouring devices share a node or an NVLink domain; instead of {nodes}")
      .range(0, 65536)
      .without("as found");
  const auto bandwidth = [&](const char* name, double& value, const char* where) {
    options.add(name, value, "GB/S", fmt::format("state how many gigabytes a second one device can receive {}", where))
        .range(0, 1e6)
        .without("as measured");
  };
  bandwidth("inside-bandwidth", topology.inside_gb_per_s, "from its own node");
  bandwidth("across-bandwidth", topology.across_gb_per_s, "from other nodes, by its own share of the network cards");
  const auto latency = [&](const char* name, double& value, const char* where) {
    options
        .add(name, value, "MICROSECONDS",
             fmt::format("latency {}, beside {{{}}}", where, std::string(name).substr(0, 6) + "-bandwidth"))
        .range(0, 1e6);
  };
  latency("inside-latency", topology.inside_latency_us, "inside a node");
  latency("across-latency", topology.across_latency_us, "across nodes");
}

Topology stated_topology(const TopologyOptions& options, const Topology& known, std::size_t device_count) {
  const OptionName nodes = option_name(&TopologyOptions::nodes), size = option_name(&TopologyOptions::domain_size);
  if (options.nodes > 0 && options.domain_size > 0)
    throw option_error(nodes, "{} and {} say the same in two ways; give one of them", size);
  Topology topology = known;
  if (options.nodes > 0 || options.domain_size > 0) {
    const OptionName& given = options.nodes > 0 ? nodes : size;
    const std::size_t parts = options.nodes + options.domain_size;
    if (device_count % parts != 0)
      throw option_error(given, "{} {}: {} devices do not divide by it; give a number that divides them", parts,
                         device_count);
    const std::size_t domain = options.nodes > 0 ? device_count / options.nodes : options.domain_size;
    topology.source = "stated";
    topology.node_of.clear();
    for (std::size_t device = 0; device < device_count; ++device)
      topology.node_of.push_back(static_cast<std::int32_t>(device / domain));
  }
  const double inside = options.inside_gb_per_s, across = options.across_gb_per_s;
  if (inside <= 0.0 && across <= 0.0) {
    const auto expect_default = [&](double TopologyOptions::*latency, double TopologyOptions::*bandwidth) {
      if (options.*latency != TopologyOptions{}.*latency)
        throw option_error(option_name(latency), "{} is for stated links: give {}, too", option_name(bandwidth));
    };
    expect_default(&TopologyOptions::inside_latency_us, &TopologyOptions::inside_gb_per_s);
    expect_default(&TopologyOptions::across_latency_us, &TopologyOptions::across_gb_per_s);
    return topology;
  }
  const OptionName inside_name = option_name(&TopologyOptions::inside_gb_per_s);
  if (inside <= 0.0 || across <= 0.0)
    throw option_error(inside_name, "{} and {} are stated together; one is missing",
                       option_name(&TopologyOptions::across_gb_per_s));
  if (topology.empty())
    throw option_error(inside_name, "{} is of devices on nodes, but the profile has none; give {} or {}, too", nodes,
                       size);
  topology.source = "stated";
  topology.links = {{options.inside_latency_us * 1e-6, inside * 1e9}, {options.across_latency_us * 1e-6, across * 1e9}};
  return topology;
}

Topology with_measured_links(const Topology& known, const PairExchange& pairs) {
  if (known.empty() || pairs.empty()) return known;
  struct Values {
    std::vector<double> latency_s, bytes_per_s;
  } values[2];
  for (std::size_t a = 0; a < known.node_of.size(); ++a)
    for (std::size_t b = a + 1; b < known.node_of.size(); ++b) {
      Values& of_kind = values[known.node_of[a] == known.node_of[b] ? 0 : 1];
      of_kind.latency_s.push_back(pairs.latency_s(a, b));
      of_kind.bytes_per_s.push_back(pairs.bytes_per_s(a, b));
    }
  if (values[0].latency_s.empty() || values[1].latency_s.empty()) return known;
  Topology measured = known;
  measured.source = "measured";
  measured.links.clear();
  for (const Values& of_kind : values)
    measured.links.push_back({median(of_kind.latency_s), median(of_kind.bytes_per_s)});
  return measured;
}

std::string describe_topology(const Topology& topology) {
  if (topology.empty()) return "";
  const std::size_t nodes = topology.node_count(), size = topology.node_size();
  std::string text = counted(nodes, "node");
  text += size > 0 ? fmt::format(" of {}", counted(size, "device"))
                   : fmt::format(" of {} devices together, not as many on each", topology.node_of.size());
  text += fmt::format(" ({})", topology.source.empty() ? "of unknown source" : topology.source);
  if (topology.has_links())
    text += fmt::format(", {:.3g} GB/s a device inside, {:.3g} across", topology.inside().bytes_per_s * 1e-9,
                        topology.across().bytes_per_s * 1e-9);
  return text + "\n";
}

}  // namespace gem
