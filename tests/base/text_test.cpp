#include "base/text.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace gem {
namespace {

TEST(Text, SecondsCarryTheUnitThatSuits) {
  EXPECT_EQ(format_seconds(0.00123), "1.23 ms");
  EXPECT_EQ(format_seconds(4.5e-6), "4.5 us");
  EXPECT_EQ(format_seconds(2.0), "2 s");
  EXPECT_EQ(format_duration(200), "3 min 20 s");
}

TEST(Text, NumbersAreWholeWords) {
  EXPECT_EQ(parse_number_list("1.0, 1.28", "--slowdown"), (std::vector<double>{1.0, 1.28}));
  EXPECT_THROW(parse_number("1.0x", "--slowdown"), UsageError);
  EXPECT_THROW(parse_number("nan", "--slowdown"), UsageError);
  EXPECT_THROW(parse_integer("", "--steps"), UsageError);
}

TEST(Text, WrapBreaksBetweenWords) {
  EXPECT_EQ(wrap("one two three", 7), "one two\nthree");
  EXPECT_EQ(wrap("unbreakable", 4), "unbreakable");
}

TEST(Text, NearWordsComeNearestFirst) {
  const std::vector<std::string> names{"gpt-oss-20b", "gpt-oss-120b", "Mixtral-8x7B"};
  EXPECT_EQ(near_words("gpt-oss-20", names).front(), "gpt-oss-20b");
  EXPECT_TRUE(near_words("zzzzzzzzzzzzzz", names).empty());
  const std::vector<std::string> options{"device", "steps", "trace"};
  EXPECT_EQ(near_words("trcae", options).front(), "trace");
  EXPECT_TRUE(near_words("dtype", options).empty()) << "three letters of five are others";
}

}  // namespace
}  // namespace gem
