// gem-profile killed in the middle: nothing measured is lost, nothing hangs.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "files/profile_file.hpp"
#include "jobs/profile/background_run.hpp"
#include "jobs/program_run.hpp"

namespace gem {
namespace {

const std::string on_two_ranks = std::string(GEM_MPIRUN) + " -n 2 " + GEM_PROGRAM_DIR + "/gem-profile ";

// Two blocks of points, some seconds: there is time to kill it.
const std::string host_job =
    "--model gpt-oss-20b --device host --dtype f32 --expert-shape 128x128 --max-tokens 384 --points-per-doubling 2"
    " --min-samples 100 --max-samples 100 --quiet --output ";
const std::string simulated_job =
    "--model Qwen3-30B-A3B --device simulated --devices 128 --max-tokens 4096 --points-per-doubling 8 --min-samples "
    "1000 --max-samples 1000"
    " --quiet --output ";

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Waits until the partial file holds measured points. False if the run ended before.
bool wait_for_points(BackgroundRun& run, const std::string& output) {
  const std::filesystem::path partial = output + ".partial";
  std::filesystem::file_time_type begin{};
  for (int i = 0; i < 9000 && run.is_running(); ++i) {  // 39 s were seen on a busy machine
    std::error_code none;
    const std::filesystem::file_time_type time = std::filesystem::last_write_time(partial, none);
    if (!none && begin == std::filesystem::file_time_type{}) begin = time;
    if (!none && time != begin) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST(Interruption, AKilledProfileIsResumed) {
  const TestFolder folder;
  const std::string path = folder.file("profile.h5"), log = folder.file("log");
  const std::string command = on_two_ranks + host_job + path;
  {
    BackgroundRun run(command, log);
    ASSERT_TRUE(wait_for_points(run, path)) << text_of(log);
    run.kill_all();
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(std::filesystem::exists(path + ".partial"));

  const ProgramRun resumed = folder.run(command + " --resume");
  ASSERT_EQ(resumed.code, 0) << resumed.errors;
  EXPECT_NE(resumed.output.find("resumed: "), std::string::npos) << resumed.output;
  const LatencyProfile profile = read_profile(path);
  EXPECT_TRUE(std::ranges::all_of(profile.median_s.values(), [](double latency_s) { return latency_s > 0.0; }));
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));

  const ProgramRun again = folder.run(command + " --resume");
  EXPECT_EQ(again.code, 0);
  EXPECT_NE(again.output.find("which is finished"), std::string::npos) << again.output;
}

TEST(Interruption, AResumedSimulationEqualsAnUndisturbedOne) {
  const TestFolder folder;
  const std::string path = folder.file("profile.h5"), whole = folder.file("whole.h5"), log = folder.file("log");
  ASSERT_EQ(folder.run(on_two_ranks + simulated_job + whole).code, 0);
  {
    BackgroundRun run(on_two_ranks + simulated_job + path, log);
    ASSERT_TRUE(wait_for_points(run, path)) << text_of(log);
    run.kill_all();
  }
  const ProgramRun resumed = folder.run(on_two_ranks + simulated_job + path + " --resume");
  ASSERT_EQ(resumed.code, 0) << resumed.errors;
  EXPECT_NE(resumed.output.find("resumed: "), std::string::npos) << resumed.output;
  const LatencyProfile expected = read_profile(whole), profile = read_profile(path);
  EXPECT_EQ(profile.points, expected.points);
  EXPECT_EQ(profile.median_s, expected.median_s);
  EXPECT_EQ(profile.p95_s, expected.p95_s);
  EXPECT_EQ(profile.settled, expected.settled);
  EXPECT_EQ(profile.drift, expected.drift);
  EXPECT_TRUE(std::ranges::equal(profile.samples_s.values(), expected.samples_s.values(),
                                 [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }));
}

TEST(Interruption, AnotherPlanIsNotResumed) {
  const TestFolder folder;
  const std::string path = folder.file("profile.h5"), log = folder.file("log");
  {
    BackgroundRun run(on_two_ranks + simulated_job + path, log);
    ASSERT_TRUE(wait_for_points(run, path)) << text_of(log);
    run.kill_all();
  }
  const ProgramRun resumed = folder.run(on_two_ranks + simulated_job + path + " --resume --tile-tokens 32");
  EXPECT_EQ(resumed.code, 3) << resumed.errors;
  EXPECT_NE(resumed.errors.find(path + ".partial"), std::string::npos) << resumed.errors;
  EXPECT_TRUE(std::filesystem::exists(path + ".partial")) << "what was measured is kept";
}

TEST(Interruption, ADeadRankEndsTheJob) {
  const TestFolder folder;
  const std::string path = folder.file("profile.h5"), log = folder.file("log");
  BackgroundRun run(on_two_ranks + host_job + path, log);
  ASSERT_TRUE(wait_for_points(run, path)) << text_of(log);
  const std::vector<pid_t> ranks = run.children();
  ASSERT_EQ(ranks.size(), 2u);
  kill(ranks[1], SIGKILL);
  const int code = run.wait(20.0);
  EXPECT_NE(code, -1) << "still running";
  EXPECT_NE(code, 0);
  EXPECT_NE(text_of(log).find("--resume goes on"), std::string::npos) << text_of(log);
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(std::filesystem::exists(path + ".partial"));
  EXPECT_EQ(folder.run(on_two_ranks + host_job + path + " --resume").code, 0);
}

// As mpirun ends a job: it kills all ranks as soon as one has ended, at once on an idle machine and on a busy one too.
TEST(Interruption, RanksThatSayNothingLeaveRankZeroTheTimeToSpeak) {
  const TestFolder folder;
  const std::string path = folder.file("profile.h5"), log = folder.file("log");
  BackgroundRun run(on_two_ranks + host_job + path, log);
  ASSERT_TRUE(wait_for_points(run, path)) << text_of(log);
  const std::vector<pid_t> ranks = run.children();
  ASSERT_EQ(ranks.size(), 2u);
  const auto begin = std::chrono::steady_clock::now();
  kill(ranks[1], SIGTERM);
  while (kill(ranks[1], 0) == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_GT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(500));
  EXPECT_GT(run.wait(20.0), 0);
}

}  // namespace
}  // namespace gem
