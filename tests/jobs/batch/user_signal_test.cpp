// SIGUSR1, which schedulers send before the time is up: save, stop cleanly, go on later.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "files/profile_file.hpp"
#include "jobs/profile/background_run.hpp"
#include "jobs/program_run.hpp"

namespace gem {
namespace {

constexpr int interrupted = 75;

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

bool wait_for(BackgroundRun& run, const std::string& path) {
  for (int i = 0; i < 3000 && run.is_running(); ++i) {
    if (std::filesystem::exists(path)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST(UserSignal, AProfileStopsWithItsRowsSavedAndEndsAsAnUndisturbedOne) {
  const TestFolder folder;
  const std::string path = folder.file("profile.h5"), whole = folder.file("whole.h5"), log = folder.file("log");
  const std::string command = std::string(GEM_MPIRUN) + " -n 2 " + GEM_PROGRAM_DIR +
                              "/gem-profile --model Qwen3-30B-A3B --device simulated --devices 128 --max-tokens 4096 "
                              "--points-per-doubling 8 --min-samples 400 --max-samples 400 --quiet --output ";
  ASSERT_EQ(folder.run(command + whole).code, 0);
  {
    BackgroundRun run(command + path, log);
    ASSERT_TRUE(wait_for(run, path + ".partial")) << text_of(log);
    for (pid_t rank : run.children()) kill(rank, SIGUSR1);
    EXPECT_EQ(run.wait(60.0), interrupted) << text_of(log);
  }
  EXPECT_NE(text_of(log).find("are saved"), std::string::npos) << text_of(log);
  EXPECT_FALSE(std::filesystem::exists(path));
  const ProgramRun resumed = folder.run(command + path + " --resume");
  ASSERT_EQ(resumed.code, 0) << resumed.errors;
  const LatencyProfile expected = read_profile(whole), profile = read_profile(path);
  EXPECT_EQ(profile.median_s, expected.median_s);
  EXPECT_EQ(profile.drift, expected.drift);
}

TEST(UserSignal, ABatchStopsBetweenStagesAndGoesOn) {
  const TestFolder folder;
  const std::string manifest = folder.file("m.toml"), log = folder.file("log");
  std::ofstream(manifest) << "output = \"out\"\n[[model]]\nname = \"DeepSeek-V2-Lite\"\ndevice = \"simulated\"\n"
                             "devices = 8\nsynthetic = true\nsteps = 16\niterations = 20\nverify = false\n"
                             "[[model.task]]\nname = \"a\"\n[[model.task]]\nname = \"b\"\n"
                             "[[model.task]]\nname = \"c\"\n[[model.task]]\nname = \"d\"\n";
  const std::string command = std::string(GEM_PROGRAM_DIR) + "/gem-batch " + manifest;
  {
    BackgroundRun run(command, log);
    ASSERT_TRUE(wait_for(run, folder.file("out/pairs/DeepSeek-V2-Lite/a/trace.stamp"))) << text_of(log);
    kill(run.process(), SIGUSR1);
    EXPECT_EQ(run.wait(60.0), interrupted) << text_of(log);
  }
  EXPECT_NE(text_of(log).find(" of 4 pairs interrupted\n"), std::string::npos) << text_of(log);
  const ProgramRun resumed = folder.run(command + " --resume");
  EXPECT_EQ(resumed.code, 0) << resumed.errors;
  EXPECT_NE(resumed.output.find("4 done, 0 failed"), std::string::npos) << resumed.output;
}

}  // namespace
}  // namespace gem
