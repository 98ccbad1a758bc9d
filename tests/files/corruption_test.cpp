#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "files/mapping_file.hpp"
#include "files/partial_profile.hpp"
#include "files/profile_file.hpp"
#include "files/report_file.hpp"
#include "files/routing_file.hpp"
#include "files/sample_files.hpp"
#include "files/trace_file.hpp"
#include "platform/file_system/input_file.hpp"
#include "platform/file_system/whole_file.hpp"
#include "temporary_directory.hpp"

/// HDF5 gives up on a damaged object without freeing what it had read of it.
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libhdf5";
}

namespace gem::test {
namespace {

// Whatever happens to a file of ours, reading it must end in a noun or in an Error: no crash, no hang, no absurd
// amount of memory. Runs under the sanitizers as well.

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

void write_partial(const std::string& path) {
  const LatencyProfile plan = sample_plan(2, 3);
  const auto file = start_partial_profile(path, plan, sample_provenance());
  file->publish();
  for (std::size_t point = 0; point < 3; ++point)
    append_partial_row(*file, {point, {1.0, 1.0}, {1.0, 1.0}, Matrix<float>(2, 5, 1.0f), {1, 1}, {{}, {}}});
}

struct Format {
  const char* name;
  std::function<void(const std::string&)> write;
  std::function<void(const std::string&)> read;
};

const std::vector<Format> formats = {
    {"routing", [](const std::string& path) { write_routing(path, sample_routing(64, 4, 1), sample_provenance()); },
     [](const std::string& path) { read_routing(path); }},
    {"compressed trace", [](const std::string& path) { write_trace(path, sample_trace(2500), sample_provenance()); },
     [](const std::string& path) { read_trace(path); }},
    {"mapping", [](const std::string& path) { write_mapping(path, sample_mapping(), sample_provenance()); },
     [](const std::string& path) { read_mapping(path); }},
    {"profile", [](const std::string& path) { write_profile(path, sample_profile(), sample_provenance()); },
     [](const std::string& path) { read_profile(path); }},
    {"report", [](const std::string& path) { write_report(path, sample_report(), sample_provenance()); },
     [](const std::string& path) { read_report(path); }},
    {"partial profile", write_partial, [](const std::string& path) { read_partial_rows(path, sample_plan(2, 3), 7); }}};

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
    const bool has_records = std::string(format.name) == "partial profile";
    for (std::size_t length = 0; length < whole.size(); length += 1 + whole.size() / 150) {
      const bool read = survives(format, path, Bytes(whole.begin(), whole.begin() + static_cast<long>(length)));
      // Only rows of a growing file may be missing and the rest be good.
      EXPECT_TRUE(!read || has_records) << "truncated to " << length << " of " << whole.size();
    }
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
    std::size_t refused = 0;
    RandomStream random{whole.size()};
    for (std::size_t position = 0; position < whole.size(); position += 1 + random.below(whole.size() / 300)) {
      Bytes changed = whole;
      changed[position] ^= static_cast<std::byte>(1 + random.below(255));
      refused += survives(format, path, changed) ? 0 : 1;
    }
    EXPECT_GT(refused, 0u);
  }
  EXPECT_LT(peak_memory_bytes() - memory_before, 256l << 20);
}

TEST(Corruption, ADamagedRowEndsWhatIsTakenOver) {
  const TemporaryDirectory directory;
  const std::string path = directory / "partial.h5";
  write_partial(path);
  Bytes bytes = read_whole_file(path);
  // The last row is damaged in its middle; the two before it are good.
  bytes[bytes.size() - 1000] ^= std::byte{1};
  write_whole_file(path, bytes);
  EXPECT_EQ(read_partial_rows(path, sample_plan(2, 3), 7).size(), 2u);
}

}  // namespace
}  // namespace gem::test
