#include "files/profile_writer.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <thread>

#include "files/profile_file.hpp"
#include "files/sample_files.hpp"
#include "model/latency_profile_fields.hpp"
#include "random_fields.hpp"
#include "temporary_directory.hpp"

namespace gem::test {
namespace {

/// Measures a point: results are a function of the point alone, with another number of samples for each.
void measure(LatencyProfile& profile, std::size_t point) {
  RandomStream random{42, point};
  const std::size_t count = point % 4;
  if (profile.samples_s.columns() < 3) {
    const Cube<float> old = profile.samples_s;
    profile.samples_s = Cube<float>(old.planes(), old.rows(), 3, NAN);
  }
  for (std::size_t device = 0; device < profile.device_count(); ++device) {
    for (std::size_t sample = 0; sample < count; ++sample)
      profile.samples_s(device, point, sample) = static_cast<float>(1e-3 + random.uniform());
    profile.median_s(device, point) = 1e-3 + random.uniform();
    profile.p95_s(device, point) = 1.0 + random.uniform();
    profile.settled(device, point) = static_cast<std::uint8_t>(random.below(2));
    profile.power_w(device, point) = random.uniform();
    profile.temperature_c(device, point) = random.uniform();
    profile.throttle_reasons(device, point) = random.next();
  }
}

LatencyProfile measured(const LatencyProfile& plan, std::span<const std::size_t> points) {
  LatencyProfile profile = unmeasured(plan);
  for (const std::size_t point : points) measure(profile, point);
  return profile;
}

/// Points in a shuffled order, as a sweep measures them.
std::vector<std::size_t> shuffled_points(std::size_t count) {
  std::vector<std::size_t> points(count);
  for (std::size_t i = 0; i < count; ++i) points[i] = i;
  RandomStream random{count};
  random.shuffle(std::span<std::size_t>(points));
  return points;
}

/// Runs `work` in a child process, which then dies of SIGKILL.
void run_and_kill(const std::function<void()>& work) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    try {
      work();
      raise(SIGKILL);
    } catch (const Error&) {
    }
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/// With what a sweep finds out at its end.
LatencyProfile closed(LatencyProfile profile) {
  profile.drift = {0.01, -0.02};
  profile.rule = {8, 5e-9, {{3, 2e-6}, {6, 9e-6}}};
  return profile;
}

TEST(ProfileWriter, GrowsIntoAWholeProfile) {
  const TemporaryDirectory directory;
  LatencyProfile plan = sample_plan(2, 9);
  plan.exchange = {"mpi", Matrix<double>(2, 2, 1e-6), Matrix<double>(2, 2, 1e9)};
  ProfileWriter writer(directory / "profile.h5", sample_provenance(), false);
  LatencyProfile profile = writer.begin(plan);
  EXPECT_EQ(measured_count(profile), 0u);
  for (const std::size_t point : shuffled_points(9)) {
    measure(profile, point);
    writer.grow(profile);
  }
  EXPECT_FALSE(std::filesystem::exists(directory / "profile.h5"));
  profile = closed(profile);
  writer.finish(profile);
  expect_same_fields(read_profile(directory / "profile.h5"), profile);
  EXPECT_EQ(directory.file_count(), 1u);
}

TEST(ProfileWriter, WhatWasSavedOutlivesAKill) {
  const TemporaryDirectory directory;
  const std::string path = directory / "profile.h5";
  const LatencyProfile plan = sample_plan(2, 9);
  const auto order = shuffled_points(9);
  // Three points a run, each run killed; the last one finishes.
  for (std::size_t done = 0; done < 9; done += 3) {
    run_and_kill([&] {
      ProfileWriter writer(path, sample_provenance(), true);
      LatencyProfile profile = writer.begin(plan);
      for (std::size_t i = done; i < done + 3; ++i) {
        measure(profile, order[i]);
        writer.stop(profile);  // saves always
      }
    });
    ASSERT_FALSE(std::filesystem::exists(path));
    const LatencyProfile expected = measured(plan, std::span(order).first(done + 3));
    expect_same_fields(read_unfinished_profile(path + ".partial", plan, 7), expected);
    // An unfinished profile is no profile.
    if (done + 3 < 9) expect_error<DataError>([&] { read_profile(path + ".partial"); }, {"unfinished", "--resume"});
  }
  ProfileWriter writer(path, sample_provenance(), true);
  LatencyProfile profile = writer.begin(plan);
  expect_same_fields(profile, measured(plan, order));
  profile = closed(profile);
  writer.finish(profile);
  expect_same_fields(read_profile(path), profile);
  EXPECT_EQ(directory.file_count(), 1u);
}

TEST(ProfileWriter, AKillAtAnyMomentLeavesAWholeFile) {
  const TemporaryDirectory directory;
  const std::string path = directory / "profile.h5";
  const LatencyProfile plan = sample_plan(2, 400);
  for (int attempt = 0; attempt < 10; ++attempt) {
    int started[2];
    ASSERT_EQ(pipe(started), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      try {
        ProfileWriter writer(path, sample_provenance(), false);
        LatencyProfile profile = writer.begin(plan);
        for (std::uint16_t point = 0; point < 400; ++point) {
          measure(profile, point);
          writer.stop(profile);  // saves always
          if (write(started[1], &point, sizeof point) < 0) break;
        }
        pause();
      } catch (const Error&) {
      }
      _exit(1);
    }
    close(started[1]);
    std::uint16_t first = 0;
    ASSERT_EQ(read(started[0], &first, sizeof first), static_cast<ssize_t>(sizeof first));
    std::this_thread::sleep_for(std::chrono::microseconds(1000 + 1739 * attempt));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    std::size_t acknowledged = 1;
    for (std::uint16_t point = 0; read(started[0], &point, sizeof point) > 0;) acknowledged = point + 1u;
    close(started[0]);

    ProfileWriter writer(path, sample_provenance(), true);
    const LatencyProfile profile = writer.begin(plan);
    const std::size_t found = measured_count(profile);
    EXPECT_GE(found, acknowledged);
    EXPECT_LE(found, acknowledged + 1);
    std::vector<std::size_t> points(found);
    for (std::size_t i = 0; i < found; ++i) points[i] = i;
    expect_same_fields(profile, measured(plan, points));
  }
}

TEST(ProfileWriter, SavesNowAndThen) {
  const TemporaryDirectory directory;
  const std::string path = directory / "profile.h5";
  const LatencyProfile plan = sample_plan(2, 9);
  ProfileWriter writer(path, sample_provenance(), false, ProfileWriter::Seconds(3600.0));
  LatencyProfile profile = writer.begin(plan);
  measure(profile, 0);
  writer.grow(profile);
  EXPECT_EQ(measured_count(read_unfinished_profile(path + ".partial", plan, 7)), 0u) << "the plan alone so far";
  writer.stop(profile);
  EXPECT_EQ(measured_count(read_unfinished_profile(path + ".partial", plan, 7)), 1u);
}

/// One point of three measured, then killed.
void leave_one_point(const std::string& path, const LatencyProfile& plan) {
  run_and_kill([&] {
    ProfileWriter writer(path, sample_provenance(), false);
    LatencyProfile profile = writer.begin(plan);
    measure(profile, 0);
    writer.stop(profile);
  });
}

TEST(ProfileWriter, WithoutResumeNothingIsTakenOver) {
  const TemporaryDirectory directory;
  const std::string path = directory / "profile.h5";
  const LatencyProfile plan = sample_plan(2, 3);
  leave_one_point(path, plan);
  ProfileWriter writer(path, sample_provenance(), false);
  EXPECT_EQ(measured_count(writer.begin(plan)), 0u);
}

TEST(ProfileWriter, PointsOfAnotherPlanAreRefused) {
  const TemporaryDirectory directory;
  const std::string path = directory / "profile.h5";
  const LatencyProfile plan = sample_plan(2, 3);
  leave_one_point(path, plan);
  const auto refuse = [&](const std::function<void(LatencyProfile&)>& change, const std::string& word) {
    LatencyProfile other = plan;
    change(other);
    ProfileWriter writer(path, sample_provenance(), true);
    expect_error<DataError>([&] { writer.begin(other); }, {path + ".partial", word, "--resume"});
  };
  refuse([](LatencyProfile& other) { other.model = "giant"; }, "instead of 'giant'");
  refuse([](LatencyProfile& other) { other.device_kind = "cuda"; }, "device_kind 'host' instead of 'cuda'");
  refuse([](LatencyProfile& other) { other.weight_dtype = "f32"; }, "'f32'");
  refuse([](LatencyProfile& other) { other.expert.hidden_size = 65; }, "hidden_size 64 instead of 65");
  refuse([](LatencyProfile& other) { other.tile_tokens = 128; }, "tile_tokens 16 instead of 128");
  refuse([](LatencyProfile& other) { other.devices.pop_back(); }, "2 devices instead of 1");
  refuse([](LatencyProfile& other) { other.points.pop_back(); }, "3 points instead of 2");
  refuse([](LatencyProfile& other) { std::swap(other.points[0], other.points[1]); }, "/points/tiles[0] 1 instead of 2");
  refuse([](LatencyProfile& other) { other.devices[1].name = "another"; }, "'another'");
  refuse([](LatencyProfile& other) { other.devices[1].hostname = "elsewhere"; }, "'elsewhere'");
  refuse([](LatencyProfile& other) { other.devices[1].emulated_slowdown = 1.5; }, "instead of 1.5");
  Provenance other_seed = sample_provenance();
  other_seed.seed = 8;
  ProfileWriter writer(path, other_seed, true);
  expect_error<DataError>([&] { writer.begin(plan); }, {path + ".partial", "seed", "--resume"});
  // None of it harmed the file.
  ProfileWriter right(path, sample_provenance(), true);
  EXPECT_EQ(measured_count(right.begin(plan)), 1u);
}

TEST(ProfileWriter, FinishNeedsAllPoints) {
  const TemporaryDirectory directory;
  ProfileWriter writer(directory / "profile.h5", sample_provenance(), false);
  LatencyProfile profile = writer.begin(sample_plan(2, 3));
  measure(profile, 0);
  expect_error<SystemError>([&] { writer.finish(profile); }, {"1 of 3 points"});
}

}  // namespace
}  // namespace gem::test
