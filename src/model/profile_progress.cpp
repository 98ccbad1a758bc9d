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

}  // namespace

LatencyProfile unmeasured(const LatencyProfile& plan) {
  LatencyProfile profile = plan;
  AxisLengths axes = axis_lengths(plan);
  axes.set("sample", 0);
  visit_fields(profile, [&](const Field& field, auto&& value) {
    using Value = std::remove_cvref_t<decltype(value)>;
    const auto names = axes_of(field);
    const bool is_result =
        field.presence != Presence::OrEmpty && !field.planned && !names.empty() && names.front() == "device";
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

bool is_measured(const LatencyProfile& profile, std::size_t point) {
  for (std::size_t d = 0; d < profile.device_count(); ++d)
    if (std::isnan(profile.median_s(d, point))) return false;
  return true;
}

std::size_t measured_count(const LatencyProfile& profile) {
  std::size_t count = 0;
  for (std::size_t p = 0; p < profile.points.size(); ++p) count += is_measured(profile, p);
  return count;
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
    if (plan.devices[i].uuid.empty() && plan.device_kind != "simulated")
      difference =
          difference_of(fmt::format("/devices/hostname[{}]", i), found.devices[i].hostname, plan.devices[i].hostname);
  return difference;
}

}  // namespace gem
