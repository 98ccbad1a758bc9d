#include "device/device_factory.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <sstream>

#include "base/error.hpp"
#include "base/text.hpp"
#include "device/cuda_device.hpp"
#include "device/host_device.hpp"
#include "model/variability.hpp"
#include "platform/host/affinity.hpp"
#include "platform/host/host_info.hpp"

namespace gem {
namespace {

constexpr double greatest_slowdown = 1e6;

std::unique_ptr<MoeDevice> make_host_device(const DeviceOptions& options, const Communicator& ranks) {
  const Communicator::NodePlace node = ranks.node_place();
  const std::size_t cpu_count = allowed_cpus().size();
  const bool pinned = pin_to_core(node.rank).has_value();
  if (!pinned && cpu_count > 1 && node.rank == node.size - 1)
    std::cerr << fmt::format("note: {} ranks share {} cores of {}; they will disturb each other's timing\n", node.size,
                             cpu_count, host_name());
  HostDeviceOptions host;
  host.expert = options.expert;
  host.tile_tokens = options.tile_tokens;
  host.type = parse_gemm_type(options.weight_dtype, "--dtype");
  host.rank = ranks.rank();
  host.slowdown = slowdown_of(options, static_cast<std::size_t>(ranks.rank()));
  host.seed = options.seed;
  // Some room is left for activations and for the rest of the machine.
  host.memory_limit_bytes = available_memory_bytes() / 10 * 9 / static_cast<std::size_t>(node.size);
  return std::make_unique<HostDevice>(host);
}

void refuse_shared_gpus(const DeviceDescription& mine, const Communicator& ranks) {
  const std::vector<std::string> gpus = ranks.gather(mine.uuid + " of " + mine.hostname);
  ranks.on_root([&] {
    for (std::size_t a = 0; a < gpus.size(); ++a)
      for (std::size_t b = a + 1; b < gpus.size(); ++b)
        if (gpus[a] == gpus[b])
          throw UsageError(
              fmt::format("ranks {} and {} would share {}; start one rank a GPU, or give --share-gpu turns to let "
                          "them use it one after the other",
                          a, b, gpus[a]));
  });
}

std::unique_ptr<MoeDevice> make_cuda_device_of(const DeviceOptions& options, const Communicator& ranks) {
  CudaDeviceOptions cuda;
  cuda.expert = options.expert;
  cuda.tile_tokens = options.tile_tokens;
  cuda.weight_dtype = options.weight_dtype;
  cuda.slowdown = slowdown_of(options, static_cast<std::size_t>(ranks.rank()));
  cuda.seed = options.seed;
  cuda.rank = ranks.rank();
  cuda.node_rank = ranks.node_rank();
  std::unique_ptr<MoeDevice> device;
  ranks.on_all([&] { device = make_cuda_device(cuda); });
  if (!options.share_gpu) refuse_shared_gpus(device->description(), ranks);
  return device;
}

std::unique_ptr<MoeDevice> make_simulated_device(const DeviceOptions& options, int rank, std::size_t device) {
  SimulatedDeviceOptions simulated;
  simulated.expert = options.expert;
  simulated.tile_tokens = options.tile_tokens;
  simulated.weight_bytes = weight_element_bytes(options.weight_dtype);
  simulated.slowdown = slowdown_of(options, device);
  simulated.seed = options.seed;
  simulated.device = static_cast<std::int32_t>(device);
  simulated.rank = rank;
  simulated.model = options.simulation;
  return std::make_unique<SimulatedDevice>(simulated);
}

}  // namespace

std::size_t weight_element_bytes(const std::string& dtype) {
  if (dtype == "fp8") return 1;
  if (dtype == "bf16" || dtype == "f32") return element_bytes(parse_gemm_type(dtype, "--dtype"));
  throw UsageError("--dtype: '" + dtype + "' is none of bf16, f32, fp8");
}

std::string default_device_kind() {
  return cuda_is_built() ? "cuda" : "host";
}

std::size_t default_tile_tokens(const DeviceOptions& options, double tokens_per_expert) {
  return options.kind == "cuda" ? cuda_tile_tokens(tokens_per_expert, options.weight_dtype) : 16;
}

void check_device_kind(const std::string& kind) {
  if (kind != "cuda" && kind != "host" && kind != "simulated")
    throw UsageError("--device: '" + kind + "' is none of cuda, host, simulated");
}

void check_device_options(const DeviceOptions& options) {
  check_device_kind(options.kind);
  if (options.kind == "cuda" && !cuda_is_built()) make_cuda_device({});
  if (options.kind != "simulated" && options.device_count != 0)
    throw UsageError("--devices is for --device simulated; the others have one device a rank (mpirun -n)");
  if (options.tile_tokens == 0 || options.tile_tokens > 65536)
    throw UsageError(fmt::format("--tile-tokens: {} is out of range (1 to 65536)", options.tile_tokens));
  if (options.expert.weight_count() == 0) throw UsageError("the shape of the experts has a zero in it");
  weight_element_bytes(options.weight_dtype);
  if (options.kind == "host" && options.weight_dtype == "fp8")
    throw UsageError("--dtype fp8: processors don't multiply it; choose bf16 or f32, or --device cuda or simulated");
}

std::size_t device_count_of(const DeviceOptions& options, std::size_t rank_count) {
  return options.device_count > 0 ? options.device_count : rank_count;
}

DeviceRange devices_of_rank(std::size_t device_count, std::size_t rank_count, std::size_t rank) {
  const std::size_t first = device_count * rank / rank_count;
  return {first, device_count * (rank + 1) / rank_count - first};
}

std::vector<std::unique_ptr<MoeDevice>> make_devices(const DeviceOptions& options, const Communicator& ranks) {
  const auto rank_count = static_cast<std::size_t>(ranks.size());
  const DeviceRange range =
      devices_of_rank(device_count_of(options, rank_count), rank_count, static_cast<std::size_t>(ranks.rank()));
  std::vector<std::unique_ptr<MoeDevice>> devices;
  if (options.kind == "simulated") {
    for (std::size_t device = range.first; device < range.first + range.count; ++device)
      devices.push_back(make_simulated_device(options, ranks.rank(), device));
  } else if (options.kind == "host") {
    devices.push_back(make_host_device(options, ranks));
  } else {
    devices.push_back(make_cuda_device_of(options, ranks));
  }
  return devices;
}

double slowdown_of(const DeviceOptions& options, std::size_t device) {
  return options.slowdowns.empty() ? 1.0 : options.slowdowns[device % options.slowdowns.size()];
}

std::vector<double> parse_slowdowns(const std::string& text, std::size_t device_count) {
  if (text.empty()) return {};
  const bool is_list = text.find_first_not_of("0123456789.,eE+- ") == std::string::npos;
  if (is_list) {
    const std::vector<double> slowdowns = parse_number_list(text, "--slowdown");
    if (device_count % slowdowns.size() != 0)
      throw UsageError(
          fmt::format("--slowdown: {} values for {} devices; give one a device, or so many that they are "
                      "repeated without rest",
                      slowdowns.size(), device_count));
    for (const double slowdown : slowdowns)
      if (!(slowdown > 0.0 && slowdown <= greatest_slowdown))
        throw UsageError(
            fmt::format("--slowdown: {:g} is out of range (above 0, at most {:g})", slowdown, greatest_slowdown));
    return slowdowns;
  }
  std::ifstream file(text);
  if (!file)
    throw UsageError("--slowdown: '" + text + "' is neither a list of numbers nor a CSV file that can be opened");
  std::ostringstream content;
  content << file.rdbuf();
  std::vector<double> picked = pick_quantiles(parse_variability(content.str(), text), device_count);
  const double fastest = *std::min_element(picked.begin(), picked.end());
  for (double& runtime : picked) runtime /= fastest;
  return picked;
}

}  // namespace gem
