#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/option.hpp"
#include "device/simulated/simulated_device.hpp"
#include "model/moe_model.hpp"
#include "model/weight_type.hpp"

namespace gem {

/// How ranks use a GPU that several of them have.
enum class GpuSharing { Turns };

inline std::vector<OptionWord<GpuSharing>> words_of(GpuSharing) {
  return {{"turns", GpuSharing::Turns}};
}

/// Words in place of a tile rule: what devices say, and what gem-profile finds by measuring.
inline constexpr std::string_view told_tile_rule = "adapter", probed_tile_rule = "probe";

/// Which devices a job runs on; the same on every rank.
struct DeviceOptions {
  std::string kind = "host";     ///< a name of device_kinds()
  std::size_t device_count = 0;  ///< on a virtual clock: how many; 0 and the others: one a rank
  ExpertShape expert{};
  std::size_t tile_tokens = 16;
  std::optional<WeightType> asked_weight_type{};  ///< as a user says it; none: choose_weights does
  WeightType weight_type = WeightType::Bf16;      ///< that is computed with; each kind says which it has
  std::string slowdown{};                         ///< as a user says it, see parse_slowdowns
  std::vector<double> slowdowns{};                ///< [device], repeated if shorter; empty for devices as they are
  std::optional<GpuSharing> share_gpu{};          ///< several ranks may use one GPU
  std::string command{};                          ///< of kind "command": what each rank starts as its device
  double command_timeout_s = 300.0;               ///< for each of its answers
  std::size_t experts_per_device = 0, top_k = 0, tokens_per_step = 0;  ///< that it is told; 0: not known
  std::string tile_rule_text{};                                        ///< as a user says it, see parse_tile_rule
  std::vector<TileStep> tile_rule{};  ///< where devices or a user said it; then tile_tokens follows from it
  std::uint64_t seed = 1;
  std::size_t weight_layers = 0;  ///< layers that are equal modulo this have the same weights; 0: each has its own
  SimulationModel simulation{};
};

/// What of them a user can choose.
void describe(OptionList& options, DeviceOptions& devices);

/// Of one device; fewer values than devices repeat.
double slowdown_of(const DeviceOptions& options, std::size_t device);

/// "1.0,1.28", one value a device, or the name of a CSV file of measured relative runtimes, from which device_count
/// devices are picked that stand for the whole cluster, the fastest as 1. Empty for an empty text. UsageError for
/// a number of values that doesn't divide device_count: fewer are repeated.
std::vector<double> parse_slowdowns(const std::string& text, std::size_t device_count);

/// "32:16,96:32,64": tiles of 16 rows for up to 32 rows of a device, of 32 for up to 96, of 64 beyond. Empty for an
/// empty text and for the words that leave it to the devices. UsageError for another.
std::vector<TileStep> parse_tile_rule(const std::string& text);

/// The same the other way: what parse_tile_rule reads as this rule.
std::string tile_rule_text(const std::vector<TileStep>& rule);

/// The CSV file that such a text names, or empty.
std::string slowdown_file_of(const std::string& text);

}  // namespace gem
