#pragma once

#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <stdexcept>
#include <string>

#include "temporary_directory.hpp"

namespace gem {

/// All of a file; empty where there is none.
inline std::string content_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

struct ProgramRun {
  int code = -1;  ///< exit code; -1 if a signal ended it
  std::string output;
  std::string errors;
};

/// A folder of this test's own, empty at first and removed at last.
class TestFolder {
 public:
  std::string file(const std::string& name) const { return folder_ / name; }

  /// Whether nothing but the named files is in the folder.
  bool holds_only(const std::initializer_list<std::string> names) const {
    for (const std::string& name : names)
      if (!std::filesystem::exists(file(name))) return false;
    return folder_.file_count() == names.size();
  }

  /// Runs a shell command and keeps what it prints.
  ProgramRun run(const std::string& command) const {
    const test::TemporaryDirectory aside;
    const std::string errors_path = aside / "errors";
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
    return run;
  }

 private:
  test::TemporaryDirectory folder_;
};

}  // namespace gem
