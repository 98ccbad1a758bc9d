#include "model/expert_copies.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace gem {
namespace {

using Devices = std::vector<std::int32_t>;

Mapping with_copies() {
  Mapping mapping;
  mapping.device_count = 3;
  mapping.layer_ids = {5};
  mapping.expert_to_device = Matrix<std::int32_t>(1, 3);
  mapping.expert_to_device.values() = {0, 1, 2};
  mapping.redundant = Matrix<RedundantCopy>(1, 3);
  mapping.redundant.values() = {{0, 1}, {0, 2}, {2, 0}};
  return mapping;
}

TEST(ExpertCopies, SharesAreEvenAndLeaveNothingOut) {
  for (std::uint32_t tokens : {0u, 1u, 2u, 7u, 9u, 1000u})
    for (std::size_t copies = 1; copies <= 5; ++copies) {
      std::uint32_t sum = 0;
      for (std::size_t copy = 0; copy < copies; ++copy) {
        sum += share_of(tokens, copies, copy);
        EXPECT_LE(share_of(tokens, copies, 0) - share_of(tokens, copies, copy), 1u);
      }
      EXPECT_EQ(sum, tokens);
    }
}

TEST(ExpertCopies, HomesNameTheFirstHomeFirst) {
  const ExpertHomes homes = homes_of(with_copies(), 0);
  EXPECT_EQ(homes.expert_count(), 3u);
  EXPECT_EQ(Devices(homes.of(0).begin(), homes.of(0).end()), (Devices{0, 1, 2}));
  EXPECT_EQ(Devices(homes.of(1).begin(), homes.of(1).end()), (Devices{1}));
  EXPECT_EQ(Devices(homes.of(2).begin(), homes.of(2).end()), (Devices{2, 0}));
  EXPECT_EQ(homes.tokens_on(0, 0, 8), 3u);
  EXPECT_EQ(homes.tokens_on(2, 0, 8), 2u);
  EXPECT_EQ(homes.tokens_on(0, 1, 8), 0u);
  EXPECT_EQ(homes.tokens_on(2, 2, 5), 3u);
}

TEST(ExpertCopies, ATraceIsSplitLayerByLayer) {
  LoadTrace trace;
  trace.counts = Cube<std::uint32_t>(1, 2, 3);
  trace.counts.values() = {5, 0, 3, 4, 4, 4};
  CopyCounts copies(2, 3, 1);
  copies(0, 0) = 2;
  copies(1, 2) = 2;
  const LoadTrace split = split_over_copies(trace, copies);
  EXPECT_EQ(split.counts.values(), (std::vector<std::uint32_t>{3, 2, 0, 3, 4, 4, 2, 2}));
  EXPECT_EQ(experts_of_copies(copies.row(0)), (Devices{0, 0, 1, 2}));
  EXPECT_EQ(experts_of_copies(copies.row(1)), (Devices{0, 1, 2, 2}));
}

TEST(ExpertCopies, SlotsAndChecksCountThem) {
  EXPECT_EQ(with_copies().slots_per_device(), 2u);
  EXPECT_EQ(slots_of(with_copies()).values(), (Devices{0, 2, 0, 1, 0, 2}));
  EXPECT_NO_THROW(check_mapping(with_copies(), "m.h5"));
  Mapping twice = with_copies();
  twice.redundant(0, 2) = {0, 0};
  EXPECT_ANY_THROW(check_mapping(twice, "m.h5"));
  Mapping foreign = with_copies();
  foreign.redundant(0, 2).device = 3;
  EXPECT_ANY_THROW(check_mapping(foreign, "m.h5"));
}

}  // namespace
}  // namespace gem
