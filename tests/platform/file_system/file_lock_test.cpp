#include "platform/file_system/file_lock.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <vector>

#include "base/error.hpp"
#include "platform/file_system/whole_file.hpp"
#include "platform/host/host_info.hpp"
#include "temporary_directory.hpp"

namespace gem::test {
namespace {

using Method = FileLock::Method;
using Kind = FileLock::Kind;

std::string refusal_of(const std::string& path, Kind kind, Method method) {
  try {
    const FileLock lock(path, kind, false, "the output", method);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

class FileLockBy : public testing::TestWithParam<Method> {};
INSTANTIATE_TEST_SUITE_P(Methods, FileLockBy, testing::Values(Method::BySystem, Method::ByFile));

TEST_P(FileLockBy, IsHeldByOneAndItsFileGoesWithIt) {
  const TemporaryDirectory directory;
  const std::string path = directory / "lock";
  {
    const FileLock lock(path, Kind::Exclusive, false, "the output", GetParam());
    const std::string refusal = refusal_of(path, Kind::Exclusive, GetParam());
    EXPECT_NE(refusal.find("the output is in use by process " + std::to_string(getpid())), std::string::npos)
        << refusal;
  }
  EXPECT_EQ(directory.file_count(), 0u);
  EXPECT_EQ(refusal_of(path, Kind::Exclusive, GetParam()), "");
}

TEST_P(FileLockBy, OfAProcessThatWasKilledIsFree) {
  const TemporaryDirectory directory;
  const std::string path = directory / "lock";
  const int child = fork();
  if (child == 0) {
    const FileLock lock(path, Kind::Exclusive, false, "the output", GetParam());
    _exit(0);  // without destructors
  }
  int status = -1;
  waitpid(child, &status, 0);
  ASSERT_EQ(directory.file_count(), 1u);
  EXPECT_EQ(refusal_of(path, Kind::Exclusive, GetParam()), "");
  EXPECT_EQ(directory.file_count(), 0u);
}

TEST(FileLock, WithoutLocksOfTheSystemOneLeftBehindIsTakenOverByOneAlone) {
  const TemporaryDirectory directory;
  const std::string path = directory / "lock";
  const int gone = fork();
  if (gone == 0) _exit(0);
  waitpid(gone, nullptr, 0);
  for (int round = 0; round < 20; ++round) {
    write_whole_text(path, fmt::format("process {} on {}\n", gone, host_name()));
    // Who has it keeps it until all have said how they fared, however slow the machine.
    int said[2], over[2];
    ASSERT_EQ(pipe(said) + pipe(over), 0);
    std::vector<int> children;
    for (int child = 0; child < 8; ++child) {
      children.push_back(fork());
      if (children.back() != 0) continue;
      close(over[1]);
      char holds = 1;
      try {
        const FileLock lock(path, Kind::Exclusive, false, "x", Method::ByFile);
        char none = 0;
        _exit(write(said[1], &holds, 1) == 1 && read(over[0], &none, 1) == 0 ? 0 : 1);
      } catch (const UsageError&) {
        holds = 0;
        _exit(write(said[1], &holds, 1) == 1 ? 0 : 1);
      }
    }
    int holders = 0;
    for (std::size_t child = 0; child < children.size(); ++child) {
      char holds = 0;
      ASSERT_EQ(read(said[0], &holds, 1), 1);
      holders += holds;
    }
    close(over[1]);
    for (const int child : children) waitpid(child, nullptr, 0);
    for (const int end : {said[0], said[1], over[0]}) close(end);
    EXPECT_LE(holders, 1) << "round " << round;
    std::filesystem::remove(path);
  }
  EXPECT_EQ(directory.file_count(), 0u) << "nothing of who took it over is left";
}

TEST(FileLock, WithoutLocksOfTheSystemAClaimOfOneThatWasKilledKeepsNobodyOut) {
  const TemporaryDirectory directory;
  const std::string path = directory / "lock";
  const int gone = fork();
  if (gone == 0) _exit(0);
  waitpid(gone, nullptr, 0);
  for (const char* ending : {"", ".claim"})
    write_whole_text(path + ending, fmt::format("process {} on {}\n", gone, host_name()));
  EXPECT_EQ(refusal_of(path, Kind::Exclusive, Method::ByFile), "");
  EXPECT_EQ(directory.file_count(), 0u);
  // One that somebody alive has made is respected.
  write_whole_text(path, fmt::format("process {} on {}\n", gone, host_name()));
  write_whole_text(path + ".claim", fmt::format("process {} on {}\n", getpid(), host_name()));
  EXPECT_NE(refusal_of(path, Kind::Exclusive, Method::ByFile), "");
  EXPECT_EQ(directory.file_count(), 2u);
}

TEST(FileLock, WithoutLocksOfTheSystemAnotherHostsIsLeftAlone) {
  const TemporaryDirectory directory;
  write_whole_text(directory / "lock", "process 1 on elsewhere-" + host_name() + "\n");
  const std::string refusal = refusal_of(directory / "lock", Kind::Exclusive, Method::ByFile);
  EXPECT_NE(refusal.find("if it has ended, remove "), std::string::npos) << refusal;
}

TEST(FileLock, IsSharedByThoseWhoAskForThat) {
  const TemporaryDirectory directory;
  std::optional<FileLock> first(std::in_place, directory / "lock", Kind::Shared, false, "the folder");
  {
    const FileLock second(directory / "lock", Kind::Shared, false, "the folder");
    EXPECT_NE(refusal_of(directory / "lock", Kind::Exclusive, Method::BySystem), "");
  }
  EXPECT_EQ(directory.file_count(), 1u) << "the first still has it";
  first.reset();
  EXPECT_EQ(directory.file_count(), 0u);
}

TEST(FileLock, InAFolderThatIsNotThereIsRefused) {
  const TemporaryDirectory directory;
  for (const Method method : {Method::BySystem, Method::ByFile})
    EXPECT_THROW(FileLock(directory / "absent/lock", Kind::Exclusive, false, "x", method), SystemError);
}

TEST(FileLock, IsNotTakenThroughALink) {
  const TemporaryDirectory directory;
  write_whole_text(directory / "victim", "precious");
  std::filesystem::create_symlink("victim", directory / "lock");
  EXPECT_THROW(FileLock(directory / "lock", Kind::Exclusive, false, "x"), SystemError);
  EXPECT_THROW(FileLock(directory / "lock", Kind::Exclusive, false, "x", Method::ByFile), SystemError);
}

}  // namespace
}  // namespace gem::test
