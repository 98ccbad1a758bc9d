#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "device/device_factory.hpp"
#include "model/latency_profile.hpp"
#include "model/moe_model.hpp"
#include "platform/program.hpp"
#include "profile/plan.hpp"
#include "profile/sweep.hpp"
#include "profile/validation.hpp"

namespace gem {

/// What gem-profile was asked for.
struct ProfileOptions {
  std::string model = "";
  std::string expert_shape;  ///< "HxI" or empty
  std::string slowdown;
  std::size_t experts_per_device = 0;  ///< 0: the model's experts over all devices
  std::size_t max_tokens = 0;          ///< 0: what 512 tokens a step can bring
  std::size_t points_per_doubling = 3;
  std::string output = "profile.h5";
  std::string share_gpu;
  std::size_t seed = 1;
  std::size_t validation_loads = 0;  ///< of each source
  std::string trace;                 ///< steps that loads are drawn from
  std::string validation_output;     ///< CSV, or empty
  bool naive = false;
  bool resume = false;
  bool dry_run = false;
  bool list_models = false;
  bool quiet = false;
  DeviceOptions devices;
  StoppingRule stopping;
};

/// False if --help, --version or --list-models was answered.
bool parse_profile_options(ProfileOptions& options, const Arguments& arguments);

/// All that follows from the options and the number of ranks; the same on every rank.
struct ProfileSetup {
  LatencyProfile plan;  ///< without its devices
  DeviceOptions devices;
  SweepOptions sweep;
  std::size_t device_count = 0;
  std::size_t max_tokens = 0;
};

ProfileSetup set_up_profile(const ProfileOptions& options, std::size_t rank_count);

/// What will run, how long it will take about, and how much memory.
std::string describe_plan(const ProfileOptions& options, const ProfileSetup& setup, std::size_t rank_count);

/// The loads of --validate, the same on every rank.
ValidationLoads draw_validation_loads(const ProfileOptions& options, const ProfileSetup& setup);

/// Every point in measuring order.
std::string point_table(const LatencyProfile& plan);

}  // namespace gem
