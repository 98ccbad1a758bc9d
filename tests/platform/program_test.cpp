#include "platform/command_line/program.hpp"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace gem::test
