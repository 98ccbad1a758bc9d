#include "platform/command_line/program.hpp"

#include <gtest/gtest.h>

#include <csignal>
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

}  // namespace
}  // namespace gem::test
