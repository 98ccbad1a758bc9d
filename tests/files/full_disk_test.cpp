#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "file_size_limit.hpp"
#include "files/mapping_file.hpp"
#include "files/profile_file.hpp"
#include "files/profile_writer.hpp"
#include "files/routing_file.hpp"
#include "files/sample_files.hpp"
#include "files/trace_file.hpp"
#include "temporary_directory.hpp"

namespace gem::test {
namespace {

/// Writing must fail with one sentence and leave the directory as it was.
void expect_clean_failure(const std::function<void(const std::string&)>& write) {
  const TemporaryDirectory directory;
  const std::string path = directory / "output.h5";
  write(path);
  const auto size = std::filesystem::file_size(path);
  ASSERT_GT(size, 1000u);
  const FileSizeLimit limit(1000);
  expect_error<SystemError>([&] { write(path); }, {"cannot write", path, "choose another place"});
  EXPECT_EQ(directory.file_count(), 1u);
  EXPECT_EQ(std::filesystem::file_size(path), size);
}

TEST(FullDisk, NoHalfFileIsLeftAndTheOldOneStays) {
  expect_clean_failure(
      [](const std::string& path) { write_routing(path, sample_routing(64, 4, 1), sample_provenance()); });
  expect_clean_failure([](const std::string& path) { write_trace(path, sample_trace(500), sample_provenance()); });
  expect_clean_failure([](const std::string& path) { write_mapping(path, sample_mapping(), sample_provenance()); });
}

TEST(FullDisk, PlacesThatCannotBeWritten) {
  const TemporaryDirectory directory;
  const auto write = [](const std::string& path) { write_mapping(path, sample_mapping(), sample_provenance()); };
  expect_error<SystemError>([&] { write(directory / "none/mapping.h5"); }, {"none/mapping.h5", "directory first"});
  expect_error<SystemError>([&] { write(directory / ""); }, {"name of a file"});
  expect_error<SystemError>([&] { write("/dev/full"); }, {"/dev/full", "not a regular file"});
  const LatencyProfile plan = sample_plan(2, 3);
  ProfileWriter writer(directory / "none/profile.h5", sample_provenance(), false);
  expect_error<SystemError>([&] { writer.begin(plan); }, {"none/profile.h5", "directory first"});
}

void measure(LatencyProfile& profile, std::size_t point) {
  for (std::size_t d = 0; d < 2; ++d) {
    profile.median_s(d, point) = profile.p95_s(d, point) = 1.0;
    for (float& sample : profile.samples_s.row(d, point)) sample = static_cast<float>(point + 1 + d);
  }
}

TEST(FullDisk, WhatWasSavedOfAProfileStaysAndTheRunResumes) {
  const TemporaryDirectory directory;
  const std::string path = directory / "profile.h5";
  const LatencyProfile plan = sample_plan(2, 100);
  std::size_t measured = 0;
  {
    ProfileWriter writer(path, sample_provenance(), false);
    LatencyProfile profile = writer.begin(plan);
    const FileSizeLimit limit(300'000);
    expect_error<SystemError>(
        [&] {
          for (std::size_t point = 0; point < 100; ++point) {
            // Noise doesn't compress; more of it with every point.
            profile.samples_s = Cube<float>(2, 100, 10 * (point + 1));
            RandomStream random{point};
            for (float& sample : profile.samples_s.values()) sample = static_cast<float>(0.5 + random.uniform());
            profile.median_s(0, point) = profile.median_s(1, point) = 1.0;
            profile.p95_s(0, point) = profile.p95_s(1, point) = 1.0;
            writer.stop(profile);  // saves always
            measured = measured_count(profile);
          }
        },
        {"cannot write", path + ".partial", "--resume"});
  }
  EXPECT_GT(measured, 10u);
  EXPECT_LT(measured, 100u);
  ProfileWriter writer(path, sample_provenance(), true);
  LatencyProfile profile = writer.begin(plan);
  EXPECT_EQ(measured_count(profile), measured);
  for (std::size_t point = 0; point < 100; ++point) measure(profile, point);
  writer.finish(profile);
  EXPECT_EQ(read_profile(path).samples_s(0, 99, 9), 100.0f);
  EXPECT_EQ(directory.file_count(), 1u);
}

TEST(FullDisk, AProfileThatCannotBeBegunLeavesNothing) {
  const TemporaryDirectory directory;
  const LatencyProfile plan = sample_plan(2, 1000);
  const FileSizeLimit limit(1000);
  ProfileWriter writer(directory / "profile.h5", sample_provenance(), false);
  expect_error<SystemError>([&] { writer.begin(plan); }, {"cannot write", directory / "profile.h5"});
  EXPECT_EQ(directory.file_count(), 0u);
}

}  // namespace
}  // namespace gem::test
