// What tests of the whole way share: how programs are started, and small inputs.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "jobs/program_run.hpp"

namespace gem {

inline const std::string bin = GEM_PROGRAM_DIR "/";
inline const std::string routing = GEM_DATA_DIR "/routing/gpt-oss-20b.gpqa.h5";

inline std::string on_ranks(int count, const std::string& command) {
  return std::string(GEM_MPIRUN_COMMAND) + " -n " + std::to_string(count) + " " + bin + command;
}

inline void expect_good(const TestFolder& folder, const std::string& command) {
  const ProgramRun run = folder.run(command);
  ASSERT_EQ(run.code, 0) << command << "\n" << run.output << run.errors;
}

// One line of ours that holds the words; the launcher may add its own.
inline void expect_refused(const TestFolder& folder, const std::string& command, int code, const std::string& words) {
  const ProgramRun run = folder.run(command);
  EXPECT_EQ(run.code, code) << command << "\n" << run.errors;
  EXPECT_NE(run.errors.find(words), std::string::npos) << command << "\n" << run.errors;
}

// A small profile, traces and a mapping for `devices` simulated devices.
inline void make_inputs(const TestFolder& folder, int devices) {
  expect_good(folder, bin + "gem-profile --quiet --model gpt-oss-20b --device simulated --devices " +
                          std::to_string(devices) + " --slowdown 1.0,1.28 --max-tokens 1024 --output " +
                          folder.file("profile.h5"));
  for (const std::string part : {"train", "test"})
    expect_good(folder, bin + "gem-trace batch --quiet --routing " + routing + " --batch-size 64 --steps 16 --part " +
                            part + " --output " + folder.file(part + ".h5"));
  expect_good(folder, bin + "gem-map --quiet --effort fast --profile " + folder.file("profile.h5") + " --trace " +
                          folder.file("train.h5") + " --output " + folder.file("gem.h5"));
}

inline std::string verify(const TestFolder& folder, const std::string& options) {
  return "gem-verify --profile " + folder.file("profile.h5") + " --trace " + folder.file("test.h5") + " --mapping " +
         folder.file("gem.h5") + " --output " + folder.file("report.h5") + " " + options;
}

// Text that was broken into lines, as one.
inline std::string one_line(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return text;
}

}  // namespace gem
