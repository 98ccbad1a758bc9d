#include "platform/file_system/record_file.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/random.hpp"
#include "platform/file_system/input_file.hpp"
#include "platform/file_system/whole_file.hpp"
#include "temporary_directory.hpp"

namespace gem::test {
namespace {

using Bytes = std::vector<std::byte>;

Bytes random_bytes(std::size_t count, std::uint64_t seed) {
  RandomStream random{seed};
  Bytes bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.below(256));
  return bytes;
}

std::vector<Bytes> sample_records() {
  std::vector<Bytes> records;
  for (const std::size_t size : {10u, 0u, 300u, 1u}) records.push_back(random_bytes(size, size));
  return records;
}

TEST(RecordFile, GivesBackItsRecords) {
  const TemporaryDirectory directory;
  const Bytes head = random_bytes(77, 1);
  RecordFile file(directory / "records", head);
  for (const Bytes& record : sample_records()) file.append(record);
  EXPECT_EQ(std::filesystem::exists(directory / "records"), false);
  file.publish();
  file.append(head);
  auto expected = sample_records();
  expected.push_back(head);
  EXPECT_EQ(read_records(directory / "records", head.size()), expected);
  EXPECT_EQ(directory.file_count(), 1u);
}

TEST(RecordFile, TornAnywhereItKeepsAllRecordsBefore) {
  const TemporaryDirectory directory;
  const std::string path = directory / "records";
  RecordFile file(path, random_bytes(5, 1));
  file.publish();
  std::vector<std::size_t> ends = {5};
  for (const Bytes& record : sample_records()) {
    file.append(record);
    ends.push_back(read_whole_file(path).size());
  }
  for (std::size_t length = ends.back() + 1; length-- > 0;) {
    std::filesystem::resize_file(path, length);
    std::size_t kept = 0;
    while (kept + 1 < ends.size() && ends[kept + 1] <= length) ++kept;
    EXPECT_EQ(read_records(path, 5).size(), kept) << "torn at " << length;
  }
}

TEST(RecordFile, AChangedByteEndsTheGoodRecords) {
  const TemporaryDirectory directory;
  const std::string path = directory / "records";
  RecordFile file(path, {});
  file.publish();
  const auto records = sample_records();
  file.append(records[2]);
  const std::size_t first_end = read_whole_file(path).size();
  file.append(records[0]);
  const Bytes whole = read_whole_file(path);
  for (std::size_t position = 0; position < whole.size(); position += 11) {
    Bytes changed = whole;
    changed[position] ^= std::byte{4};
    write_whole_file(directory / "changed", changed);
    EXPECT_EQ(read_records(directory / "changed", 0).size(), position < first_end ? 0u : 1u);
  }
}

}  // namespace
}  // namespace gem::test
