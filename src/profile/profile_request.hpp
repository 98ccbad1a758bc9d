#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device/device_factory.hpp"
#include "model/latency_profile.hpp"
#include "model/moe_model.hpp"
#include "profile/pace.hpp"
#include "profile/plan.hpp"
#include "profile/shared_sweep.hpp"
#include "profile/sweep.hpp"
#include "profile/tile_staircase.hpp"

namespace gem {

/// Tokens a step that a plan reaches to, unless it is told how far.
constexpr std::size_t default_tokens_per_step = 512;

/// Whether the time of shared experts is measured.
enum class SharedTime { Measure, Ignore };

inline std::vector<OptionWord<SharedTime>> words_of(SharedTime) {
  return {{"measure", SharedTime::Measure}, {"ignore", SharedTime::Ignore}};
}

/// What is to be measured, as a user says it.
struct ProfileRequest {
  std::string model = "";              ///< as for model_of_option
  std::string expert_shape;            ///< "HxI" or empty
  std::size_t experts_per_device = 0;  ///< 0: the model's experts over all devices
  std::size_t redundant_experts = 0;   ///< further copies a layer that mappings will have: devices then hold more
  std::size_t max_tokens = 0;          ///< 0: what tokens_per_step can bring
  std::size_t tokens_per_step = default_tokens_per_step;
  std::vector<LoadTrace> workloads{};  ///< if any, what they can bring is measured, and max_tokens is 0
  std::size_t points_per_doubling = 3;
  bool exchange = false;                    ///< between each two devices, too
  std::optional<SharedTime> shared_time{};  ///< none: by what else is measured
  std::optional<Pace> pace{};               ///< none: by devices and model
  double idle_share = 0.2;                  ///< of a step, at the pace of serving
  std::size_t context = 2048;               ///< tokens in each sequence's cache, likewise
  std::size_t seed = 1;
  bool naive = false;  ///< every number of tokens, spread evenly, instead of tiles
  bool quiet = false;
  DeviceOptions devices;
  TopologyOptions topology;
  StoppingRule stopping;
};

void describe(OptionList& options, ProfileRequest& request);

/// OptionError for options that contradict each other, whatever the model.
void check_profile_request(const ProfileRequest& request);

/// Whether devices are measured at the pace of serving unless told otherwise: GPUs that a rank has for itself.
bool paced_unless_told(const DeviceOptions& devices);

/// As asked for; else of serving on GPUs that a rank has for itself, which replays have shown to be measured best so,
/// where the model tells its attention.
Pace pace_of(const ProfileRequest& request, const MoeModel& model);

/// All that follows from the request and the number of ranks; the same on every rank.
struct ProfileSetup {
  LatencyProfile plan;  ///< without its devices
  DeviceOptions devices;
  std::string served_dtype{};  ///< weights that engines serve the model with, as the table of models says, or empty
  SweepOptions sweep;
  Pace pace = Pace::Busy;  ///< as asked for, else of these devices and this model
  std::size_t device_count = 0;
  std::size_t max_tokens = 0;
  LoadRange range;  ///< what the workloads can bring; from nothing on, without any
  bool exchange = false;
  std::vector<std::int64_t> exchange_tokens;  ///< of the steps that the exchange's law is measured in, ascending
  SharedSweep shared{};                       ///< of shared experts, if they are measured
  std::optional<TileProbe> probe{};           ///< where the tiles were found by one
};

/// UsageError or DataError for a request that can't be met on so many ranks.
ProfileSetup set_up_profile(const ProfileRequest& request, std::size_t rank_count);

/// What will run, how long it will take about, and how much memory.
std::string describe_plan(const ProfileRequest& request, const ProfileSetup& setup, std::size_t rank_count);

/// Whether the request leaves it to the devices in which tiles they work: they say it, or a probe finds it.
bool asks_devices_for_tiles(const ProfileRequest& request);

}  // namespace gem
