#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "device/moe_device.hpp"
#include "device/simulated_device.hpp"
#include "model/moe_model.hpp"
#include "platform/mpi/mpi.hpp"

namespace gem {

/// Which devices a job runs on; the same on every rank.
struct DeviceOptions {
  std::string kind = "host";     ///< "cuda", "host" or "simulated"
  std::size_t device_count = 0;  ///< simulated: how many; 0 and the others: one a rank
  ExpertShape expert{};
  std::size_t tile_tokens = 16;
  std::string weight_dtype = "bf16";  ///< "bf16", "f32" (host, simulated) or "fp8" (cuda, simulated)
  std::vector<double> slowdowns{};    ///< [device], repeated if shorter; empty for devices as they are
  bool share_gpu = false;             ///< cuda: several ranks may use one GPU
  std::uint64_t seed = 1;
  SimulationModel simulation{};
};

/// Bytes of a weight in "bf16", "f32" or "fp8"; UsageError, which calls it --dtype, for another word.
std::size_t weight_element_bytes(const std::string& dtype);

/// "cuda" where it is built in, else "host".
std::string default_device_kind();

/// Rows per tile that suit a mean of `tokens_per_expert`: for cuda what its kernels do best with, else 16.
std::size_t default_tile_tokens(const DeviceOptions& options, double tokens_per_expert);

/// UsageError for an unknown kind.
void check_device_kind(const std::string& kind);

/// UsageError for an unknown kind, a kind that isn't built in, or options that contradict each other.
void check_device_options(const DeviceOptions& options);

/// Devices of the whole job on `rank_count` ranks.
std::size_t device_count_of(const DeviceOptions& options, std::size_t rank_count);

/// Devices of one rank, first .. first + count: neighbouring ranks have neighbouring devices.
struct DeviceRange {
  std::size_t first;
  std::size_t count;
};
DeviceRange devices_of_rank(std::size_t device_count, std::size_t rank_count, std::size_t rank);

/// This rank's devices. Collective. A host device pins its rank to a core.
std::vector<std::unique_ptr<MoeDevice>> make_devices(const DeviceOptions& options, const Communicator& ranks);

/// Of one device; fewer values than devices repeat.
double slowdown_of(const DeviceOptions& options, std::size_t device);

/// "1.0,1.28", one value a device, or the name of a CSV file of measured relative runtimes, from which device_count
/// devices are picked that stand for the whole cluster, the fastest as 1. Empty for an empty text. UsageError for
/// a number of values that doesn't divide device_count: fewer are repeated.
std::vector<double> parse_slowdowns(const std::string& text, std::size_t device_count);

}  // namespace gem
