#include "platform/file_system/temporary_file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/error.hpp"
#include "platform/file_system/whole_file.hpp"
#include "temporary_directory.hpp"

namespace gem::test {
namespace {

namespace fs = std::filesystem;

std::string text_of(const std::string& path) {
  return read_whole_text(path, 1000);
}

unsigned mode_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(stat(path.c_str(), &status), 0);
  return status.st_mode & 0777;
}

std::string refusal_of(const std::string& path) {
  try {
    write_whole_text(path, "new");
  } catch (const SystemError& error) {
    return error.what();
  }
  return "";
}

std::vector<std::string> names_in(const TemporaryDirectory& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory / "")) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

TEST(TemporaryFile, WritesThroughALinkAndLeavesIt) {
  const TemporaryDirectory directory;
  fs::create_directory(directory / "far");
  write_whole_text(directory / "far/target", "old");
  fs::create_symlink("far/target", directory / "link");
  fs::create_symlink("far/later", directory / "to-nothing");
  write_whole_text(directory / "link", "new");
  write_whole_text(directory / "to-nothing", "fresh");
  EXPECT_TRUE(fs::is_symlink(directory / "link"));
  EXPECT_TRUE(fs::is_symlink(directory / "to-nothing"));
  EXPECT_EQ(text_of(directory / "far/target"), "new");
  EXPECT_EQ(text_of(directory / "far/later"), "fresh");
  EXPECT_EQ(directory.file_count(), 3u);
}

TEST(TemporaryFile, KeepsTheModeOfWhatItReplaces) {
  const TemporaryDirectory directory;
  for (const fs::perms mode : {fs::perms(0600), fs::perms(0640), fs::perms(0755)}) {
    write_whole_text(directory / "file", "old");
    fs::permissions(directory / "file", mode);
    write_whole_text(directory / "file", "new");
    EXPECT_EQ(mode_of(directory / "file"), static_cast<unsigned>(mode));
  }
  const mode_t mask = umask(027);
  write_whole_text(directory / "fresh", "new");
  umask(mask);
  EXPECT_EQ(mode_of(directory / "fresh"), 0640u);
}

TEST(TemporaryFile, ReplacesRegularFilesOnly) {
  const TemporaryDirectory directory;
  ASSERT_EQ(mkfifo((directory / "pipe").c_str(), 0600), 0);
  fs::create_symlink("pipe", directory / "link-to-pipe");
  fs::create_symlink("/dev/null", directory / "link-to-device");
  for (const std::string name : {"pipe", "link-to-pipe", "link-to-device"})
    EXPECT_NE(refusal_of(directory / name).find("is not a regular file"), std::string::npos) << name;
  EXPECT_TRUE(fs::is_fifo(directory / "pipe"));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST(TemporaryFile, DoesNotReplaceWhatStandardOutputGoesTo) {
  const TemporaryDirectory directory;
  const int child = fork();
  if (child == 0) {
    const int descriptor = open((directory / "log").c_str(), O_WRONLY | O_CREAT, 0600);
    dup2(descriptor, STDOUT_FILENO);
    const bool refused = refusal_of("/dev/stdout").find("what this program prints goes there") != std::string::npos;
    _exit(refused ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(TemporaryFile, NothingSetUpInTheFolderIsWrittenTo) {
  // What could be foreseen of names before: the process's number.
  const TemporaryDirectory directory;
  write_whole_text(directory / "victim", "precious");
  fs::create_symlink("victim", directory / ("out." + std::to_string(getpid()) + ".tmp"));
  write_whole_text(directory / "out", "new");
  EXPECT_EQ(text_of(directory / "victim"), "precious");
  std::string first, second;
  {
    const TemporaryFile one(directory / "x");
    for (const std::string& name : names_in(directory)) first = is_temporary_name(name) ? name : first;
  }
  {
    const TemporaryFile two(directory / "x");
    for (const std::string& name : names_in(directory)) second = is_temporary_name(name) ? name : second;
  }
  EXPECT_NE(first, "");
  EXPECT_NE(first, second);
}

TEST(TemporaryFile, WhatAKilledProcessLeftIsSweptUpByTheNext) {
  const TemporaryDirectory directory;
  const int child = fork();
  if (child == 0) {
    TemporaryFile file(directory / "out");
    file.write(std::as_bytes(std::span("half", 4)));
    _exit(0);  // without destructors, as by a kill
  }
  int status = -1;
  waitpid(child, &status, 0);
  ASSERT_EQ(directory.file_count(), 1u);
  const TemporaryFile other(directory / "other-out");
  EXPECT_EQ(directory.file_count(), 2u) << "another file's is left alone";
  write_whole_text(directory / "out", "new");
  EXPECT_EQ(directory.file_count(), 2u);
}

TEST(TemporaryFile, WhatALivingProcessWritesIsNotSweptUp) {
  const TemporaryDirectory directory;
  TemporaryFile slow(directory / "out");
  write_whole_text(directory / "out", "other");
  slow.write(std::as_bytes(std::span("slow", 4)));
  slow.synchronize();
  slow.rename_to_final();
  EXPECT_EQ(text_of(directory / "out"), "slow");
  EXPECT_EQ(directory.file_count(), 1u);
}

TEST(TemporaryFile, NamesAsLongAsTheFileSystemAllows) {
  const TemporaryDirectory directory;
  const std::string longest(255, 'n');
  write_whole_text(directory / longest, "new");
  EXPECT_EQ(text_of(directory / longest), "new");
  const std::string refusal = refusal_of(directory / std::string(300, 'n'));
  EXPECT_NE(refusal.find("File name too long; give a shorter name"), std::string::npos) << refusal;
  EXPECT_EQ(directory.file_count(), 1u);
}

}  // namespace
}  // namespace gem::test
