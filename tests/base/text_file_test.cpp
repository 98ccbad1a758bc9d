#include "base/text_file.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.hpp"
#include "temporary_directory.hpp"

namespace gem {
namespace {

constexpr std::uint64_t most_bytes = 8;

template <class Error>
std::string message_of(const std::string& path) {
  try {
    read_needed_text(path, most_bytes);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(TextFile, IsReadUpToASize) {
  const test::TemporaryDirectory folder;
  std::ofstream(folder / "short") << "12345678";
  std::ofstream(folder / "long") << "123456789";
  EXPECT_EQ(read_needed_text(folder / "short", most_bytes), "12345678");
  EXPECT_EQ(read_text_file(folder / "short", most_bytes), "12345678");
  EXPECT_EQ(message_of<DataError>(folder / "long"),
            folder / "long" + ": has 9 B, but at most 8 B are read as one text");
}

TEST(TextFile, SaysWhyThereIsNone) {
  const test::TemporaryDirectory folder;
  const std::string missing = folder / "missing", long_name = folder / std::string(300, 'x');
  EXPECT_EQ(read_text_file(missing, most_bytes), std::nullopt);
  EXPECT_EQ(message_of<DataError>(missing), missing + ": there is no such file; check the name");
  EXPECT_EQ(message_of<DataError>(folder / ""), (folder / "") + ": is not a regular file; give a file");
  EXPECT_EQ(message_of<SystemError>(long_name), "cannot read " + long_name + ": File name too long; check the name");
}

}  // namespace
}  // namespace gem
