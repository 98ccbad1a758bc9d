#include "batch/stamp.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.hpp"
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

}  // namespace
}  // namespace gem
