#include "platform/file_system/named_files.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.hpp"
#include "platform/file_system/whole_file.hpp"
#include "temporary_directory.hpp"

namespace gem::test {
namespace {

namespace fs = std::filesystem;

std::string refusal_of(const std::vector<NamedFile>& inputs, const std::vector<NamedFile>& outputs) {
  try {
    keep_apart(inputs, outputs);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(NamedFiles, AnOutputThatIsAnInputByWhateverNameIsRefused) {
  const TemporaryDirectory directory;
  const std::string input = directory / "in";
  write_whole_text(input, "precious");
  fs::create_symlink(input, directory / "link");
  fs::create_symlink("link", directory / "link-to-link");
  fs::create_hard_link(input, directory / "hard");
  fs::create_directory(directory / "folder");
  fs::create_directory_symlink(directory / "folder", directory / "way");
  for (const std::string name : {"in", "./in", "folder/../in", "link", "link-to-link", "hard", "way/../in"}) {
    const std::string refusal = refusal_of({{"--trace", input}}, {{"--output", directory / name}});
    EXPECT_NE(refusal.find("--output would destroy the file that is read by --trace"), std::string::npos) << name;
  }
  EXPECT_NE(refusal_of({{"--trace", fs::relative(input)}}, {{"--output", input}}), "");
  EXPECT_EQ(refusal_of({{"--trace", input}}, {{"--output", directory / "out"}}), "");
}

TEST(NamedFiles, TwoOutputsOfOneNameAreRefusedBeforeTheyAreThere) {
  const TemporaryDirectory directory;
  fs::create_symlink("b", directory / "link-to-nothing");
  const std::string a = directory / "a", b = directory / "b";
  EXPECT_NE(refusal_of({}, {{"--one", a}, {"--two", directory / "./a"}}).find("--one and --two are the same file"),
            std::string::npos);
  EXPECT_NE(refusal_of({}, {{"--one", b}, {"--two", directory / "link-to-nothing"}}), "");
  EXPECT_NE(refusal_of({}, {{"--one", directory / "no/such/x"}, {"--two", directory / "no/such/./x"}}), "");
  EXPECT_EQ(refusal_of({}, {{"--one", a}, {"--two", b}}), "");
}

TEST(NamedFiles, FilesThatAreNotGivenAreNoneAndInputsMayBeTheSame) {
  const TemporaryDirectory directory;
  EXPECT_EQ(refusal_of({{"--a", ""}, {"--b", ""}}, {{"--c", ""}, {"--d", ""}}), "");
  EXPECT_EQ(refusal_of({{"--a", directory / "x"}, {"--b", directory / "x"}}, {{"--c", directory / "y"}}), "");
}

TEST(NamedFiles, LinksThatGoRoundAreASentence) {
  const TemporaryDirectory directory;
  fs::create_symlink("two", directory / "one");
  fs::create_symlink("one", directory / "two");
  EXPECT_THROW(keep_apart({}, std::vector<NamedFile>{{"--output", directory / "one"}}), SystemError);
}

}  // namespace
}  // namespace gem::test
