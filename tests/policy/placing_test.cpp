#include "policy/placing.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.hpp"
#include "policy/slot_map.hpp"
#include "search/random_problem.hpp"

namespace gem {
namespace {

struct Case {
  std::size_t experts, slots, devices, layers;
};
constexpr Case cases[] = {{16, 16, 4, 2}, {16, 20, 4, 2}, {6, 8, 2, 3}, {32, 48, 8, 1}, {5, 6, 2, 1}, {8, 8, 1, 1}};

Matrix<std::int32_t> linear_map(const Case& c) {
  Matrix<std::int32_t> map(c.layers, c.slots);
  for (std::size_t l = 0; l < c.layers; ++l)
    for (std::size_t s = 0; s < c.slots; ++s) map(l, s) = static_cast<std::int32_t>(s % c.experts);
  return map;
}

PlacingQuestion question_of(const Case& c, std::uint64_t seed, std::size_t steps = 24) {
  PlacingQuestion question;
  const LoadTrace trace = testing::made_up_trace(steps, c.layers, c.experts, seed);
  question.searched = steps_of(trace, 0, steps / 2);
  question.judged = steps_of(trace, steps / 2, steps - steps / 2);
  question.present = linear_map(c);
  question.slots_per_device = c.slots / c.devices;
  question.horizon_steps = 1000.0;
  return question;
}

CostModel model_of(const Case& c) {
  return CostModel(testing::made_up_profile(c.devices, c.slots / c.devices));
}

void expect_servable(const Matrix<std::int32_t>& map, const Case& c) {
  ASSERT_EQ(map.rows(), c.layers);
  ASSERT_EQ(map.columns(), c.slots);
  for (std::size_t l = 0; l < c.layers; ++l) {
    check_slots(map.row(l), l, c.experts);
    for (const auto& held : contents_of(map.row(l), c.slots / c.devices))
      EXPECT_EQ(std::set<std::int32_t>(held.begin(), held.end()).size(), held.size()) << "twice on a device";
  }
}

TEST(Placing, TheMapIsWhatItSaysItIs) {
  for (const Case& c : cases)
    for (const std::size_t max_moves : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{5}, SIZE_MAX}) {
      const CostModel model = model_of(c);
      PlacingQuestion question = question_of(c, 3);
      question.max_moves = max_moves;
      question.move_s = 1e-6;
      const PlacingAnswer answer = place_experts(model, question);
      expect_servable(answer.map, c);
      double present_s = 0.0, placed_s = 0.0;
      std::size_t moves = 0, changed = 0;
      for (std::size_t l = 0; l < c.layers; ++l) {
        const auto steps = static_cast<double>(question.judged.step_count());
        const double before =
            slots_seconds(model, question.judged, l, question.present.row(l), question.slots_per_device) / steps;
        const double after =
            slots_seconds(model, question.judged, l, answer.map.row(l), question.slots_per_device) / steps;
        const std::size_t layer_moves =
            moves_between(question.present.row(l), answer.map.row(l), question.slots_per_device);
        EXPECT_LE(layer_moves, max_moves);
        // What a layer gains pays for its moves, or it stays.
        if (layer_moves > 0)
          EXPECT_GT((before - after) * question.horizon_steps,
                    static_cast<double>(layer_moves) * question.move_s - 1e-6);
        else
          EXPECT_TRUE(std::ranges::equal(question.present.row(l), answer.map.row(l)));
        present_s += before;
        placed_s += after;
        moves += layer_moves;
        changed += layer_moves > 0;
      }
      EXPECT_EQ(answer.moves, moves);
      EXPECT_EQ(answer.changed_layers, changed);
      EXPECT_NEAR(answer.present_s, present_s, 1e-8);
      EXPECT_NEAR(answer.placed_s, placed_s, 1e-8);
    }
}

TEST(Placing, MoreMovesBringMore) {
  const Case c{32, 32, 4, 1};
  PlacingQuestion question = question_of(c, 5);
  question.judged = question.searched;
  double last_s = 1e9;
  for (const std::size_t max_moves : {0u, 2u, 4u, 8u, 32u}) {
    question.max_moves = max_moves;
    const PlacingAnswer answer = place_experts(model_of(c), question);
    EXPECT_LE(answer.placed_s, last_s);
    last_s = answer.placed_s;
  }
  EXPECT_LT(last_s, 0.9 * place_experts(model_of(c), question).present_s);
}

TEST(Placing, NothingMovesThatDoesNotPay) {
  for (const Case& c : cases) {
    PlacingQuestion question = question_of(c, 9);
    question.move_s = 1.0;
    question.horizon_steps = 10.0;
    const PlacingAnswer answer = place_experts(model_of(c), question);
    EXPECT_EQ(answer.moves, 0u);
    EXPECT_EQ(answer.map, question.present);
    EXPECT_EQ(answer.placed_s, answer.present_s);
  }
}

TEST(Placing, AnOptimumStays) {
  const Case c{16, 16, 4, 2};
  PlacingQuestion question = question_of(c, 11);
  question.judged = question.searched;
  question.present = place_experts(model_of(c), question).map;
  const PlacingAnswer again = place_experts(model_of(c), question);
  EXPECT_EQ(again.map, question.present);
  EXPECT_EQ(again.moves, 0u);
}

TEST(Placing, ChanceDoesNotMoveExperts) {
  // Steps of which none tells anything of the next: what looks better on half of them isn't on the others.
  const Case c{16, 16, 4, 40};
  PlacingQuestion question = question_of(c, 1);
  RandomStream random{4};
  for (LoadTrace* part : {&question.searched, &question.judged}) {
    part->counts = Cube<std::uint32_t>(24, c.layers, c.experts);
    for (std::uint32_t& tokens : part->counts.values()) tokens = static_cast<std::uint32_t>(64 + random.below(64));
  }
  question.max_moves = 4;
  question.move_s = 1e-4;
  const CostModel equal(testing::made_up_profile(c.devices, 4, 1.0));
  const PlacingAnswer careful = place_experts(equal, question);
  question.judged = question.searched;
  const PlacingAnswer deceived = place_experts(equal, question);
  EXPECT_LT(careful.changed_layers, deceived.changed_layers / 2);
}

TEST(Placing, TheMovesOfAllLayersAreLimited) {
  const Case c{16, 16, 4, 6};
  PlacingQuestion question = question_of(c, 13);
  const std::size_t all = place_experts(model_of(c), question).moves;
  ASSERT_GT(all, 6u);
  question.max_total_moves = 6;
  const PlacingAnswer answer = place_experts(model_of(c), question);
  EXPECT_LE(answer.moves, 6u);
  EXPECT_GT(answer.moves, 0u);
}

TEST(Placing, AMapWithAnExpertTwiceOnADeviceIsRepairedWhereThatPays) {
  const Case c{6, 8, 2, 1};
  PlacingQuestion question = question_of(c, 17);
  const std::int32_t row[] = {0, 0, 1, 2, 3, 4, 5, 1};
  std::ranges::copy(row, question.present.row(0).begin());
  const PlacingAnswer answer = place_experts(model_of(c), question);
  EXPECT_GT(answer.moves, 0u);
  expect_servable(answer.map, c);
  question.move_s = 1e3;
  EXPECT_EQ(place_experts(model_of(c), question).map, question.present);
}

TEST(Placing, WithoutAPresentMapTheBestOfASearch) {
  for (const Case& c : cases) {
    PlacingQuestion question = question_of(c, 19);
    question.present = {};
    question.iterations = 10;
    const PlacingAnswer answer = place_experts(model_of(c), question);
    expect_servable(answer.map, c);
    EXPECT_EQ(answer.moves, 0u);
    question.judged = question.searched;
    const PlacingAnswer in_sample = place_experts(model_of(c), question);
    EXPECT_LE(in_sample.placed_s, in_sample.present_s * (1.0 + 1e-9));
  }
}

TEST(Placing, LatenciesBeyondReckoningAreRefused) {
  const Case c{6, 8, 2, 1};
  LatencyProfile slow = testing::made_up_profile(c.devices, 4);
  for (double& seconds : slow.median_s.values()) seconds *= 1e15;
  EXPECT_THROW(place_experts(CostModel(slow), question_of(c, 29)), UsageError);
}

TEST(Placing, AnImpossiblePresentMapIsRefused) {
  const Case c{6, 8, 2, 1};
  PlacingQuestion question = question_of(c, 23);
  question.present(0, 0) = 6;
  EXPECT_THROW(place_experts(model_of(c), question), DataError);
}

}  // namespace
}  // namespace gem
