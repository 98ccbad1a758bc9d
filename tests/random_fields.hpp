#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <type_traits>
#include <vector>

#include "base/field.hpp"
#include "base/random.hpp"

namespace gem::test {

/// A number that the rule allows.
inline double random_number(const ValueRule& rule, const AxisLengths& axes, RandomStream& random) {
  if (rule.or_unknown && random.below(8) == 0) return std::numeric_limits<double>::quiet_NaN();
  if (!rule.index_of.empty()) return static_cast<double>(random.below(axes.length(rule.index_of)));
  const double least = std::max(rule.least, 0.0);
  const double greatest =
      rule.up_to.empty() ? std::min(rule.greatest, 1000.0) : static_cast<double>(axes.length(rule.up_to));
  return least + (greatest - least) * (0.001 + 0.998 * random.uniform());
}

/// Fills every field of a noun with random values that its rule allows, so that all differ; arrays get the lengths of
/// `axes`.
template <class Noun>
void fill_randomly(Noun& noun, const AxisLengths& axes, std::uint64_t seed) {
  RandomStream random{seed};
  const auto fill = [&](const Field& field, auto& value) {
    using Value = std::remove_cvref_t<decltype(value)>;
    const auto set = [&](auto& element, std::size_t index) {
      using Element = std::remove_cvref_t<decltype(element)>;
      if constexpr (std::is_same_v<Element, std::string>)
        element = field.rule.words.empty() ? std::string(field.name) + " " + std::to_string(random.below(1000))
                                           : std::string(field.rule.words.substr(0, field.rule.words.find(',')));
      else if constexpr (std::is_integral_v<Element>)
        element = field.rule.distinct ? static_cast<Element>(3 * index + 1)
                                      : static_cast<Element>(std::ceil(random_number(field.rule, axes, random)));
      else
        element = static_cast<Element>(random_number(field.rule, axes, random));
    };
    if constexpr (ArrayValue<Value>) {
      shape(value, axes.extents(field));
      std::size_t index = 0;
      for (auto& element : elements_of(value)) set(element, index++);
    } else {
      set(value, 0);
      if (!field.sets_axis.empty())
        if constexpr (std::is_integral_v<Value>) value = static_cast<Value>(axes.length(field.sets_axis));
    }
  };
  visit_fields(noun, [&](const Field& field, auto&& value) {
    if constexpr (Encoded<std::remove_cvref_t<decltype(value)>>) {
      auto written = value.get();
      fill(field, written);
      value.set(written);
    } else {
      fill(field, value);
    }
  });
}

template <class T>
bool same_bits(const T& first, const T& second) {
  if constexpr (std::is_floating_point_v<T>)
    if (std::isnan(first) && std::isnan(second)) return true;
  return first == second;
}

/// Expects all fields of two nouns to be the same, where NaN is NaN.
template <class Noun>
void expect_same_fields(Noun found, const Noun& expected) {
  visit_both(found, expected, [&](const Field& field, const auto& value, const auto& other) {
    const auto compare = [&](const auto& first, const auto& second) {
      using Value = std::remove_cvref_t<decltype(first)>;
      if constexpr (ArrayValue<Value>) {
        EXPECT_EQ(extents_of(first), extents_of(second)) << field.name;
        const auto same = [](const auto& a, const auto& b) { return same_bits(a, b); };
        EXPECT_TRUE(std::ranges::equal(elements_of(first), elements_of(second), same)) << field.name;
      } else {
        EXPECT_TRUE(same_bits(first, second)) << field.name;
      }
    };
    if constexpr (Encoded<std::remove_cvref_t<decltype(value)>>)
      compare(value.get(), other);
    else
      compare(value, other);
  });
}

}  // namespace gem::test
