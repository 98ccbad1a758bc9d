#include "base/field.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gem {
namespace {

std::vector<std::string_view> names_of(std::string_view list) {
  std::vector<std::string_view> names;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    names.push_back(list.substr(0, comma));
    list.remove_prefix(std::min(list.size(), comma + 2));
  }
  return names;
}

std::string number(double value) {
  return std::fabs(value) < 1e15 && std::trunc(value) == value ? fmt::format("{:.0f}", value)
                                                               : fmt::format("{:g}", value);
}

}  // namespace

std::vector<std::string_view> axes_of(const Field& field) {
  return names_of(field.axes);
}

std::string text_of(const ValueRule& rule, std::string_view unit, const AxisLengths& axes) {
  std::string text;
  if (!rule.words.empty()) {
    text = rule.words;
    if (const std::size_t last = text.rfind(", "); last != std::string::npos) text.replace(last, 2, " or ");
    return text;
  }
  if (!rule.index_of.empty()) {
    const std::size_t* length = axes.find(rule.index_of);
    text = length != nullptr ? fmt::format("{}s, 0 to {}", rule.index_of, static_cast<std::int64_t>(*length) - 1)
                             : fmt::format("{}s, counted from 0", rule.index_of);
    if (rule.least == -1.0) return text + ", or -1 for none";
    return rule.greatest < std::numeric_limits<double>::max()
               ? fmt::format("{}, or {:.0f} for none", text, rule.greatest)
               : text;
  }
  const std::string suffix = unit == "1" || unit.empty() ? "" : fmt::format(" {}", unit);
  const bool has_least = rule.least > std::numeric_limits<double>::lowest();
  const bool has_greatest = rule.greatest < std::numeric_limits<double>::max();
  const std::size_t* length = axes.find(rule.up_to);
  if (!rule.up_to.empty())
    text = fmt::format("{} to {}", number(rule.least),
                       length == nullptr ? fmt::format("the number of {}s", rule.up_to) : std::to_string(*length));
  else if (rule.least == above_zero)
    text = "above 0" + (has_greatest ? ", at most " + number(rule.greatest) : "") + suffix;
  else if (has_least && has_greatest)
    text = number(rule.least) + " to " + number(rule.greatest) + suffix;
  else if (has_least)
    text = number(rule.least) + " or more" + suffix;
  else if (rule.or_unknown)
    text = "any number" + suffix;
  if (rule.or_unknown) text += ", or NaN where unknown";
  if (rule.distinct) text += ", none twice";
  return text;
}

bool is_allowed(const ValueRule& rule, double value, const AxisLengths& axes) {
  if (std::isnan(value)) return rule.or_unknown;
  if (!rule.index_of.empty())
    return value == rule.greatest ||
           (value >= (rule.least == -1.0 ? -1.0 : 0.0) && value < static_cast<double>(axes.length(rule.index_of)));
  if (!rule.up_to.empty() && value > static_cast<double>(axes.length(rule.up_to))) return false;
  return value >= rule.least && value <= rule.greatest;
}

bool is_allowed(const ValueRule& rule, std::string_view text) {
  return rule.words.empty() || std::ranges::count(names_of(rule.words), text) > 0;
}

const std::size_t* AxisLengths::find(std::string_view axis) const {
  for (const auto& [name, length] : lengths_)
    if (name == axis) return &length;
  return nullptr;
}

std::size_t AxisLengths::length(std::string_view axis) const {
  const std::size_t* found = find(axis);
  return found == nullptr ? 0 : *found;
}

void AxisLengths::set(std::string_view axis, std::size_t length) {
  for (auto& [name, known] : lengths_)
    if (name == axis) {
      known = length;
      return;
    }
  lengths_.emplace_back(axis, length);
}

std::vector<std::size_t> AxisLengths::extents(const Field& field) const {
  std::vector<std::size_t> extents;
  for (const std::string_view axis : axes_of(field)) extents.push_back(length(axis));
  return extents;
}

}  // namespace gem
