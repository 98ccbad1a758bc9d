#include "search/node_packing.hpp"

#include <gtest/gtest.h>

#include <set>

#include "base/error.hpp"
#include "base/random.hpp"
#include "model/expert_copies.hpp"

namespace gem {
namespace {

using Experts = std::multiset<std::int32_t>;

// Experts of each device, [device].
std::vector<Experts> experts_of(const PackedCopies& packed, std::size_t devices) {
  std::vector<Experts> experts(devices);
  const std::vector<std::int32_t> expert_of_copy = experts_of_copies(packed.counts);
  for (std::size_t copy = 0; copy < packed.assignment.size(); ++copy)
    experts[static_cast<std::size_t>(packed.assignment[copy])].insert(expert_of_copy[copy]);
  return experts;
}

// Two layers of 12 experts in 4 groups, 16 slots on 8 devices of 2 nodes: loads and answer as DeepSeek publishes them
// with EPLB (its README).
TEST(NodePacking, AnswersThePublishedExampleAsPublished) {
  const NodeShape shape{.nodes = 2, .devices = 8, .groups = 4, .redundant_experts = 4};
  const std::vector<double> first{90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86};
  EXPECT_EQ(experts_of(pack_by_nodes(first, shape), 8),
            (std::vector<Experts>{{5, 6}, {5, 7}, {8, 4}, {3, 4}, {10, 9}, {10, 2}, {0, 1}, {11, 1}}));
  const std::vector<double> second{20, 107, 104, 64, 19, 197, 187, 157, 172, 86, 16, 27};
  EXPECT_EQ(experts_of(pack_by_nodes(second, shape), 8),
            (std::vector<Experts>{{7, 10}, {6, 8}, {6, 11}, {8, 9}, {2, 4}, {5, 1}, {5, 0}, {3, 1}}));
}

TEST(NodePacking, GroupsStayOnANodeAndCopiesApart) {
  RandomStream random{3};
  for (int trial = 0; trial < 20; ++trial) {
    std::vector<double> loads(32);
    for (double& load : loads) load = random.gamma(0.3);
    const NodeShape shape{.nodes = 4, .devices = 8, .groups = 8, .redundant_experts = 8};
    const PackedCopies packed = pack_by_nodes(loads, shape);
    const std::vector<std::int32_t> expert_of_copy = experts_of_copies(packed.counts);
    std::vector<std::int32_t> node_of_group(8, -1);
    std::set<std::pair<std::int32_t, std::int32_t>> seen;
    for (std::size_t copy = 0; copy < packed.assignment.size(); ++copy) {
      std::int32_t& node = node_of_group[static_cast<std::size_t>(expert_of_copy[copy]) / 4];
      if (node < 0) node = packed.assignment[copy] / 2;
      EXPECT_EQ(node, packed.assignment[copy] / 2);
      EXPECT_TRUE(seen.insert({expert_of_copy[copy], packed.assignment[copy]}).second);
    }
    for (const Experts& experts : experts_of(packed, 8)) EXPECT_EQ(experts.size(), 5u);
  }
}

TEST(NodePacking, ImpossibleShapesAreRefused) {
  const std::vector<double> loads(12, 1.0);
  EXPECT_THROW(pack_by_nodes(loads, {.nodes = 2, .devices = 4, .groups = 5}), UsageError);
  EXPECT_THROW(pack_by_nodes(loads, {.nodes = 4, .devices = 4, .groups = 2}), UsageError);
  EXPECT_THROW(pack_by_nodes(loads, {.nodes = 2, .devices = 8, .groups = 4}), UsageError);
  EXPECT_THROW(pack_by_nodes(loads, {.nodes = 2, .devices = 4, .groups = 4, .redundant_experts = 5}), UsageError);
  // As many as devices can hold apart, and more.
  EXPECT_NO_THROW(pack_by_nodes(loads, {.nodes = 2, .devices = 4, .groups = 4, .redundant_experts = 12}));
  EXPECT_THROW(pack_by_nodes(loads, {.nodes = 2, .devices = 4, .groups = 4, .redundant_experts = 16}), UsageError);
  EXPECT_THROW(pack_by_nodes(loads, {.nodes = 4, .devices = 4, .groups = 4, .redundant_experts = 4}), UsageError);
}

}  // namespace
}  // namespace gem
