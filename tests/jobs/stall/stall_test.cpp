// A rank that stops for ever (a hanging driver, a frozen host) ends every program within its patience, by name.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include "jobs/profile/background_run.hpp"
#include "jobs/program_run.hpp"
#include "platform/host/host_info.hpp"

namespace gem {
namespace {

const std::string bin = GEM_PROGRAM_DIR "/";
const std::string mpirun = GEM_MPIRUN_COMMAND " -n 2 ";

class Stall : public testing::Test {
 protected:
  /// Stops a rank once the program is at work, and expects it to end, naming that rank. On a machine that others use
  /// too it may be starting yet, in calls of MPI that know no names: then it is given more time.
  void expect_end(const std::string& command, int stopped_rank) const {
    const std::string name = "rank " + std::to_string(stopped_rank) + " on " + host_name();
    std::string said = stop(command, stopped_rank, std::chrono::milliseconds(2500));
    if (said.find("took longer than") != std::string::npos)
      said = stop(command, stopped_rank, std::chrono::seconds(12));
    EXPECT_NE(said.find(name + ", which has not answered"), std::string::npos) << command << "\n" << said;
  }

  /// What the program says whose rank is stopped after so long; it must end, and leave no rank behind.
  std::string stop(const std::string& command, int stopped_rank, std::chrono::milliseconds after) const {
    const std::string log = folder_.file("log");
    BackgroundRun job(mpirun + bin + command + " --patience 4", log);
    std::this_thread::sleep_for(after);
    const std::vector<pid_t> ranks = job.children();
    EXPECT_EQ(ranks.size(), 2u) << command << "\n" << content_of(log);
    if (ranks.size() != 2) return content_of(log);
    kill(ranks[static_cast<std::size_t>(stopped_rank)], SIGSTOP);
    EXPECT_EQ(job.wait(40.0), 4) << command << "\n" << content_of(log);
    const auto is_left = [&] { return std::ranges::any_of(ranks, [](pid_t rank) { return kill(rank, 0) == 0; }); };
    for (int i = 0; i < 100 && is_left(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_FALSE(is_left()) << "a rank is left behind";
    return content_of(log);
  }

  void make(const std::string& command) const {
    const ProgramRun made = folder_.run(bin + command);
    ASSERT_EQ(made.code, 0) << command << made.errors;
  }

  TestFolder folder_;
};

TEST_F(Stall, EndsMapping) {
  make("gem-trace synthesize --model gpt-oss-20b --steps 64 --output " + folder_.file("trace.h5"));
  make("gem-profile --model gpt-oss-20b --device simulated --devices 4 --output " + folder_.file("profile.h5"));
  const std::string map = "gem-map --profile " + folder_.file("profile.h5") + " --trace " + folder_.file("trace.h5") +
                          " --starts 1000 --iterations 100000 --output " + folder_.file("mapping.h5");
  for (const int rank : {0, 1}) expect_end(map, rank);
}

TEST_F(Stall, EndsMeasuring) {
  for (const std::string devices :
       {"host --dtype f32 --expert-shape 256x256 --tile-tokens 16 --max-point-time 5",
        "simulated --devices 4 --points-per-doubling 64 --max-tokens 65536 --max-samples 10000 --min-samples 10000"})
    expect_end("gem-profile --model gpt-oss-20b --device " + devices + " --output " + folder_.file("profile.h5"), 1);
}

/// Programs in which ranks exchange what the experts compute.
TEST_F(Stall, EndsReplaysAndAdaptation) {
  const std::string profile = folder_.file("profile.h5"), trace = folder_.file("trace.h5"),
                    mapping = folder_.file("mapping.h5"), files = " --profile " + profile + " --trace " + trace;
  make("gem-trace synthesize --model gpt-oss-20b --steps 512 --output " + trace);
  const ProgramRun made = folder_.run(mpirun + bin +
                                      "gem-profile --model gpt-oss-20b --device host --dtype f32 --expert-shape 64x64 "
                                      "--tile-tokens 16 --max-tokens 256 --min-samples 3 --max-samples 5 --output " +
                                      profile);
  ASSERT_EQ(made.code, 0) << made.errors;
  make("gem-map --method eplb" + files + " --output " + mapping);
  for (const int rank : {0, 1}) {
    expect_end("gem-verify --device host --steps 400 --first-step 0 --rounds 1000" + files + " --mapping " + mapping +
                   " --output " + folder_.file("report.h5"),
               rank);
    expect_end("gem-adapt --device host --layer-count 2 --steps 100000" + files + " --output " + folder_.file("run.h5"),
               rank);
  }
}

TEST_F(Stall, EndsABatch) {
  std::ofstream(folder_.file("plan.toml"))
      << "output = \"results\"\n[defaults]\ndevice = \"simulated\"\ndevices = 16\nsteps = 512\nstarts = 64\n"
         "iterations = 5000\n[[model]]\nname = \"gpt-oss-20b\"\n[[model.task]]\nname = \"one\"\nsynthetic = true\n"
         "[[model.task]]\nname = \"two\"\nsynthetic = true\n";
  for (const int rank : {0, 1}) expect_end("gem-batch " + folder_.file("plan.toml"), rank);
}

}  // namespace
}  // namespace gem
