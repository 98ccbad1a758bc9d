#include "adaptation/move_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace gem {
namespace {

const std::vector<Assignment> linear{{0, 0, 1, 1}, {0, 0, 1, 1}};

TEST(MoveQueue, ALayerChangesOnlyWhenAllOfItHasBeenSent) {
  std::vector<Assignment> present = linear;
  MoveQueue queue;
  queue.want({{1, {1, 1, 0, 0}}, {0, {1, 0, 0, 1}}});
  std::vector<std::size_t> sent;
  while (!queue.is_empty()) {
    const MoveBatch batch = queue.next(present, 3);
    sent.push_back(batch.transfers.size());
    EXPECT_EQ(present[batch.layer], linear[batch.layer]) << "experts stay where they are until all have arrived";
    if (batch.completes) queue.complete(present);
  }
  EXPECT_EQ(sent, (std::vector<std::size_t>{3, 1, 2})) << "within the budget, a batch of one layer";
  EXPECT_EQ(present, (std::vector<Assignment>{{1, 0, 0, 1}, {1, 1, 0, 0}}));
}

TEST(MoveQueue, NewWishesReplaceOldOnesButNotALayerThatHasBegun) {
  std::vector<Assignment> present = linear;
  MoveQueue queue;
  queue.want({{0, {1, 1, 0, 0}}, {1, {1, 1, 0, 0}}});
  EXPECT_FALSE(queue.next(present, 1).completes);
  queue.want({{1, {1, 0, 1, 0}}});
  EXPECT_EQ(queue.next(present, 9).transfers.size(), 3u) << "what is left of the layer that has begun";
  queue.complete(present);
  EXPECT_EQ(queue.next(present, 9).transfers.size(), 2u);
  queue.complete(present);
  EXPECT_EQ(present, (std::vector<Assignment>{{1, 1, 0, 0}, {1, 0, 1, 0}}));
}

TEST(MoveQueue, WithoutABudgetOrWishesNothingMoves) {
  MoveQueue queue;
  EXPECT_TRUE(queue.next(linear, 9).transfers.empty());
  queue.want({{0, linear[0]}, {1, {1, 0, 0, 1}}});
  EXPECT_TRUE(queue.next(linear, 0).transfers.empty());
  EXPECT_EQ(queue.next(linear, 9).layer, 1u) << "a layer that is as it is wanted is passed over";
}

TEST(MoveQueue, ArrivalsHavePlacesOfTheirOwnAndTakeTheSlotsOfWhatLeaves) {
  const Assignment from{0, 0, 1, 1, 2, 2}, to{1, 2, 0, 1, 2, 0};
  const std::vector<ExpertTransfer> transfers = transfers_between(from, to);
  ASSERT_EQ(transfers.size(), 4u);
  for (const std::int32_t device : {0, 1, 2}) {
    std::size_t arrivals = 0;
    for (const ExpertTransfer& transfer : transfers)
      if (transfer.to == device) {
        EXPECT_EQ(transfer.place, arrivals++);
      }
    const std::vector<SlotChange> changes = slot_changes(from, to, device);
    ASSERT_EQ(changes.size(), arrivals);
    for (const SlotChange& change : changes) {
      EXPECT_EQ(from[static_cast<std::size_t>(change.leaving)], device);
      EXPECT_NE(to[static_cast<std::size_t>(change.leaving)], device);
      EXPECT_EQ(to[static_cast<std::size_t>(change.arriving)], device);
    }
  }
}

}  // namespace
}  // namespace gem
