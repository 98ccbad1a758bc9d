#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "files/mapping_file.hpp"
#include "files/profile_file.hpp"
#include "files/routing_file.hpp"
#include "files/sample_files.hpp"
#include "files/trace_file.hpp"
#include "model/latency_profile_fields.hpp"
#include "model/load_trace_fields.hpp"
#include "model/mapping_fields.hpp"
#include "model/routing_fields.hpp"
#include "platform/file_system/input_file.hpp"
#include "platform/file_system/whole_file.hpp"
#include "random_fields.hpp"
#include "temporary_directory.hpp"

/// HDF5 gives up on a damaged object without freeing what it had read of it.
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libhdf5";
}

namespace gem::test {
namespace {

// Whatever happens to a file of ours, reading it must end in the noun that was written or in an Error: no other data,
// no crash, no hang, no absurd amount of memory. Runs under the sanitizers as well.

using Bytes = std::vector<std::byte>;

LatencyProfile sample_profile() {
  LatencyProfile profile = sample_plan(2, 3);
  profile.median_s = profile.p95_s = Matrix<double>(2, 3, 1e-3);
  profile.samples_s = Cube<float>(2, 3, 4, 1e-3f);
  profile.settled = Matrix<std::uint8_t>(2, 3, 1);
  profile.sm_clock_hz = profile.power_w = profile.temperature_c = Matrix<double>(2, 3, 1.0);
  profile.throttle_reasons = Matrix<std::uint64_t>(2, 3, 0);
  profile.drift = {0.0, 0.0};
  return profile;
}

struct Format {
  const char* name;
  std::function<void(const std::string&)> write;
  /// Reads the file; expects what was written.
  std::function<void(const std::string&)> read;
};

const std::vector<Format> formats = {
    {"routing", [](const std::string& path) { write_routing(path, sample_routing(64, 4, 1), sample_provenance()); },
     [](const std::string& path) { expect_same_fields(read_routing(path), sample_routing(64, 4, 1)); }},
    {"compressed trace", [](const std::string& path) { write_trace(path, sample_trace(2500), sample_provenance()); },
     [](const std::string& path) { expect_same_fields(read_trace(path), sample_trace(2500)); }},
    {"mapping", [](const std::string& path) { write_mapping(path, sample_mapping(), sample_provenance()); },
     [](const std::string& path) {
       Mapping expected = sample_mapping();
       expected.model = "toy";
       expect_same_fields(read_mapping(path), expected);
     }},
    {"profile", [](const std::string& path) { write_profile(path, sample_profile(), sample_provenance()); },
     [](const std::string& path) { expect_same_fields(read_profile(path), sample_profile()); }}};

/// True if it could be read.
bool survives(const Format& format, const std::string& path, const Bytes& bytes) {
  // In place: files that are cut to nothing and written anew go to the disk at once on some file systems.
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  std::filesystem::resize_file(path, bytes.size());
  try {
    format.read(path);
    return true;
  } catch (const Error&) {
    return false;
  }
}

long peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

TEST(Corruption, TruncatedAtAnyLength) {
  const TemporaryDirectory directory;
  const std::string path = directory / "truncated.h5";
  for (const Format& format : formats) {
    SCOPED_TRACE(format.name);
    format.write(path);
    const Bytes whole = read_whole_file(path);
    ASSERT_TRUE(survives(format, path, whole));
    constexpr std::size_t checksum_bytes = 29;  // without it, the data are still there
    for (std::size_t length = 0; length < whole.size() - checksum_bytes; length += 1 + whole.size() / 150) {
      const bool read = survives(format, path, Bytes(whole.begin(), whole.begin() + static_cast<long>(length)));
      EXPECT_FALSE(read) << "truncated to " << length << " of " << whole.size();
    }
    for (std::size_t length = whole.size() - checksum_bytes; length < whole.size(); ++length)
      EXPECT_TRUE(survives(format, path, Bytes(whole.begin(), whole.begin() + static_cast<long>(length)))) << length;
  }
}

TEST(Corruption, AFileWithoutChecksumIsReadAsItIs) {
  const TemporaryDirectory directory;
  const std::string path = directory / "older.h5";
  for (const Format& format : formats) {
    SCOPED_TRACE(format.name);
    format.write(path);
    std::filesystem::resize_file(path, std::filesystem::file_size(path) - 29);
    EXPECT_NO_THROW(format.read(path));
  }
}

TEST(Corruption, AnyByteChanged) {
  const TemporaryDirectory directory;
  const std::string path = directory / "changed.h5";
  const long memory_before = peak_memory_bytes();
  for (const Format& format : formats) {
    SCOPED_TRACE(format.name);
    format.write(path);
    const Bytes whole = read_whole_file(path);
    std::size_t refused = 0, read = 0;
    RandomStream random{whole.size()};
    for (std::size_t position = 0; position < whole.size(); position += 1 + random.below(whole.size() / 300)) {
      Bytes changed = whole;
      changed[position] ^= static_cast<std::byte>(1 + random.below(255));
      ++(survives(format, path, changed) ? read : refused);  // read, it must be what was written
    }
    EXPECT_GT(refused, 200u);
    EXPECT_LT(read, 10u) << "what changes the checksum's line alone";
  }
  EXPECT_LT(peak_memory_bytes() - memory_before, 256l << 20);
}

}  // namespace
}  // namespace gem::test
