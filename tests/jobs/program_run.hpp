#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
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

/// The first line of a text that is wider than a terminal of 80 columns without need; empty if there is none. A path, a
/// name or another word that can't be broken may be wider, behind a label of at most 24 letters ("Trace written to ");
/// so may JSON, which programs read, and sentences, which are broken on a terminal (PrintableOutput): what is checked
/// is what is indented, as commands are, and tables.
inline std::string too_wide_line(const std::string& text) {
  constexpr std::size_t columns = 80, longest_label = 24;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();  // a terminal's
    const auto letters = static_cast<std::size_t>(
        std::ranges::count_if(line, [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U; }));
    const bool is_laid_out = line.starts_with(' ') || line.find("  ") != std::string::npos;
    if (letters <= columns || !is_laid_out || line.starts_with('{')) continue;
    std::size_t longest = 0, begin = 0;
    for (bool is_quoted = false; const char letter : line + " ") {  // what a shell takes as one word
      if (letter == '\'') is_quoted = !is_quoted;
      ++begin;
      if (letter != ' ' || is_quoted) continue;
      longest = std::max(longest, begin);
      begin = 0;
    }
    if (line.size() > longest + longest_label) return line;
  }
  return "";
}

/// The text with commands that go on in a next line as one line each.
inline std::string as_one_line(std::string text) {
  for (std::size_t at; (at = text.find(" \\\n")) != std::string::npos;)
    text.erase(at, text.find_first_not_of(' ', at + 3) - at - 1);
  return text;
}

/// The text with each line break as a space: a sentence may be broken anywhere.
inline std::string unbroken(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return text;
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

  /// Runs a shell command and keeps what it prints. What a program of GEM prints has to fit a terminal; sentences on
  /// standard error are a line each here, and broken on a terminal (PrintableOutput).
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
    EXPECT_EQ(too_wide_line(run.output), "") << "wider than 80 columns: " << command;
    return run;
  }

 private:
  test::TemporaryDirectory folder_;
};

}  // namespace gem
