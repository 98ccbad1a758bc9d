#include <gtest/gtest.h>

#include <cmath>
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

ProfileRow long_row(std::size_t point) {
  ProfileRow row;
  row.point = point;
  row.median_s = row.p95_s = {1.0, 2.0};
  row.settled = {1, 1};
  row.samples_s = Matrix<float>(2, 1000, static_cast<float>(point + 1));
  row.telemetry = {{NAN, NAN, NAN, 0}, {NAN, NAN, NAN, 0}};
  return row;
}

TEST(FullDisk, RowsOfAProfileStayAndTheRunResumes) {
  const TemporaryDirectory directory;
  const std::string path = directory / "profile.h5";
  const LatencyProfile plan = sample_plan(2, 100);
  std::size_t finished = 0;
  {
    ProfileWriter writer(path, sample_provenance(), false);
    writer.begin(plan);
    const FileSizeLimit limit(300'000);
    expect_error<SystemError>(
        [&] {
          for (; finished < 100; ++finished) writer.append(long_row(finished));
        },
        {"cannot write", path + ".partial", "--resume"});
  }
  EXPECT_GT(finished, 10u);
  EXPECT_LT(finished, 100u);
  ProfileWriter writer(path, sample_provenance(), true);
  const std::vector<ProfileRow> rows = writer.begin(plan);
  ASSERT_EQ(rows.size(), finished);
  for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].samples_s(1, 999), static_cast<float>(i + 1));
  for (std::size_t point = finished; point < 100; ++point) writer.append(long_row(point));
  writer.finish({{0.0, 0.0}, {}});
  EXPECT_EQ(read_profile(path).samples_s(1, 99, 999), 100.0f);
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
