#include "model/profile_progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "model/latency_profile_fields.hpp"

namespace gem {
namespace {

template <class T>
std::string text_of_value(const T& value) {
  if constexpr (std::is_same_v<T, std::string>)
    return "'" + value + "'";
  else
    return fmt::format("{}", value);
}

template <class T>
std::string difference_of(const std::string& name, const T& found, const T& wanted) {
  return found == wanted ? "" : fmt::format("{} {} instead of {}", name, text_of_value(found), text_of_value(wanted));
}

template <class T>
std::string difference_of(const Field& field, const std::vector<T>& found, const std::vector<T>& wanted) {
  if (found.size() != wanted.size())
    return fmt::format("{} {}s instead of {}", found.size(), field.axes, wanted.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::string difference = difference_of(fmt::format("{}[{}]", field.name, i), found[i], wanted[i]);
    if (!difference.empty()) return difference;
  }
  return "";
}

// The regime of the profile's own points; of several in that tile the one with the same points.
std::size_t own_regime(const LatencyProfile& profile) {
  for (std::size_t r = 0; r < profile.regimes.size(); ++r) {
    const TileRegime& regime = profile.regimes[r];
    if (regime.tile_tokens == profile.tile_tokens && regime.point_count == profile.points.size() &&
        std::equal(profile.points.begin(), profile.points.end(),
                   profile.regime_points.begin() + static_cast<std::ptrdiff_t>(first_point_of(profile, r))))
      return r;
  }
  return profile.regimes.size();
}

}  // namespace

LatencyProfile unmeasured(const LatencyProfile& plan) {
  LatencyProfile profile = plan;
  AxisLengths axes = axis_lengths(plan);
  axes.set("sample", 0);
  visit_fields(profile, [&](const Field& field, auto&& value) {
    using Value = std::remove_cvref_t<decltype(value)>;
    const auto names = axes_of(field);
    const bool of_regimes = !plan.regimes.empty() && names.size() > 1 && names[1] == "regime point";
    const bool is_result = (field.presence != Presence::OrEmpty || of_regimes) && !field.planned && !names.empty() &&
                           names.front() == "device";
    if constexpr (ArrayValue<Value> && !Encoded<Value>) {
      using T = typename std::remove_cvref_t<decltype(elements_of(value))>::value_type;
      if (!is_result) return;
      if constexpr (std::is_floating_point_v<T>)
        shape(value, axes.extents(field), static_cast<T>(field.otherwise));
      else
        shape(value, axes.extents(field));
    }
  });
  return profile;
}

std::size_t load_count(const LatencyProfile& profile) {
  const std::size_t own = own_regime(profile);
  const std::size_t shared = own < profile.regimes.size() ? profile.points.size() : 0;
  return profile.points.size() + profile.regime_points.size() - shared;
}

std::size_t regime_point_of(const LatencyProfile& profile, std::size_t load) {
  const std::size_t own = own_regime(profile), point = load - profile.points.size();
  return own < profile.regimes.size() && point >= first_point_of(profile, own) ? point + profile.points.size() : point;
}

bool is_measured(const LatencyProfile& profile, std::size_t load) {
  const bool of_points = load < profile.points.size();
  const Matrix<double>& median_s = of_points ? profile.median_s : profile.regime_median_s;
  const std::size_t point = of_points ? load : regime_point_of(profile, load);
  for (std::size_t d = 0; d < profile.device_count(); ++d)
    if (std::isnan(median_s(d, point))) return false;
  return true;
}

std::size_t measured_count(const LatencyProfile& profile) {
  std::size_t count = 0;
  for (std::size_t load = 0; load < load_count(profile); ++load) count += is_measured(profile, load);
  return count;
}

void copy_points_to_regime(LatencyProfile& profile) {
  const std::size_t own = own_regime(profile);
  if (own == profile.regimes.size()) return;
  for (std::size_t d = 0; d < profile.device_count(); ++d)
    std::ranges::copy(profile.median_s.row(d), profile.regime_median_s.row(d).begin() +
                                                   static_cast<std::ptrdiff_t>(first_point_of(profile, own)));
}

std::string plan_difference(const LatencyProfile& found, const LatencyProfile& plan) {
  std::string difference = difference_of("model", found.model, plan.model);
  LatencyProfile other = found;
  if (plan.devices.empty()) other.devices.clear();
  visit_both(other, plan, [&](const Field& field, const auto& value, const auto& wanted) {
    using Value = std::remove_cvref_t<decltype(value)>;
    if (!field.planned || !difference.empty()) return;
    if constexpr (Encoded<Value>) {
      if constexpr (std::is_same_v<decltype(value.get()), std::string>)
        difference = difference_of(std::string(field.name), value.get(), wanted);
      else if constexpr (requires { difference_of(field, value.get(), wanted); })
        difference = difference_of(field, value.get(), wanted);
    } else if constexpr (!ArrayValue<Value>) {
      difference = difference_of(std::string(field.name), value, wanted);
    }
  });
  for (std::size_t i = 0; i < other.devices.size() && difference.empty(); ++i)
    if (plan.devices[i].uuid.empty() && !plan.devices[i].is_simulated())
      difference =
          difference_of(fmt::format("/devices/hostname[{}]", i), found.devices[i].hostname, plan.devices[i].hostname);
  return difference;
}

}  // namespace gem
