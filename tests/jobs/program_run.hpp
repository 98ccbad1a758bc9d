#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <stdexcept>
#include <string>

namespace gem {

struct ProgramRun {
  int code = -1;  ///< exit code; -1 if a signal ended it
  std::string output;
  std::string errors;
};

/// A folder of this test's own, empty at first and removed at last.
class TestFolder {
 public:
  TestFolder() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::path(testing::TempDir()) /
            (std::string("gem_") + test->test_suite_name() + "_" + test->name());
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  std::string file(const std::string& name) const { return (path_ / name).string(); }

  /// Whether nothing but the named files is in the folder.
  bool holds_only(const std::initializer_list<std::string> names) const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      static_cast<void>(entry);
      ++count;
    }
    for (const std::string& name : names)
      if (!std::filesystem::exists(path_ / name)) return false;
    return count == names.size();
  }

  /// Runs a shell command and keeps what it prints.
  ProgramRun run(const std::string& command) const {
    const std::string errors_path = path_.string() + ".errors";
    std::FILE* pipe = popen((command + " 2>'" + errors_path + "'").c_str(), "r");
    if (pipe == nullptr) throw std::runtime_error("cannot start: " + command);
    ProgramRun run;
    char buffer[4096];
    while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, pipe)) run.output.append(buffer, count);
    const int status = pclose(pipe);
    if (WIFEXITED(status)) run.code = WEXITSTATUS(status);
    std::ostringstream errors;
    errors << std::ifstream(errors_path).rdbuf();
    run.errors = errors.str();
    std::filesystem::remove(errors_path);
    return run;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace gem
