#include "model/profile_doubts.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "base/option.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

// What is no doubt yet. Times differ by so much for reasons that no repetition shows.
constexpr double least_drift = 0.03, least_fall = 0.02;
// In units of a device's noise, the median absolute deviation of its samples: 3 are about two standard deviations.
constexpr double noises = 3.0;
constexpr double unsettled_share = 0.2, falling_share = 0.05;
constexpr double throttled_share = 0.1;  // at least so many points in each state

using Doubt = ProfileDoubt;

std::optional<Doubt> unsettled(const LatencyProfile& profile, const std::vector<DeviceSummary>& devices) {
  std::size_t count = 0;
  for (const DeviceSummary& device : devices) count += device.unsettled;
  const std::size_t all = devices.size() * profile.points.size();
  if (static_cast<double>(count) <= unsettled_share * static_cast<double>(all)) return std::nullopt;
  return Doubt{
      Doubt::Kind::Unsettled,
      fmt::format("the medians of {} of {} measured points are not known as well as was asked for: measure again "
                  "on quieter devices or with a longer {}",
                  count, all, on_command_line("max-point-time"))};
}

std::optional<Doubt> drift(const std::vector<DeviceSummary>& devices) {
  std::size_t count = 0;
  double most = 0.0;
  for (const DeviceSummary& device : devices)
    if (std::abs(device.drift) > std::max(least_drift, noises * device.noise)) {
      ++count;
      if (std::abs(device.drift) > std::abs(most)) most = device.drift;
    }
  if (count == 0) return std::nullopt;
  return Doubt{
      Doubt::Kind::Drift,
      fmt::format("{} of {} devices took other times at the end of the sweep than at its beginning (at most {:+.1f} "
                  "%), beyond their noise: let them warm up and measure again",
                  count, devices.size(), 100.0 * most)};
}

/// Points with as many active experts, by tiles.
std::vector<std::vector<std::size_t>> rows_of_points(const LatencyProfile& profile) {
  std::map<std::int64_t, std::vector<std::size_t>> by_experts;
  for (std::size_t point = 0; point < profile.points.size(); ++point)
    by_experts[profile.points[point].active_experts].push_back(point);
  std::vector<std::vector<std::size_t>> rows;
  for (auto& [experts, row] : by_experts) {
    std::ranges::stable_sort(row, {}, [&](std::size_t point) { return profile.points[point].tiles; });
    rows.push_back(row);
  }
  return rows;
}

std::optional<Doubt> falls_with_load(const LatencyProfile& profile, const std::vector<DeviceSummary>& devices) {
  std::size_t pairs = 0, falls = 0;
  double most = 0.0;
  for (const std::vector<std::size_t>& row : rows_of_points(profile))
    for (std::size_t i = 1; i < row.size(); ++i)
      for (std::size_t device = 0; device < devices.size(); ++device) {
        if (profile.points[row[i]].tiles == profile.points[row[i - 1]].tiles) continue;
        ++pairs;
        const double fall = 1.0 - profile.median_s(device, row[i]) / profile.median_s(device, row[i - 1]);
        if (fall <= std::max(least_fall, noises * devices[device].noise)) continue;
        ++falls;
        most = std::max(most, fall);
      }
  if (static_cast<double>(falls) <= falling_share * static_cast<double>(pairs)) return std::nullopt;
  return Doubt{
      Doubt::Kind::FallsWithLoad,
      fmt::format("latency falls with load at {} of {} steps from one load to the next (by {:.0f} % at most), which "
                  "no device does: others used the devices meanwhile, or clocks changed; measure again",
                  falls, pairs, 100.0 * most)};
}

std::optional<Doubt> throttling(const LatencyProfile& profile, const std::vector<DeviceSummary>& devices) {
  const auto points = static_cast<double>(profile.points.size());
  std::vector<std::string> mixed;
  for (std::size_t device = 0; device < devices.size(); ++device) {
    const double share = static_cast<double>(devices[device].throttled) / points;
    if (share >= throttled_share && share <= 1.0 - throttled_share) mixed.push_back(fmt::format("{}", device));
  }
  if (mixed.empty()) return std::nullopt;
  constexpr std::size_t most_named = 8;
  if (mixed.size() > most_named) {
    const std::size_t more = mixed.size() - most_named;
    mixed.resize(most_named);
    mixed.push_back(fmt::format("{} more", more));
  }
  return Doubt{
      Doubt::Kind::Throttling,
      fmt::format("power or heat held down the clock at some loads and not at others (devices {}), while serving "
                  "keeps one state: warm up longer, or fix the clock",
                  join(mixed))};
}

std::optional<Doubt> not_distinguishable(const std::vector<DeviceSummary>& devices) {
  if (devices.size() < 2) return std::nullopt;
  const double slowest = std::ranges::min(devices, {}, &DeviceSummary::relative_speed).relative_speed;
  const double noise = std::ranges::max(devices, {}, &DeviceSummary::noise).noise;
  const double spread = 1.0 / slowest - 1.0;
  if (!(spread < noise)) return std::nullopt;
  return Doubt{
      Doubt::Kind::NotDistinguishable,
      fmt::format("the devices are not distinguishable: they differ by {:.2f} %, their noise is {:.2f} %; mapping "
                  "for their differences chases noise (gem-map {} maps without)",
                  100.0 * spread, 100.0 * noise, on_command_line("equal-devices"))};
}

}  // namespace

std::vector<ProfileDoubt> doubts_of(const LatencyProfile& profile) {
  std::vector<ProfileDoubt> doubts;
  if (profile.points.empty() || profile.devices.empty()) return doubts;
  const std::vector<DeviceSummary> devices = summarize(profile);
  for (const std::optional<Doubt>& doubt :
       {unsettled(profile, devices), drift(devices), falls_with_load(profile, devices), throttling(profile, devices),
        not_distinguishable(devices)})
    if (doubt) doubts.push_back(*doubt);
  return doubts;
}

std::string join_doubts(const std::vector<ProfileDoubt>& doubts) {
  std::vector<std::string> sentences;
  for (const ProfileDoubt& doubt : doubts) sentences.push_back(doubt.sentence);
  return join(sentences, ". ");
}

std::string warning_lines(const std::vector<ProfileDoubt>& doubts) {
  std::string lines;
  for (const ProfileDoubt& doubt : doubts) lines += wrap("Warning: " + doubt.sentence) + "\n";
  return lines;
}

}  // namespace gem
