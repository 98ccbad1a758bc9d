// gem-adapt as a user runs it.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "adaptation/policies.hpp"
#include "files/adaptation_file.hpp"
#include "jobs/program_run.hpp"

namespace gem {
namespace {

std::string program(const std::string& name) {
  return std::string(GEM_PROGRAM_DIR) + "/" + name + " ";
}

// A profile of 4 simulated devices of a model with 8 experts, and traces of two tasks.
void write_inputs(const TestFolder& folder) {
  const std::string shape = folder.file("model.csv");
  std::ofstream(shape) << "model,hidden_size,moe_intermediate_size,num_layers,moe_layers,routed_experts,top_k,"
                          "shared_experts,shared_intermediate_size,weight_dtype,"
                          "gate_up_down_bytes_per_expert_bf16,routed_bytes_per_moe_layer_bf16,source,confidence\n"
                          "tiny,256,256,3,3,16,2,0,0,bf16,393216,6291456,made up,verified\n";
  const ProgramRun made =
      folder.run(program("gem-profile") +
                 "--device simulated --devices 4 --slowdown 1,1.05,1.1,1.2 --max-samples 10 --quiet "
                 "--model " +
                 shape + " --output " + folder.file("profile.h5"));
  ASSERT_EQ(made.code, 0) << made.errors;
  for (const int seed : {1, 2}) {
    const ProgramRun trace =
        folder.run(program("gem-trace") + fmt::format("synthesize --model {} --steps 300 --tokens 512 --seed {} "
                                                      "--output {} --quiet",
                                                      shape, seed, folder.file(fmt::format("task{}.h5", seed))));
    ASSERT_EQ(trace.code, 0) << trace.errors;
  }
}

std::string adapt(const TestFolder& folder, const std::string& options) {
  return program("gem-adapt") + "--profile " + folder.file("profile.h5") + " --trace " + folder.file("task1.h5") +
         " --trace " + folder.file("task2.h5") + " --output " + folder.file("adaptation.h5") + " " + options;
}

TEST(AdaptProgram, FollowsTasksAndDevicesAndWritesWhatItSaw) {
  const TestFolder folder;
  write_inputs(folder);
  std::ofstream(folder.file("slow.csv")) << "step,device,slowdown\n200,0,1.28\n";
  const ProgramRun run = folder.run(
      adapt(folder, "--move-time 1e-6 --steps 600 --slowdown-changes " + folder.file("slow.csv") + " --seed 3"));
  ASSERT_EQ(run.code, 0) << run.output << run.errors;
  EXPECT_NE(run.output.find("VERDICT: "), std::string::npos) << run.output;
  EXPECT_NE(run.output.find(" - triggered gem takes "), std::string::npos) << run.output;
  const AdaptationReport report = read_adaptation(folder.file("adaptation.h5"));
  ASSERT_EQ(report.policies.size(), 6u);
  EXPECT_EQ(report.policies[1], reference_policy);
  EXPECT_EQ(report.step_count(), 600u - report.first_step);
  EXPECT_EQ(report.changes, (std::vector<std::int32_t>{200 - 128, 300 - 128}));
  EXPECT_EQ(report.slowdown(500 - 128, 0), 1.28);
  EXPECT_NEAR(report.believed_slowdown(500 - 128, 0), 1.28, 0.02);
  const ProgramRun again = folder.run(
      adapt(folder, "--move-time 1e-6 --steps 600 --slowdown-changes " + folder.file("slow.csv") + " --seed 3"));
  EXPECT_EQ(run.output, again.output) << "the same arguments give the same answer";
}

TEST(AdaptProgram, RepeatsWhatMakesTheProfileDoubtful) {
  const TestFolder folder;
  write_inputs(folder);
  const std::string dry = adapt(folder, "--move-time 1e-6 --steps 600 --dry-run");
  EXPECT_EQ(folder.run(dry).output.find("Warning"), std::string::npos);
  const ProgramRun equal =
      folder.run(program("gem-profile") + "--device simulated --devices 4 --max-samples 10 --quiet --model " +
                 folder.file("model.csv") + " --output " + folder.file("profile.h5"));
  ASSERT_EQ(equal.code, 0) << equal.errors;
  const std::string doubt = "the devices are not distinguishable";
  EXPECT_NE(folder.run(dry).output.find("Warning: " + doubt), std::string::npos) << folder.run(dry).output;
  EXPECT_NE(folder.run(dry + " --json").output.find("\"profile_doubts\": \"" + doubt), std::string::npos);
}

TEST(AdaptProgram, WhatDoesNotFitIsRefusedWithTheRemedy) {
  const TestFolder folder;
  write_inputs(folder);
  const auto expect = [&](const std::string& options, int code, const std::string& part) {
    const ProgramRun run = folder.run(adapt(folder, options));
    EXPECT_EQ(run.code, code) << options << run.errors;
    EXPECT_NE(run.errors.find(part), std::string::npos) << run.errors;
    EXPECT_FALSE(std::filesystem::exists(folder.file("adaptation.h5")));
  };
  expect("", 2, "--move-time");
  expect("--move-time 1e-6 --steps 150", 2, "--steps");
  std::ofstream(folder.file("slow.csv")) << "step,device,slowdown\n200,7,1.28\n";
  expect("--move-time 1e-6 --slowdown-changes " + folder.file("slow.csv"), 3, "slow.csv, line 2");
  expect("--move-time 1e-6 --slowdown-changes " + folder.file("none.csv"), 3, "none.csv");
  EXPECT_EQ(folder.run(adapt(folder, "--move-time 1e-6 --dry-run")).code, 0);
  EXPECT_FALSE(std::filesystem::exists(folder.file("adaptation.h5")));
}

}  // namespace
}  // namespace gem
