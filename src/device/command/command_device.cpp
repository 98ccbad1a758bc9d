#include "device/command/command_device.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/error.hpp"
#include "base/option.hpp"
#include "device/device_kind.hpp"
#include "device/device_options.hpp"
#include "model/load_trace.hpp"
#include "platform/host/host_info.hpp"

namespace gem {
namespace {

// As many tokens as the program has experts, those of slots without any left out first.
std::vector<std::uint32_t> tokens_of_experts(std::span<const std::uint32_t> tokens_per_slot, std::size_t experts) {
  std::vector<std::uint32_t> tokens(tokens_per_slot.begin(), tokens_per_slot.end());
  if (tokens.size() > experts) std::erase(tokens, 0u);
  if (tokens.size() > experts)
    throw DataError(
        fmt::format("a load has tokens for {} experts, but the devices of {} command were opened with {}; measure a "
                    "profile with as many experts a device",
                    tokens.size(), spelled("device"), experts));
  tokens.resize(experts);
  return tokens;
}

}  // namespace

CommandDevice::CommandDevice(const CommandDeviceOptions& options)
    : options_(options), session_(options.command, options.patience_s, options.opening.rank) {
  if (!(options.slowdown >= 1.0))
    throw UsageError(fmt::format(
        "a slowdown of {:g} cannot be emulated; it is relative to the device as it is, 1 or more", options.slowdown));
  answer_ = session_.open(options.opening);
}

DeviceDescription CommandDevice::description() const {
  std::string name = answer_.name + ", " + kernel_text();
  if (options_.slowdown > 1.0) name += fmt::format(", emulated x{:.4g}", options_.slowdown);
  return {kind().name, name, host_name(), answer_.uuid, options_.opening.rank, options_.slowdown};
}

std::string CommandDevice::kernel_text() const {
  return fmt::format("{} ({})", answer_.kernel, answer_.version);
}

DeviceProgram CommandDevice::program() const {
  return {options_.command, kernel_text(), tile_rule_text(answer_.tiles)};
}

double CommandDevice::time_layer(std::size_t, std::span<const std::uint32_t> tokens_per_slot) {
  if (row_count(tokens_per_slot) == 0) return 0.0;
  const double own_s = session_.load(tokens_of_experts(tokens_per_slot, options_.opening.experts));
  const double extra_s = (options_.slowdown - 1.0) * own_s;
  if (extra_s > 0.0) std::this_thread::sleep_for(std::chrono::duration<double>(extra_s));
  return own_s + extra_s;
}

double CommandDevice::compute(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot, std::span<const float>,
                              std::span<float>) {
  return time_layer(layer, tokens_per_slot);
}

}  // namespace gem
