#include "batch/stamp.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.hpp"
#include "batch/manifest.hpp"
#include "temporary_directory.hpp"

namespace gem {
namespace {

void write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

TEST(Stamp, IsFreshUntilOptionInputOrOutputChanges) {
  const test::TemporaryDirectory folder;
  const std::string input = folder / "input", output = folder / "output", stamp = folder / "stage.stamp";
  const auto key = [&](const std::string& option) {
    StageKey made("stage");
    made.add("option", option);
    made.add_file("input", input);
    return made;
  };
  write(input, "one");
  write(output, "result");
  EXPECT_FALSE(is_fresh(stamp, key("a")));
  write_stamp(stamp, key("a"), {output});
  EXPECT_TRUE(is_fresh(stamp, key("a")));
  EXPECT_FALSE(is_fresh(stamp, key("b")));
  write(input, "two");
  EXPECT_FALSE(is_fresh(stamp, key("a")));
  write(input, "one");
  EXPECT_TRUE(is_fresh(stamp, key("a")));
  write(output, "resulT");
  EXPECT_FALSE(is_fresh(stamp, key("a")));
  std::filesystem::remove(output);
  EXPECT_FALSE(is_fresh(stamp, key("a")));
}

TEST(Stamp, AnAbsentInputIsNamed) {
  StageKey key("stage");
  EXPECT_THROW(key.add_file("input", "absent/file"), DataError);
}

// Another value than an option's own; empty where none is known to be one.
std::string other_value(const Option& option) {
  switch (option.kind()) {
    case OptionKind::Flag:
      return option.is_on() ? "false" : "true";
    case OptionKind::Count:
    case OptionKind::Counts:
      return option.name().key == "levels" ? "2" : "7";
    case OptionKind::Number:
      return option.name().key == "burst_steps" ? "7" : "0.75";
    case OptionKind::NumbersOrFile:
      return "1,2";
    default:
      return "";
  }
}

TEST(StageKey, HoldsEveryOptionThatResultsDependOn) {
  const auto digest = [](const BatchPair& pair) {
    StageKey key("all");
    key.add_options(pair);
    return key.digest();
  };
  BatchPair pair;
  OptionList options;
  describe(options, pair);
  const BatchPair before = pair;
  for (const Option& option : options.all()) {
    const std::string other = other_value(option);
    if (other.empty()) continue;
    option.set(other);
    EXPECT_EQ(digest(before) != digest(pair), option.is_in_results()) << option.name().key;
    pair = before;
  }
}

}  // namespace
}  // namespace gem
