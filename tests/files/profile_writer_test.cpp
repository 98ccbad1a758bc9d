#include "files/profile_writer.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <thread>

#include "files/profile_file.hpp"
#include "files/sample_files.hpp"
#include "temporary_directory.hpp"

namespace gem::test {
namespace {

/// The row of a point: a function of the point alone, with another number of samples for each.
ProfileRow sample_row(const LatencyProfile& plan, std::size_t point) {
  RandomStream random{42, point};
  const std::size_t devices = plan.devices.size();
  ProfileRow row;
  row.point = point;
  row.samples_s = Matrix<float>(devices, point % 4);
  for (float& sample : row.samples_s.values()) sample = static_cast<float>(1e-3 + random.uniform());
  for (std::size_t device = 0; device < devices; ++device) {
    row.median_s.push_back(1e-3 + random.uniform());
    row.p95_s.push_back(1.0 + random.uniform());
    row.settled.push_back(static_cast<std::uint8_t>(random.below(2)));
    row.telemetry.push_back({NAN, random.uniform(), random.uniform(), random.next()});
  }
  return row;
}

void expect_same_row(const ProfileRow& found, const ProfileRow& expected) {
  EXPECT_EQ(found.point, expected.point);
  EXPECT_EQ(found.median_s, expected.median_s);
  EXPECT_EQ(found.p95_s, expected.p95_s);
  EXPECT_EQ(found.settled, expected.settled);
  EXPECT_EQ(found.samples_s.columns(), expected.samples_s.columns());
  EXPECT_EQ(found.samples_s.values(), expected.samples_s.values());
  ASSERT_EQ(found.telemetry.size(), expected.telemetry.size());
  for (std::size_t i = 0; i < found.telemetry.size(); ++i) {
    EXPECT_TRUE(std::isnan(found.telemetry[i].sm_clock_hz));
    EXPECT_EQ(found.telemetry[i].power_w, expected.telemetry[i].power_w);
    EXPECT_EQ(found.telemetry[i].temperature_c, expected.telemetry[i].temperature_c);
    EXPECT_EQ(found.telemetry[i].throttle_reasons, expected.telemetry[i].throttle_reasons);
  }
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

void expect_whole_profile(const std::string& path, const LatencyProfile& plan) {
  const LatencyProfile profile = read_profile(path);
  EXPECT_EQ(profile.points, plan.points);
  EXPECT_EQ(profile.device_count(), plan.device_count());
  EXPECT_EQ(profile.devices[1].emulated_slowdown, plan.devices[1].emulated_slowdown);
  EXPECT_EQ(profile.drift, (std::vector<double>{0.01, -0.02}));
  EXPECT_EQ(profile.load_rule(), (LoadRule{16, {8, 5e-9, {{3, 2e-6}, {6, 9e-6}}}}));
  ASSERT_EQ(profile.samples_s.columns(), 3u);
  for (std::size_t point = 0; point < plan.points.size(); ++point) {
    const ProfileRow row = sample_row(plan, point);
    for (std::size_t device = 0; device < plan.devices.size(); ++device) {
      EXPECT_EQ(profile.median_s(device, point), row.median_s[device]);
      EXPECT_EQ(profile.p95_s(device, point), row.p95_s[device]);
      EXPECT_EQ(profile.settled(device, point), row.settled[device]);
      EXPECT_EQ(profile.power_w(device, point), row.telemetry[device].power_w);
      EXPECT_EQ(profile.throttle_reasons(device, point), row.telemetry[device].throttle_reasons);
      for (std::size_t sample = 0; sample < 3; ++sample) {
        const float found = profile.samples_s(device, point, sample);
        if (sample < row.samples_s.columns())
          EXPECT_EQ(found, row.samples_s(device, sample));
        else
          EXPECT_TRUE(std::isnan(found));
      }
    }
  }
}

TEST(ProfileWriter, RowsBecomeAWholeProfile) {
  const TemporaryDirectory directory;
  LatencyProfile plan = sample_plan(2, 9);
  plan.exchange = {"mpi", Matrix<double>(2, 2, 1e-6), Matrix<double>(2, 2, 1e9)};
  ProfileWriter writer(directory / "profile.h5", sample_provenance(), false);
  EXPECT_TRUE(writer.begin(plan).empty());
  for (const std::size_t point : shuffled_points(9)) writer.append(sample_row(plan, point));
  EXPECT_FALSE(std::filesystem::exists(directory / "profile.h5"));
  writer.finish({{0.01, -0.02}, {8, 5e-9, {{3, 2e-6}, {6, 9e-6}}}});
  expect_whole_profile(directory / "profile.h5", plan);
  const PairExchange exchange = read_profile(directory / "profile.h5").exchange;
  EXPECT_EQ(exchange.transport, "mpi");
  EXPECT_EQ(exchange.latency_s, plan.exchange.latency_s);
  EXPECT_EQ(exchange.bytes_per_s, plan.exchange.bytes_per_s);
  EXPECT_EQ(directory.file_count(), 1u);
}

TEST(ProfileWriter, EveryRowOutlivesAKill) {
  const TemporaryDirectory directory;
  const std::string path = directory / "profile.h5";
  const LatencyProfile plan = sample_plan(2, 9);
  const auto order = shuffled_points(9);
  // Three rows a run, each run killed; the last one finishes.
  for (std::size_t done = 0; done < 9; done += 3) {
    run_and_kill([&] {
      ProfileWriter writer(path, sample_provenance(), true);
      writer.begin(plan);
      for (std::size_t i = done; i < done + 3; ++i) writer.append(sample_row(plan, order[i]));
    });
    ASSERT_FALSE(std::filesystem::exists(path));
    // An unfinished profile is no profile.
    expect_error<DataError>([&] { read_profile(path + ".partial"); }, {"unfinished"});
  }
  ProfileWriter writer(path, sample_provenance(), true);
  const std::vector<ProfileRow> rows = writer.begin(plan);
  ASSERT_EQ(rows.size(), 9u);
  for (std::size_t i = 0; i < 9; ++i) expect_same_row(rows[i], sample_row(plan, order[i]));
  writer.finish({{0.01, -0.02}, {8, 5e-9, {{3, 2e-6}, {6, 9e-6}}}});
  expect_whole_profile(path, plan);
  EXPECT_EQ(directory.file_count(), 1u);
}

TEST(ProfileWriter, AKillAtAnyMomentLosesOneRowAtMost) {
  const TemporaryDirectory directory;
  const std::string path = directory / "profile.h5";
  const LatencyProfile plan = sample_plan(2, 4000);
  for (int attempt = 0; attempt < 10; ++attempt) {
    int started[2];
    ASSERT_EQ(pipe(started), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      try {
        ProfileWriter writer(path, sample_provenance(), false);
        writer.begin(plan);
        for (std::uint16_t point = 0; point < 4000; ++point) {
          writer.append(sample_row(plan, point));
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
    const std::vector<ProfileRow> rows = writer.begin(plan);
    EXPECT_GE(rows.size(), acknowledged);
    EXPECT_LE(rows.size(), acknowledged + 1);
    for (std::size_t i = 0; i < rows.size(); ++i) expect_same_row(rows[i], sample_row(plan, i));
  }
}

TEST(ProfileWriter, ARowTornAnywhereIsLeftOut) {
  const TemporaryDirectory directory;
  const std::string path = directory / "profile.h5";
  const std::string partial = path + ".partial";
  const LatencyProfile plan = sample_plan(2, 9);
  const auto add_rows = [&](std::size_t begin, std::size_t end) {
    run_and_kill([&] {
      ProfileWriter writer(path, sample_provenance(), true);
      writer.begin(plan);
      for (std::size_t point = begin; point < end; ++point) writer.append(sample_row(plan, point));
    });
    return std::filesystem::file_size(partial);
  };
  const std::uintmax_t two_rows = add_rows(0, 2);
  const std::uintmax_t three_rows = add_rows(2, 3);
  ASSERT_LT(two_rows, three_rows);
  std::filesystem::rename(partial, directory / "whole");
  for (std::uintmax_t bytes = two_rows; bytes < three_rows; bytes += 61) {
    std::filesystem::copy_file(directory / "whole", partial, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(partial, bytes);
    ProfileWriter writer(path, sample_provenance(), true);
    EXPECT_EQ(writer.begin(plan).size(), 2u) << "torn after " << bytes - two_rows << " bytes";
  }
}

TEST(ProfileWriter, WithoutResumeNothingIsTakenOver) {
  const TemporaryDirectory directory;
  const std::string path = directory / "profile.h5";
  const LatencyProfile plan = sample_plan(2, 3);
  run_and_kill([&] {
    ProfileWriter writer(path, sample_provenance(), false);
    writer.begin(plan);
    writer.append(sample_row(plan, 0));
  });
  ProfileWriter writer(path, sample_provenance(), false);
  EXPECT_TRUE(writer.begin(plan).empty());
}

TEST(ProfileWriter, RowsOfAnotherPlanAreRefused) {
  const TemporaryDirectory directory;
  const std::string path = directory / "profile.h5";
  const LatencyProfile plan = sample_plan(2, 3);
  run_and_kill([&] {
    ProfileWriter writer(path, sample_provenance(), false);
    writer.begin(plan);
    writer.append(sample_row(plan, 0));
  });
  const auto refuse = [&](const std::function<void(LatencyProfile&)>& change, const std::string& word) {
    LatencyProfile other = plan;
    change(other);
    ProfileWriter writer(path, sample_provenance(), true);
    expect_error<DataError>([&] { writer.begin(other); }, {path + ".partial", word, "--resume"});
  };
  refuse([](LatencyProfile& other) { other.model = "giant"; }, "'giant'");
  refuse([](LatencyProfile& other) { other.device_kind = "cuda"; }, "'cuda'");
  refuse([](LatencyProfile& other) { other.weight_dtype = "f32"; }, "'f32'");
  refuse([](LatencyProfile& other) { other.expert.hidden_size = 65; }, "hidden_size");
  refuse([](LatencyProfile& other) { other.tile_tokens = 128; }, "tile_tokens");
  refuse([](LatencyProfile& other) { other.devices.pop_back(); }, "number of devices");
  refuse([](LatencyProfile& other) { other.points.pop_back(); }, "number of points");
  refuse([](LatencyProfile& other) { std::swap(other.points[0], other.points[1]); }, "/points");
  refuse([](LatencyProfile& other) { other.devices[1].name = "another"; }, "'another'");
  refuse([](LatencyProfile& other) { other.devices[1].hostname = "elsewhere"; }, "'elsewhere'");
  refuse([](LatencyProfile& other) { other.devices[1].emulated_slowdown = 1.5; }, "1.5");
  Provenance other_seed = sample_provenance();
  other_seed.seed = 8;
  ProfileWriter writer(path, other_seed, true);
  expect_error<DataError>([&] { writer.begin(plan); }, {path + ".partial", "seed", "--resume"});
  // None of it harmed the rows.
  ProfileWriter right(path, sample_provenance(), true);
  EXPECT_EQ(right.begin(plan).size(), 1u);
}

TEST(ProfileWriter, FinishNeedsAllPoints) {
  const TemporaryDirectory directory;
  const LatencyProfile plan = sample_plan(2, 3);
  ProfileWriter writer(directory / "profile.h5", sample_provenance(), false);
  writer.begin(plan);
  writer.append(sample_row(plan, 0));
  expect_error<SystemError>([&] { writer.finish({{0.0, 0.0}, {}}); }, {"1 of 3 points"});
}

}  // namespace
}  // namespace gem::test
