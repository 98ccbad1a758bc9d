// gem-adapt with weights that really move, killed in the middle of it.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "adaptation/policies.hpp"
#include "files/adaptation_file.hpp"
#include "jobs/profile/background_run.hpp"
#include "jobs/program_run.hpp"

namespace gem {
namespace {

const std::string bin = GEM_PROGRAM_DIR "/";
const std::string mpirun = GEM_MPIRUN_COMMAND " -n 2 ";

class AdaptLive : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(folder_.file("model.csv"))
        << "model,hidden_size,moe_intermediate_size,num_layers,moe_layers,routed_experts,top_k,shared_experts,"
           "shared_intermediate_size,weight_dtype,gate_up_down_bytes_per_expert_bf16,"
           "routed_bytes_per_moe_layer_bf16,source,confidence\n"
           "tiny,64,32,2,2,8,2,0,0,bf16,12288,98304,made up,verified\n";
    make(mpirun + bin +
         "gem-profile --device host --dtype f32 --tile-tokens 4 --max-tokens 128 --points-per-doubling 1 " +
         "--max-samples 3 --min-samples 3 --quiet --model " + folder_.file("model.csv") + " --output " +
         folder_.file("profile.h5"));
    for (const std::string seed : {"1", "2"})
      make(bin + "gem-trace synthesize --quiet --steps 60 --tokens 32 --seed " + seed + " --model " +
           folder_.file("model.csv") + " --output " + folder_.file("task" + seed + ".h5"));
  }

  void make(const std::string& command) const {
    const ProgramRun made = folder_.run(command);
    ASSERT_EQ(made.code, 0) << command << made.errors;
  }

  // Something moves all the time: the periodic policies map anew every 4 steps.
  std::string adapt(std::size_t steps, const std::string& device = "host") const {
    return bin + "gem-adapt --device " + device + " --move during --moves-per-step 2 --train-steps 16 --window 32 " +
           "--engine-window 8 --engine-interval 4 --quiet --patience 20 --steps " + std::to_string(steps) +
           " --profile " + folder_.file("profile.h5") + " --trace " + folder_.file("task1.h5") + " --trace " +
           folder_.file("task2.h5") + " --output " + folder_.file("adaptation.h5");
  }

  TestFolder folder_;
};

TEST_F(AdaptLive, KilledInTheMiddleNothingHangsAndARunAfterItIsWhole) {
  std::ofstream(folder_.file("adaptation.h5")) << "as it was";
  for (const std::size_t killed : {0, 1}) {
    BackgroundRun job(mpirun + adapt(100000), folder_.file("log"));
    std::vector<pid_t> ranks;
    for (int i = 0; i < 200 && ranks.size() < 2; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      ranks = job.children();
    }
    ASSERT_EQ(ranks.size(), 2u) << content_of(folder_.file("log"));
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    kill(ranks[killed], SIGKILL);
    EXPECT_GT(job.wait(40.0), 0) << content_of(folder_.file("log"));
    EXPECT_EQ(content_of(folder_.file("adaptation.h5")), "as it was");
    EXPECT_TRUE(folder_.holds_only({"adaptation.h5", "log", "model.csv", "profile.h5", "task1.h5", "task2.h5"}));
  }
  const ProgramRun whole = folder_.run(mpirun + adapt(80));
  EXPECT_TRUE(whole.code == 0 || whole.code == 1) << whole.errors;
  EXPECT_NE(whole.output.find("Outputs: "), std::string::npos) << whole.output;
  EXPECT_EQ(whole.output.find("WRONG"), std::string::npos) << whole.output;
  const AdaptationReport report = read_adaptation(folder_.file("adaptation.h5"));
  EXPECT_EQ(report.moving, "during");
  EXPECT_EQ(report.unequal_values, std::vector<std::int64_t>(6, 0)) << "weights are what they were before the kill";
}

TEST_F(AdaptLive, WhatDevicesCannotDoIsRefused) {
  const auto expect = [&](const std::string& command, const std::string& part) {
    const ProgramRun run = folder_.run(command);
    EXPECT_EQ(run.code, 2) << command;
    EXPECT_NE(run.errors.find(part), std::string::npos) << run.errors;
  };
  expect(adapt(80, "simulated"), "--move during");
  expect(adapt(80), "mpirun -n 2");
  expect(mpirun + adapt(80) + " --move-bytes-per-step 5", "--move-bytes-per-step");
  expect(adapt(80, "command"), "--device");
}

}  // namespace
}  // namespace gem
