#include "platform/command_line/program.hpp"

#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "file_size_limit.hpp"
#include "platform/file_system/whole_file.hpp"
#include "temporary_directory.hpp"

namespace gem::test {
namespace {

TEST(Program, AFileBeyondTheSizeLimitIsASystemErrorNotADeath) {
  const TemporaryDirectory directory;
  const FileSizeLimit limit(100, SIG_DFL);
  std::string name = "gem-test";
  char* arguments[] = {name.data(), nullptr};
  const int code = run_serial_program(1, arguments, [&](const Arguments&) {
    write_whole_file(directory / "large", std::vector<std::byte>(1000));
    return 0;
  });
  EXPECT_EQ(code, static_cast<int>(ExitCode::System));
  EXPECT_EQ(directory.file_count(), 0u);
}

TEST(ProgramDeathTest, CtrlCSaysWhatIsKeptAndIsNoVerdict) {
  std::string name = "bin/gem-test";
  char* arguments[] = {name.data(), nullptr};
  const auto ended_by = [&](int signal) {
    return run_serial_program(1, arguments, [&](const Arguments&) { return std::raise(signal); });
  };
  for (const int signal : {SIGINT, SIGTERM})
    EXPECT_EXIT(std::exit(ended_by(signal)), testing::ExitedWithCode(static_cast<int>(ExitCode::System)),
                "^gem-test: ended from outside; .*start again");
}

TEST(Program, WhatCtrlCSaysTakesThePlaceOfTheProgressOnATerminal) {
  int terminal = -1;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, nullptr);
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::string name = "gem-test";
    char* arguments[] = {name.data(), nullptr};
    run_serial_program(1, arguments, [](const Arguments&) {
      std::fputs("steps 7/9", stderr);
      return std::raise(SIGINT);
    });
    _exit(0);
  }
  std::string shown;
  char buffer[4096];
  for (ssize_t count = 0; (count = read(terminal, buffer, sizeof buffer)) > 0;)
    shown.append(buffer, static_cast<std::size_t>(count));
  close(terminal);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), static_cast<int>(ExitCode::System));
  EXPECT_TRUE(shown.starts_with("steps 7/9\r\033[Kgem-test: ended from outside")) << shown;
}

}  // namespace
}  // namespace gem::test
