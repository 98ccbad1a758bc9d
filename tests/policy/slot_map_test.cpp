#include "policy/slot_map.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "cost/prediction.hpp"
#include "search/random_problem.hpp"

namespace gem {
namespace {

using Row = std::vector<std::int32_t>;

TEST(SlotMap, ExpertsThatStayKeepTheirSlots) {
  const Row present = {3, 1, 0, 2, 5, 4};
  // Device 0 gets 5 for 3; what comes takes the slot that became free.
  EXPECT_EQ(arranged(present, {0, 0, 1, 1, 1, 0}, {}, 3), (Row{5, 1, 0, 2, 3, 4}));
  EXPECT_EQ(arranged(present, {0, 0, 1, 0, 1, 1}, {}, 3), present);
}

TEST(SlotMap, CopiesAreTheirExperts) {
  // Experts 0, 0, 1, 2: a second copy of 0 comes to device 1, 1 to device 0.
  const Row present = {0, 2, 1, 2};
  EXPECT_EQ(arranged(present, {0, 1, 0, 1}, Row{0, 0, 1, 2}, 2), (Row{0, 1, 0, 2}));
  EXPECT_EQ(moves_between(present, Row{0, 1, 0, 2}, 2), 2u);
}

TEST(SlotMap, AnExpertTwiceOnADeviceIsOneThatItHas) {
  EXPECT_EQ(moves_between(Row{0, 0, 1, 2}, Row{0, 1, 0, 2}, 2), 2u);
  EXPECT_EQ(moves_between(Row{0, 0, 1, 2}, Row{0, 0, 2, 1}, 2), 0u);
}

TEST(SlotMap, WhatCannotBeServedIsRefused) {
  EXPECT_NO_THROW(check_slots(Row{1, 0, 1, 2}, 0, 3));
  EXPECT_THROW(check_slots(Row{1, 0, 1, 1}, 0, 3), DataError);
  EXPECT_THROW(check_slots(Row{1, 0, -1, 2}, 0, 3), DataError);
  EXPECT_THROW(check_slots(Row{1, 0, 3, 2}, 0, 3), DataError);
}

TEST(SlotMap, TakesWhatThePredictionOfMappingsSays) {
  const std::size_t devices = 4, experts = 12;
  for (const LoadCosts& rule : testing::load_rules()) {
    const auto made = testing::made_up_problem(experts, devices, 20, 7, 2, LoadFeatures::TilesAndExperts, rule);
    const CostModel model(made.profile);
    Row row;
    std::vector<std::int32_t> homes;
    for (std::int32_t e = 0; e < static_cast<std::int32_t>(experts); ++e) {
      row.push_back((e * 5) % static_cast<std::int32_t>(experts));
      homes.push_back(0);
    }
    for (std::size_t slot = 0; slot < row.size(); ++slot)
      homes[static_cast<std::size_t>(row[slot])] = static_cast<std::int32_t>(slot / 3);
    const auto seconds = predict(model, profiled_stage, made.trace, {ExpertHomes(homes), ExpertHomes(homes)});
    double expected = 0.0;
    for (std::size_t t = 0; t < 20; ++t) expected += std::ranges::max(seconds.row(t, 1));
    EXPECT_NEAR(slots_seconds(model, made.trace, 1, row, 3), expected, 1e-12);
  }
}

}  // namespace
}  // namespace gem
