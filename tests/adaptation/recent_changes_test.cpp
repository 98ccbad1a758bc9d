#include "adaptation/recent_changes.hpp"

#include <gtest/gtest.h>

namespace gem {
namespace {

TEST(RecentChanges, AreFewUntilNineWereInAThousandSteps) {
  RecentChanges changes;
  for (std::size_t i = 0; i < 9; ++i) {
    EXPECT_TRUE(changes.are_few(100 + i)) << i;
    changes.add(100 + 10 * i);
  }
  EXPECT_FALSE(changes.are_few(180));
  EXPECT_FALSE(changes.are_few(1099));
  EXPECT_TRUE(changes.are_few(1100)) << "the first, at 100, is a thousand steps ago";
  changes.add(1100);
  EXPECT_FALSE(changes.are_few(1109));
  EXPECT_TRUE(changes.are_few(1110)) << "and so is the second";
}

}  // namespace
}  // namespace gem
