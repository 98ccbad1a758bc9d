#include "search/remap.hpp"
#include "search/remap_numbering.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "base/error.hpp"
#include "mapping/mapping_costs.hpp"
#include "search/layer_search.hpp"
#include "search/matching.hpp"
#include "search/move_plan.hpp"
#include "search/moves.hpp"
#include "search/random_problem.hpp"
#include "search/redundant_experts.hpp"

namespace gem {
namespace {

using testing::cost_by_hand;
using testing::load_rules;
using testing::made_up_problem;

// Experts or copies that come to a device where none of the expert is.
std::size_t count_moves(const LayerProblem& problem, const DeviceContents& present, const Assignment& assignment) {
  std::size_t moves = 0;
  for (std::size_t placed = 0; placed < assignment.size(); ++placed) {
    const auto& contents = present[static_cast<std::size_t>(assignment[placed])];
    moves += std::ranges::count(contents, problem.expert_of(static_cast<std::int32_t>(placed))) == 0 ? 1 : 0;
  }
  return moves;
}

std::size_t moves_by_hand(const Assignment& from, const Assignment& to) {
  std::size_t moves = 0;
  for (std::size_t e = 0; e < to.size(); ++e) moves += from[e] != to[e] ? 1 : 0;
  return moves;
}

void expect_exact(const LayerProblem& problem, const Assignment& present, const std::vector<RemapPoint>& front) {
  ASSERT_FALSE(front.empty());
  EXPECT_EQ(front[0].moves, 0u);
  EXPECT_EQ(front[0].assignment, present);
  for (std::size_t p = 0; p < front.size(); ++p) {
    EXPECT_EQ(front[p].cost, cost_by_hand(problem, front[p].assignment));
    EXPECT_EQ(front[p].moves, moves_by_hand(present, front[p].assignment));
    if (p > 0) {
      EXPECT_GT(front[p].moves, front[p - 1].moves);
      EXPECT_LT(front[p].cost, front[p - 1].cost);
    }
  }
}

TEST(Remap, EachPointCostsAndMovesWhatItSays) {
  for (const std::size_t rule : {0u, 1u})
    for (const std::int64_t price : {0, 500}) {
      const auto made = made_up_problem(32, 8, 60, 3, 1, LoadFeatures::TilesAndExperts, load_rules()[rule]);
      RandomStream random{rule, 5};
      const Assignment present = random_assignment(made.problems[0], random);
      const auto front = remap_front(made.problems[0], device_contents(present, 8),
                                     {.max_moves = 9, .move_ticks = price, .iterations = 10});
      expect_exact(made.problems[0], present, front);
      EXPECT_GT(front.size(), 3u);
      EXPECT_LE(front.back().moves, 9u);
    }
}

// The best swap of all pairs of devices, each pair's judged in full. Of equal ones that of the pair that may save the
// most, then of the first.
std::optional<FoundMove> best_swap_of_all_pairs(const Placement& placement) {
  struct Pair {
    std::int64_t saving;
    std::int32_t first, second;
  };
  std::vector<Pair> pairs;
  const auto devices = static_cast<std::int32_t>(placement.problem().device_count());
  for (std::int32_t a = 0; a < devices; ++a)
    for (std::int32_t b = a + 1; b < devices; ++b) pairs.push_back({placement.max_saving(a, b), a, b});
  std::ranges::stable_sort(pairs, [](const Pair& a, const Pair& b) { return a.saving > b.saving; });
  std::optional<FoundMove> best;
  for (const Pair& pair : pairs)
    for (const auto& move : make_moves()) {
      const auto found = move->evaluate(placement, pair.first, pair.second);
      if (found && (!best || found->change < best->change)) best = found;
    }
  return best;
}

TEST(Remap, LeavingOutPairsThatCannotWinChangesNothing) {
  std::size_t swaps = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed)
    for (const std::int64_t price : {0, 200, 5000}) {
      const auto made = made_up_problem(seed % 2 == 0 ? 48 : 32, 8, 12 + seed, seed, 1, LoadFeatures::TilesAndExperts,
                                        load_rules()[seed % 3]);
      RandomStream random{seed, 3};
      const Assignment present = random_assignment(made.problems[0], random);
      const RemapRule rule{.max_moves = 10, .move_ticks = price};
      LayerProblem counted = made.problems[0];
      counted.set_present(device_contents(present, 8), {rule.max_moves, rule.move_ticks});
      Placement placement(counted, present);
      std::vector<Placement> on_the_way{placement};
      while (const auto best = best_swap_of_all_pairs(placement)) {
        const std::int64_t before = placement.cost();
        placement.apply(best->relocations);
        ASSERT_LT(placement.cost(), before);
        on_the_way.push_back(placement);
        ++swaps;
      }
      std::ranges::stable_sort(on_the_way, {}, &Placement::moves);
      std::vector<RemapPoint> expected;
      for (const Placement& made_so_far : on_the_way) {
        const std::int64_t cost = cost_by_hand(counted, made_so_far.assignment());
        if (!expected.empty() && cost >= expected.back().cost) continue;
        if (!expected.empty() && expected.back().moves == made_so_far.moves()) expected.pop_back();
        expected.push_back({made_so_far.moves(), cost, made_so_far.assignment()});
      }
      const auto front = remap_front(made.problems[0], device_contents(present, 8), rule);
      ASSERT_EQ(front.size(), expected.size());
      for (std::size_t p = 0; p < front.size(); ++p) {
        EXPECT_EQ(front[p].moves, expected[p].moves);
        EXPECT_EQ(front[p].cost, expected[p].cost);
        EXPECT_EQ(front[p].assignment, expected[p].assignment);
      }
    }
  EXPECT_GT(swaps, 60u) << "then the test would show little";
}

TEST(Remap, FindsTheBestWithinSoManyMoves) {
  std::size_t asked = 0, found = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const auto made = made_up_problem(8, 4, 30, seed);
    const LayerProblem& problem = made.problems[0];
    RandomStream random{seed};
    const Assignment present = random_assignment(problem, random);
    std::vector<std::int64_t> best(9, INT64_MAX);
    testing::for_each_assignment(problem, [&](const Assignment& assignment) {
      const std::size_t moves = moves_by_hand(present, assignment);
      best[moves] = std::min(best[moves], cost_of(problem, assignment));
    });
    for (std::size_t moves = 1; moves < best.size(); ++moves) best[moves] = std::min(best[moves], best[moves - 1]);
    const auto front = remap_front(problem, device_contents(present, 4), {.iterations = 30});
    for (std::size_t moves = 0; moves < best.size(); ++moves) {
      std::int64_t reached = INT64_MAX;
      for (const RemapPoint& point : front)
        if (point.moves <= moves) reached = std::min(reached, point.cost);
      ASSERT_GE(reached, best[moves]);
      ++asked;
      found += reached == best[moves] ? 1 : 0;
    }
  }
  EXPECT_GE(found * 100, asked * 95) << found << " of " << asked;
}

TEST(Remap, WithoutTimeThePresentPlacementAndTheTargetArePoints) {
  const auto made = made_up_problem(32, 8, 60, 9);
  RandomStream random{9};
  const Assignment present = random_assignment(made.problems[0], random);
  const Assignment target = run_start(made.problems[0], present, RandomStream{1}, {.iterations = 5}).assignment;
  RemapRule rule{.iterations = 1'000'000'000};
  rule.is_out_of_time = [] { return true; };
  const auto front = remap_front(made.problems[0], device_contents(present, 8), rule, std::span(&target, 1));
  expect_exact(made.problems[0], present, front);
  EXPECT_EQ(front.back().cost, cost_of(made.problems[0], target));
}

TEST(Remap, AMoveThatDoesNotPayIsNotMade) {
  const auto made = made_up_problem(32, 8, 60, 9);
  RandomStream random{9};
  const Assignment present = random_assignment(made.problems[0], random);
  const DeviceContents contents = device_contents(present, 8);
  const auto free = remap_front(made.problems[0], contents, {});
  std::int64_t best_gain = 0;
  for (std::size_t p = 1; p < free.size(); ++p)
    best_gain = std::max(best_gain, (free[0].cost - free[p].cost) / static_cast<std::int64_t>(free[p].moves));
  const auto dear = remap_front(made.problems[0], contents, {.move_ticks = best_gain + 1});
  EXPECT_EQ(best_point(dear, best_gain + 1), 0u);
  EXPECT_EQ(best_point(free, 0), free.size() - 1);
  const std::int64_t price = best_gain / 4;
  const auto priced = remap_front(made.problems[0], contents, {.move_ticks = price});
  const RemapPoint& chosen = priced[best_point(priced, price)];
  EXPECT_LT(chosen.cost + price * static_cast<std::int64_t>(chosen.moves), priced[0].cost);
  EXPECT_LT(chosen.moves, free.back().moves);
}

TEST(Remap, WithoutALimitItIsAtLeastAsGoodAsTheOrdinarySearch) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const auto made = made_up_problem(24, 4, 80, seed);
    RandomStream random{seed};
    const Assignment present = random_assignment(made.problems[0], random);
    const StartResult ordinary = run_start(made.problems[0], present, RandomStream{seed, 1}, {.iterations = 50});
    const Assignment targets[] = {ordinary.assignment};
    const auto front = remap_front(made.problems[0], device_contents(present, 4), {}, targets);
    expect_exact(made.problems[0], present, front);
    EXPECT_LE(front.back().cost, ordinary.cost);
  }
}

TEST(Remap, TheSearchGoesOnFromTheFrontWithMovesAtTheirPrice) {
  std::size_t better = 0;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    const auto made = made_up_problem(32, 8, 60, 3, seed, LoadFeatures::TilesAndExperts, load_rules()[0]);
    RandomStream random{seed, 5};
    const Assignment present = random_assignment(made.problems[0], random);
    const DeviceContents contents = device_contents(present, 8);
    const RemapRule rule{.max_moves = 10, .move_ticks = 300};
    const auto front = remap_front(made.problems[0], contents, rule);
    const RemapPoint descended = front[best_point(front, rule.move_ticks)];
    const RemapPoint searched = best_remap(made.problems[0], contents, rule, 25);
    EXPECT_EQ(searched.cost, cost_by_hand(made.problems[0], searched.assignment));
    EXPECT_EQ(searched.moves, moves_by_hand(present, searched.assignment));
    EXPECT_LE(searched.moves, rule.max_moves);
    const auto priced = [&](const RemapPoint& point) {
      return point.cost + static_cast<std::int64_t>(point.moves) * rule.move_ticks;
    };
    EXPECT_LE(priced(searched), priced(descended));
    better += priced(searched) < priced(descended) ? 1 : 0;
    EXPECT_EQ(best_remap(made.problems[0], contents, rule, 25).assignment, searched.assignment);
  }
  EXPECT_GT(better, 0u) << "the search finds what the descent doesn't";
}

TEST(Remap, TheSameArgumentsGiveTheSameAnswer) {
  const auto made = made_up_problem(32, 8, 60, 4);
  RandomStream random{4};
  const Assignment present = random_assignment(made.problems[0], random);
  const RemapRule rule{.max_moves = 8, .iterations = 20, .seed = 7};
  const auto first = remap_front(made.problems[0], device_contents(present, 8), rule);
  const auto second = remap_front(made.problems[0], device_contents(present, 8), rule);
  ASSERT_EQ(first.size(), second.size());
  for (std::size_t p = 0; p < first.size(); ++p) EXPECT_EQ(first[p].assignment, second[p].assignment);
}

TEST(Remap, EqualDevicesThatChangeNamesNeedNoMove) {
  auto made = made_up_problem(16, 4, 30, 2);
  for (std::size_t d = 0; d < 4; ++d)
    for (std::size_t p = 0; p < made.profile.points.size(); ++p)
      made.profile.median_s(d, p) = made.profile.median_s(d / 2 * 2, p);
  const LayerProblem problem = layer_problems(CostModel(made.profile), made.trace)[0];
  const Assignment present{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
  Assignment renamed = present;
  for (std::int32_t& device : renamed) device ^= 1;
  EXPECT_EQ(relabelled(problem, device_contents(present, 4), renamed), present);
  for (std::int32_t& device : renamed) device ^= 2;
  EXPECT_EQ(
      count_moves(problem, device_contents(present, 4), relabelled(problem, device_contents(present, 4), renamed)), 16u)
      << "devices of different speed keep what they have";
}

// Of 10 experts the first two of four devices of one speed have 3.
TEST(Remap, EqualDevicesWithFewerSlotsKeepTheirNames) {
  auto made = made_up_problem(10, 4, 30, 2);
  for (std::size_t d = 0; d < 4; ++d)
    std::ranges::copy(made.profile.median_s.row(0), made.profile.median_s.row(d).begin());
  const LayerProblem problem = layer_problems(CostModel(made.profile), made.trace)[0];
  const Assignment present{0, 0, 0, 1, 1, 1, 2, 2, 3, 3}, target{2, 2, 0, 3, 3, 1, 0, 0, 1, 1};
  const Assignment renamed = relabelled(problem, device_contents(present, 4), target);
  EXPECT_EQ(cost_of(problem, renamed), cost_of(problem, target));
  const Assignment targets[] = {target};
  for (const RemapPoint& point : remap_front(problem, device_contents(present, 4), {.iterations = 5}, targets))
    for (std::int32_t d = 0; d < 4; ++d)
      EXPECT_EQ(std::ranges::count(point.assignment, d), d < 2 ? 3 : 2) << "device " << d;
  for (std::int32_t d = 0; d < 4; ++d) EXPECT_EQ(std::ranges::count(renamed, d), d < 2 ? 3 : 2) << "device " << d;
}

// The sums of nodes, and with them the cost, are those of the target.
TEST(Remap, EqualDevicesOfOtherNodesKeepTheirNames) {
  auto made = made_up_problem(16, 4, 30, 2);
  for (std::size_t d = 0; d < 4; ++d)
    std::ranges::copy(made.profile.median_s.row(0), made.profile.median_s.row(d).begin());
  made.profile.expert = {2048, 1024};
  made.profile.topology = {"stated", {0, 0, 1, 1}, {{0.0, 50e9}, {0.0, 5e9}}};
  const LayerProblem problem =
      layer_problems(CostModel(made.profile, {.across_nodes = AcrossNodes::Node}), made.trace)[0];
  ASSERT_FALSE(problem.tables().node_of().empty());
  const Assignment present{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
  Assignment target = present;
  for (std::int32_t& device : target) device = device == 1 ? 2 : device == 2 ? 1 : device;
  EXPECT_EQ(cost_of(problem, relabelled(problem, device_contents(present, 4), target)), cost_of(problem, target));
}

TEST(Remap, OtherCopiesThanNowTakeTheFewestMoves) {
  const auto made = made_up_problem(16, 4, 50, 6);
  const CostModel model(made.profile);
  CopyCounts now(1, 16, 1), wanted(1, 16, 1);
  for (const std::size_t expert : {0u, 1u, 2u, 3u}) now(0, expert) = 2;
  for (const std::size_t expert : {0u, 1u, 8u, 9u}) wanted(0, expert) = 2;
  const Assignment present{0, 1, 1, 2, 2, 3, 0, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
  DeviceContents contents(4);
  const std::vector<std::int32_t> expert_of_copy = experts_of_copies(now.row(0));
  for (std::size_t copy = 0; copy < present.size(); ++copy)
    contents[static_cast<std::size_t>(present[copy])].push_back(expert_of_copy[copy]);
  const LayerProblem same = problems_of(model, made.trace, now)[0], other = problems_of(model, made.trace, wanted)[0];
  const auto stays = remap_front(same, contents, {.max_moves = 6, .iterations = 5});
  EXPECT_EQ(stays[0].moves, 0u);
  EXPECT_EQ(stays[0].assignment, present);
  const auto changes = remap_front(other, contents, {.max_moves = 6, .iterations = 5});
  EXPECT_EQ(changes[0].moves, 2u) << "the two further copies";
  for (const auto* front : {&stays, &changes})
    for (const RemapPoint& point : *front) {
      const LayerProblem& problem = front == &stays ? same : other;
      EXPECT_EQ(point.cost, cost_by_hand(problem, point.assignment));
      EXPECT_EQ(point.moves, count_moves(problem, contents, point.assignment));
      EXPECT_LE(point.moves, 6u);
      const Placement placement(problem, point.assignment);
      for (std::int32_t copy = 0; copy < 20; ++copy)
        EXPECT_TRUE(placement.may_hold(point.assignment[static_cast<std::size_t>(copy)], copy));
    }
}

TEST(Remap, ABudgetOfAllLayersGoesWhereItBringsTheMost) {
  const auto point = [](std::size_t moves, std::int64_t cost) { return RemapPoint{moves, cost, {}}; };
  const std::vector<std::vector<RemapPoint>> fronts{
      {point(0, 100), point(2, 90), point(4, 60)}, {point(0, 100), point(2, 80), point(4, 79)}, {point(0, 100)}};
  EXPECT_EQ(choose_points(fronts, 0, 100), (std::vector<std::size_t>{2, 2, 0}));
  EXPECT_EQ(choose_points(fronts, 0, 6), (std::vector<std::size_t>{2, 1, 0}));
  EXPECT_EQ(choose_points(fronts, 0, 3), (std::vector<std::size_t>{0, 1, 0})) << "four moves are too many";
  EXPECT_EQ(choose_points(fronts, 9, 100), (std::vector<std::size_t>{2, 1, 0})) << "each step pays";
  EXPECT_EQ(choose_points(fronts, 10, 100), (std::vector<std::size_t>{0, 0, 0}));
}

// Makes the moves one by one; each expert must be in a slot, or in the buffer, all the time.
void expect_plan(const DeviceContents& present, const DeviceContents& wanted, std::size_t expert_count) {
  DeviceContents contents = present;
  std::int32_t buffered = -1;
  std::size_t arrivals = 0, copied = 0;
  for (std::size_t device = 0; device < wanted.size(); ++device)
    for (const std::int32_t expert : wanted[device])
      arrivals += std::ranges::find(present[device], expert) == present[device].end() ? 1 : 0;
  for (const ExpertMove& move : plan_moves(0, present, wanted)) {
    ASSERT_NO_THROW(apply_move(move, contents, buffered));
    copied += move.from_device != move.to_device ? 1 : 0;
    for (std::int32_t expert = 0; expert < static_cast<std::int32_t>(expert_count); ++expert)
      ASSERT_TRUE(expert == buffered || std::ranges::any_of(contents, [&](const auto& device) {
                    return std::ranges::find(device, expert) != device.end();
                  }));
  }
  EXPECT_EQ(buffered, -1);
  EXPECT_EQ(copied, arrivals) << "no expert's weights travel twice";
  for (auto* all : {&contents})
    for (auto& device : *all) std::ranges::sort(device);
  DeviceContents sorted = wanted;
  for (auto& device : sorted) std::ranges::sort(device);
  EXPECT_EQ(contents, sorted);
}

TEST(MovePlan, NoExpertIsLostOnTheWay) {
  expect_plan({{0, 1}, {2, 3}}, {{0, 1}, {2, 3}}, 4);
  expect_plan({{0, 1}, {2, 3}}, {{0, 2}, {1, 3}}, 4);
  expect_plan({{0, 1}, {2, 3}, {4, 5}}, {{5, 2}, {0, 4}, {1, 3}}, 6);
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    const std::size_t devices = 2 + seed % 4, copies = seed % 3 * devices, experts = 3 * devices;
    const CostModel model(testing::made_up_profile(devices, 3 + seed % 3));
    const LoadTrace trace = testing::made_up_trace(4, 1, experts, seed);
    DeviceContents contents[2];
    RandomStream random{seed};
    for (DeviceContents& side : contents) {
      CopyCounts counts(1, experts, 1);
      for (std::size_t i = 0; i < copies; ++i) {
        std::int32_t& count = counts(0, random.below(experts));
        if (count == static_cast<std::int32_t>(devices))
          --i;
        else
          ++count;
      }
      const LayerProblem problem = problems_of(model, trace, copies > 0 ? counts : CopyCounts{})[0];
      const Assignment assignment = random_assignment(problem, random);
      side.resize(devices);
      for (std::size_t placed = 0; placed < assignment.size(); ++placed)
        side[static_cast<std::size_t>(assignment[placed])].push_back(
            problem.expert_of(static_cast<std::int32_t>(placed)));
    }
    expect_plan(contents[0], contents[1], experts);
  }
}

TEST(MovePlan, AMoveThatWouldLoseAnExpertIsRefused) {
  DeviceContents contents{{0, 1}, {2, 3}};
  std::int32_t buffered = -1;
  EXPECT_THROW(apply_move({0, 0, 0, 1, 2}, contents, buffered), DataError);
  EXPECT_THROW(apply_move({0, 2, 0, 1, -1}, contents, buffered), DataError);
  EXPECT_THROW(apply_move({0, 0, 1, 1, 2}, contents, buffered), DataError);
}

TEST(Matching, IsTheBestOfAll) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    RandomStream random{seed};
    Matrix<std::int64_t> gain(5, 5);
    for (std::int64_t& value : gain.values()) value = static_cast<std::int64_t>(random.below(8));
    const auto sum_of_matched = [&](const std::vector<std::size_t>& columns) {
      std::int64_t sum = 0;
      for (std::size_t row = 0; row < 5; ++row) sum += gain(row, columns[row]);
      return sum;
    };
    std::vector<std::size_t> columns(5);
    std::iota(columns.begin(), columns.end(), std::size_t{0});
    std::int64_t best = 0;
    do best = std::max(best, sum_of_matched(columns));
    while (std::next_permutation(columns.begin(), columns.end()));
    std::vector<std::size_t> matched = best_matching(gain);
    EXPECT_EQ(sum_of_matched(matched), best);
    std::ranges::sort(matched);
    std::iota(columns.begin(), columns.end(), std::size_t{0});
    EXPECT_EQ(matched, columns) << "each column once";
  }
}

}  // namespace
}  // namespace gem
