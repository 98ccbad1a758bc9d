#include "mapping/baselines.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.hpp"
#include "model/device_selection.hpp"
#include "search/layer_search.hpp"
#include "search/packing.hpp"
#include "search/random_problem.hpp"
#include "search/redundant_experts.hpp"
#include "search/water_filling.hpp"

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

// One layer of a trace as a trace of its own.
LoadTrace alone(const LoadTrace& trace, std::size_t layer) {
  LoadTrace own = without_steps(trace);
  own.layer_ids = {trace.layer_ids[layer]};
  own.experts_of_layer.clear();
  own.counts = Cube<std::uint32_t>(trace.step_count(), 1, trace.experts_in(layer));
  for (std::size_t step = 0; step < trace.step_count(); ++step)
    std::ranges::copy(trace.tokens(step, layer), own.counts.row(step, 0).begin());
  return own;
}

TEST(Baselines, LayersOfDifferentExpertCountsArePlacedAsEachWouldBeAlone) {
  const LoadTrace trace = testing::made_up_uneven_trace(20, {8, 5, 6}, 4);
  for (const std::size_t devices : {2u, 3u, 4u}) {
    const LatencyProfile profile = testing::made_up_profile(devices, 4);
    const CostModel model(profile);
    const auto place = [&](const LoadTrace& of) {
      return std::vector<Mapping>{linear_mapping(of, devices), round_robin_mapping(of, devices),
                                  packed_mapping(PackedBy::Load, model, of, {}),
                                  packed_mapping(PackedBy::Speed, model, of, {})};
    };
    const std::vector<Mapping> together = place(trace);
    const std::vector<LayerProblem> problems = layer_problems(model, trace);
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
      const LoadTrace own = alone(trace, layer);
      const std::vector<Mapping> singly = place(own);
      const std::vector<LayerProblem> problem = layer_problems(model, own);
      for (std::size_t m = 0; m < singly.size(); ++m) {
        EXPECT_NO_THROW(check_mapping(together[m], "together"));
        EXPECT_EQ(together[m].experts_of_layer, (LayerExperts{8, 5, 6}));
        const Assignment placed = assignment_of(together[m], layer);
        EXPECT_EQ(placed, assignment_of(singly[m], 0)) << m << " of layer " << layer;
        EXPECT_EQ(cost_of(problems[layer], placed), cost_of(problem[0], placed));
      }
      // The tables are those of the layer with the most experts: a bound still, if not always as tight.
      EXPECT_LE(WaterFilling(problems[0].tables()).bound(problems[layer]),
                WaterFilling(problem[0].tables()).bound(problem[0]));
    }
  }
  EXPECT_THROW(linear_mapping(trace, 6), UsageError);  // more than the experts of a layer
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

// Copies as DeepSeek's EPLB packs them: experts in order, then further copies, heaviest first onto the least loaded
// device with a free slot, whatever it holds.
std::vector<double> loads_as_by_deepseek(const LoadTrace& trace, const CopyCounts& copies, std::size_t layer,
                                         std::size_t device_count, bool& is_apart) {
  struct Copy {
    std::int32_t expert;
    double load;
  };
  std::vector<Copy> all, further;
  const std::vector<double> loads = mean_loads(trace, layer);
  for (std::size_t e = 0; e < loads.size(); ++e)
    for (std::int32_t i = 0; i < copies(layer, e); ++i)
      (i == 0 ? all : further).push_back({static_cast<std::int32_t>(e), loads[e] / copies(layer, e)});
  all.insert(all.end(), further.begin(), further.end());
  std::ranges::stable_sort(all, [](const Copy& a, const Copy& b) { return a.load > b.load; });
  std::vector<double> packed(device_count, 0.0);
  std::vector<std::vector<std::int32_t>> held(device_count);
  is_apart = true;
  for (const Copy& copy : all) {
    std::size_t best = device_count;
    for (std::size_t d = 0; d < device_count; ++d)
      if (held[d].size() < all.size() / device_count && (best == device_count || packed[d] < packed[best])) best = d;
    is_apart = is_apart && std::ranges::count(held[best], copy.expert) == 0;
    packed[best] += copy.load;
    held[best].push_back(copy.expert);
  }
  return packed;
}

TEST(Baselines, CopiesPackedApartAreAsEvenAsByDeepSeek) {
  const std::size_t layers = 12, devices = 4;
  const LoadTrace trace = testing::made_up_trace(30, layers, 24, 3);
  const CopyCounts copies = choose_copies(trace, 8, devices);
  const Mapping mapping = copies_packed_apart(trace, copies, devices);
  double own_maxima = 0.0, deepseek_maxima = 0.0;
  std::size_t same = 0;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    std::vector<double> own(devices, 0.0);
    const std::vector<double> loads = mean_loads(trace, layer);
    const ExpertHomes homes = homes_of(mapping, layer);
    for (std::size_t e = 0; e < loads.size(); ++e) {
      EXPECT_EQ(homes.of(e).size(), static_cast<std::size_t>(copies(layer, e)));
      for (std::size_t i = 0; i < homes.of(e).size(); ++i) {
        if (i > 0) {
          EXPECT_LT(homes.of(e)[i - 1], homes.of(e)[i]) << "none twice on a device";
        }
        own[static_cast<std::size_t>(homes.of(e)[i])] += loads[e] / copies(layer, e);
      }
    }
    bool is_apart = false;
    const std::vector<double> deepseek = loads_as_by_deepseek(trace, copies, layer, devices, is_apart);
    if (is_apart) {
      ++same;
      for (std::size_t d = 0; d < devices; ++d) EXPECT_NEAR(own[d], deepseek[d], 1e-9) << layer;
    }
    own_maxima += std::ranges::max(own);
    deepseek_maxima += std::ranges::max(deepseek);
  }
  EXPECT_LT(own_maxima, 1.0005 * deepseek_maxima);
  EXPECT_GT(same, 0u) << "no layer was packed without a meeting";
  EXPECT_LT(same, layers) << "no layer had a meeting";
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
