#include "mapping/baselines.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "model/device_selection.hpp"
#include "search/packing.hpp"
#include "search/random_problem.hpp"
#include "search/redundant_experts.hpp"

namespace gem {
namespace {

TEST(Baselines, LinearAndRoundRobinAreWhatTheirNamesSay) {
  const auto made = testing::made_up_problem(8, 4, 5, 1);
  EXPECT_EQ(assignment_of(linear_mapping(made.trace, 4), 0), (Assignment{0, 0, 1, 1, 2, 2, 3, 3}));
  EXPECT_EQ(assignment_of(round_robin_mapping(made.trace, 4), 0), (Assignment{0, 1, 2, 3, 0, 1, 2, 3}));
  EXPECT_EQ(assignment_of(linear_mapping(made.trace, 3), 0), (Assignment{0, 0, 0, 1, 1, 1, 2, 2}));
  EXPECT_EQ(assignment_of(round_robin_mapping(made.trace, 3), 0), (Assignment{0, 1, 2, 0, 1, 2, 0, 1}));
  EXPECT_EQ(linear_mapping(made.trace, 4, 4).redundant_count(), 0u);
}

TEST(Baselines, GreedyPackingByHand) {
  const std::vector<double> loads{10, 1, 7, 4, 3, 8};
  // Heaviest first: 10 -> 0, 8 -> 1, 7 -> 1 (8 < 10), 4 -> 0, 3 -> 0 (14 < 15), 1 -> 1.
  EXPECT_EQ(pack_greedily(loads, std::vector<double>{1, 1}), (Assignment{0, 1, 1, 0, 0, 1}));
  // Five on two devices: the first takes three.
  EXPECT_EQ(pack_greedily(std::vector<double>{10, 1, 7, 4, 3}, std::vector<double>{1, 1}), (Assignment{0, 0, 1, 1, 0}));
  // Device 1 twice as fast: 10 -> 1, 8 -> 0 (8 < 9), 7 -> 1 (8.5), 4 -> 1 (10.5 < 12), then 0 takes what is left.
  EXPECT_EQ(pack_greedily(loads, std::vector<double>{1, 2}), (Assignment{1, 0, 1, 1, 0, 0}));
}

TEST(Baselines, SpeedAwareIsEplbOnEqualDevices) {
  const LoadTrace trace = testing::made_up_trace(30, 2, 16, 3);
  const CostModel equal(equal_devices(testing::made_up_profile(4, 4)));
  EXPECT_EQ(packed_mapping(PackedBy::Speed, equal, trace, {}).expert_to_device,
            packed_mapping(PackedBy::Load, equal, trace, {}).expert_to_device);
}

TEST(Baselines, SlowDevicesGetLessFromSpeedAware) {
  const LoadTrace trace = testing::made_up_trace(30, 1, 32, 3);
  const CostModel model(testing::made_up_profile(4, 8, 2.0));
  const Assignment assignment = assignment_of(packed_mapping(PackedBy::Speed, model, trace, {}), 0);
  const std::vector<double> loads = mean_loads(trace, 0);
  std::vector<double> of_device(4, 0.0);
  for (std::size_t e = 0; e < 32; ++e) of_device[static_cast<std::size_t>(assignment[e])] += loads[e];
  EXPECT_GT(of_device[0], 1.2 * of_device[3]);
}

TEST(Baselines, ImpossibleShapesAreRefused) {
  const LoadTrace trace = testing::made_up_trace(3, 1, 8, 3);
  const CostModel sixteen(testing::made_up_profile(16, 4));
  EXPECT_THROW(layer_problems(sixteen, trace), UsageError);
}

}  // namespace
}  // namespace gem
