#include "profile_check.hpp"

#include <fmt/core.h>
#include <unistd.h>
#include <algorithm>
#include <iostream>

#include "base/text.hpp"
#include "files/profile_file.hpp"
#include "model/expert_slots.hpp"
#include "model/moe_model.hpp"
#include "platform/command_line/result_output.hpp"
#include "platform/command_line/terminal.hpp"
#include "profile/device_spread.hpp"

namespace gem {
namespace {

constexpr std::size_t passes = 24;     // over the loads: enough blocks in each half to tell noise from speed
constexpr std::size_t most_loads = 3;  // of a pass

// [load][slot] tokens of one pass: the heaviest points of the plan with most experts active.
std::vector<std::vector<std::uint32_t>> loads_of_pass(const LatencyProfile& plan) {
  std::vector<LoadPoint> points = plan.points;
  std::ranges::sort(points, [](const LoadPoint& a, const LoadPoint& b) {
    return std::pair(a.active_experts, a.tiles) > std::pair(b.active_experts, b.tiles);
  });
  points.resize(std::min(points.size(), most_loads));
  std::vector<std::vector<std::uint32_t>> loads;
  for (const LoadPoint& point : points)
    loads.push_back(tokens_per_slot_of(point, plan.tile_tokens, plan.experts_per_device, 0));
  return loads;
}

}  // namespace

void choose_experts_to_check(ProfileRequest& request, std::size_t rank_count) {
  if (request.experts_per_device > 0) return;
  const std::size_t devices = device_count_of(request.devices, rank_count);
  request.experts_per_device = max_slots(model_of_option(request.model).expert_count, devices);
}

std::string describe_check(const ProfileSetup& setup) {
  const std::size_t loads = loads_of_pass(setup.plan).size();
  return fmt::format(
      "Check: do {} differ? {} passes over {} of {}, all devices at the same moments; no file is "
      "written",
      counted(setup.device_count, setup.devices.kind + " device"), passes, counted(loads, "heavy load"),
      setup.plan.model);
}

void check_devices(const Communicator& ranks, const ProfileRequest& request, const ProfileSetup& setup,
                   const Devices& devices) {
  const std::vector<std::vector<std::uint32_t>> pass = loads_of_pass(setup.plan);
  std::vector<std::vector<std::uint32_t>> loads;
  for (std::size_t i = 0; i < passes; ++i) loads.insert(loads.end(), pass.begin(), pass.end());
  const std::vector<DeviceDescription> descriptions = gather_descriptions(ranks, devices);
  const Matrix<double> seconds = measure_loads(ranks, devices, loads, 0, setup.sweep);
  ranks.on_root([&] {
    const DeviceSpread spread = judge_spread(speed_blocks(seconds, pass.size()), request.seed);
    std::cout << "\n" << with_coloured_verdict(spread_text(spread, descriptions), STDOUT_FILENO);
    print_result(spread_record(spread, descriptions));
  });
}

void compare_profiles(const std::vector<std::string>& files) {
  std::vector<LatencyProfile> profiles;
  for (const std::string& file : files) profiles.push_back(read_profile(file));
  const DeviceSpread spread = judge_spread(speed_blocks(profiles, files));
  std::cout << spread_text(spread, profiles.front().devices);
  print_result(spread_record(spread, profiles.front().devices));
}

}  // namespace gem
