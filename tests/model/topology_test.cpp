#include "model/topology.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.hpp"
#include "model/latency_profile.hpp"

namespace gem {
namespace {

TEST(Topology, IsAsStated) {
  const Topology nodes = stated_topology({.nodes = 2}, {}, 6);
  EXPECT_EQ(nodes.source, "stated");
  EXPECT_EQ(nodes.node_of, (std::vector<std::int32_t>{0, 0, 0, 1, 1, 1}));
  EXPECT_EQ(nodes.node_count(), 2u);
  EXPECT_EQ(nodes.node_size(), 3u);
  EXPECT_TRUE(nodes.is_in_order());
  EXPECT_FALSE(nodes.has_links());
  const Topology domains = stated_topology({.domain_size = 2, .inside_gb_per_s = 450, .across_gb_per_s = 50}, nodes, 6);
  EXPECT_EQ(domains.node_of, (std::vector<std::int32_t>{0, 0, 1, 1, 2, 2}));
  EXPECT_DOUBLE_EQ(domains.inside().bytes_per_s, 450e9);
  EXPECT_DOUBLE_EQ(domains.across().bytes_per_s, 50e9);
  EXPECT_DOUBLE_EQ(domains.across().latency_s, 5e-6);
  EXPECT_EQ(describe_topology(domains), "3 nodes of 2 devices (stated), 450 GB/s a device inside, 50 across\n");
  EXPECT_EQ(stated_topology({}, domains, 6), domains) << "nothing is stated";
}

TEST(Topology, ContradictionsAreRefused) {
  EXPECT_THROW(stated_topology({.nodes = 4}, {}, 6), OptionError);
  EXPECT_THROW(stated_topology({.domain_size = 4}, {}, 6), OptionError);
  EXPECT_THROW(stated_topology({.nodes = 2, .domain_size = 3}, {}, 6), OptionError);
  EXPECT_THROW(stated_topology({.nodes = 2, .inside_gb_per_s = 450}, {}, 6), OptionError);
  EXPECT_THROW(stated_topology({.inside_gb_per_s = 450, .across_gb_per_s = 50}, {}, 6), OptionError);
  EXPECT_THROW(stated_topology({.nodes = 2, .inside_latency_us = 3}, {}, 6), OptionError) << "without bandwidths";
  EXPECT_THROW(stated_topology({.nodes = 2, .across_latency_us = 3}, {}, 6), OptionError);
}

TEST(Topology, UnknownIsOneNodeAndUnequalNodesHaveNoSize) {
  const Topology unknown;
  EXPECT_EQ(unknown.node_count(), 1u);
  EXPECT_EQ(unknown.node_size(), 0u);
  EXPECT_EQ(describe_topology(unknown), "");
  EXPECT_EQ((Topology{"mpi", {0, 0, 1}, {}}.node_size()), 0u);
  EXPECT_FALSE((Topology{"mpi", {0, 1, 0, 1}, {}}.is_in_order()));
}

TEST(Topology, LinksAreTheMediansOfTheMeasuredPairs) {
  const Topology nodes = stated_topology({.nodes = 2}, {}, 4);
  PairExchange pairs{"mpi", Matrix<double>(4, 4, NAN), Matrix<double>(4, 4, NAN)};
  for (std::size_t a = 0; a < 4; ++a)
    for (std::size_t b = 0; b < 4; ++b) {
      if (a == b) continue;
      pairs.latency_s(a, b) = a / 2 == b / 2 ? 1e-6 : 4e-6;
      pairs.bytes_per_s(a, b) = a / 2 == b / 2 ? 4e11 : 5e10;
    }
  const Topology measured = with_measured_links(nodes, pairs);
  EXPECT_EQ(measured.source, "measured");
  EXPECT_EQ(measured.node_of, nodes.node_of);
  EXPECT_EQ(measured.links, (std::vector<Link>{{1e-6, 4e11}, {4e-6, 5e10}}));
  EXPECT_EQ(with_measured_links({}, pairs), Topology{});
  EXPECT_EQ(with_measured_links(stated_topology({.nodes = 1}, {}, 4), pairs), stated_topology({.nodes = 1}, {}, 4))
      << "no pair across";
}

}  // namespace
}  // namespace gem
