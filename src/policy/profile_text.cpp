#include "policy/profile_text.hpp"

#include <fmt/format.h>

#include <cmath>
#include <type_traits>
#include <vector>

#include "base/error.hpp"
#include "model/latency_profile_fields.hpp"
#include "platform/file_system/input_file.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

const char* const file_format = "gem.policy_profile";
constexpr std::int64_t format_version = 1;

template <class T>
std::string element_text(const T& value) {
  if constexpr (std::is_same_v<T, std::string>)
    return to_json(value);
  else if constexpr (std::is_floating_point_v<T>)
    return std::isfinite(value) ? fmt::format("{}", value) : "null";
  else
    return fmt::format("{}", static_cast<std::int64_t>(value));
}

// Nested lists, one for each dimension.
template <class T>
std::string array_text(const std::vector<T>& values, const std::vector<std::size_t>& extents, std::size_t dimension,
                       std::size_t& next) {
  std::string text = "[";
  for (std::size_t i = 0; i < extents[dimension]; ++i) {
    if (i > 0) text += ", ";
    text += dimension + 1 == extents.size() ? element_text(values[next++])
                                            : array_text(values, extents, dimension + 1, next);
  }
  return text + "]";
}

class Writer {
 public:
  explicit Writer(std::string& text) : text_(text) {}

  template <class Value>
  void operator()(const Field& field, const Value& value) {
    if constexpr (Encoded<Value>) {
      (*this)(field, value.get());
    } else if constexpr (ArrayValue<Value>) {
      const auto& elements = elements_of(value);
      if (elements.empty() && field.presence != Presence::Always) return;
      std::size_t next = 0;
      member(field, array_text(elements, extents_of(value), 0, next));
    } else {
      if (field.presence == Presence::OrEmpty && value == Value{}) return;
      member(field, element_text(value));
    }
  }

 private:
  void member(const Field& field, const std::string& value) {
    text_ += ",\n " + to_json(std::string(field.name)) + ": " + value;
  }
  std::string& text_;
};

class Reader {
 public:
  explicit Reader(const JsonNode& root) : root_(root) { axes_.set("one", 1); }

  void read(LatencyProfile& profile) {
    visit_fields(profile, [&](const Field& field, const auto& value) {
      using Value = std::remove_cvref_t<decltype(value)>;
      if constexpr (Encoded<Value>) {
        if constexpr (ArrayValue<decltype(value.get())>) find_axes(field);
      } else if constexpr (ArrayValue<Value>) {
        find_axes(field);
      }
    });
    visit_fields(profile, [&](const Field& field, auto&& value) { take(field, value); });
  }

 private:
  bool is_there(const Field& field) const {
    if (root_.has(field.name)) return true;
    if (field.presence == Presence::Always) root_.reject(fmt::format("has no member '{}'; write it again", field.name));
    return false;
  }

  void find_axes(const Field& field) {
    if (!is_there(field)) return;
    const std::vector<std::string_view> axes = axes_of(field);
    JsonNode node = root_.at(field.name);
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const std::size_t length = node.size();
      const std::size_t* const known = axes_.find(axes[i]);
      if (length == 0) node.reject("is empty; write the file again");
      if (known != nullptr && *known != length)
        node.reject(fmt::format("has {} items, but must have {}; write the file again", length, *known));
      axes_.set(axes[i], length);
      if (i + 1 < axes.size()) node = node.item(0);
    }
  }

  template <class Value>
  void take(const Field& field, Value& value) const {
    if constexpr (Encoded<std::remove_const_t<Value>>) {
      decltype(value.get()) written{};
      take(field, written);
      if constexpr (ArrayValue<decltype(written)>)
        if (elements_of(written).empty()) return;
      value.set(std::move(written));
    } else if constexpr (ArrayValue<Value>) {
      const std::vector<std::size_t> extents = axes_.extents(field);
      using T = typename std::remove_cvref_t<decltype(elements_of(value))>::value_type;
      if (is_there(field)) {
        shape(value, extents);
        std::size_t next = 0;
        read_items(field, root_.at(field.name), extents, 0, elements_of(value), next);
      } else if (field.presence == Presence::OrDefault) {
        shape(value, extents, otherwise<T>(field));
      }
    } else if (is_there(field)) {
      read_element(field, root_.at(field.name), value);
    }
  }

  template <class T>
  static T otherwise(const Field& field) {
    if constexpr (std::is_floating_point_v<T>)
      return static_cast<T>(field.otherwise);
    else if constexpr (std::is_integral_v<T>)
      return std::isnan(field.otherwise) ? T{} : static_cast<T>(field.otherwise);
    else
      return T{};
  }

  template <class T>
  void read_items(const Field& field, const JsonNode& node, const std::vector<std::size_t>& extents,
                  std::size_t dimension, std::vector<T>& values, std::size_t& next) const {
    if (node.size() != extents[dimension])
      node.reject(fmt::format("has {} items, but must have {}; write the file again", node.size(), extents[dimension]));
    for (std::size_t i = 0; i < extents[dimension]; ++i) {
      if (dimension + 1 < extents.size())
        read_items(field, node.item(i), extents, dimension + 1, values, next);
      else
        read_element(field, node.item(i), values[next++]);
    }
  }

  template <class T>
  void read_element(const Field& field, const JsonNode& node, T& value) const {
    if constexpr (std::is_same_v<T, std::string>) {
      value = node.text();
    } else {
      const bool unknown = std::is_floating_point_v<T> && field.rule.or_unknown && node.is_null();
      const double number = unknown ? std::nan("") : node.number();
      if (!is_allowed(field.rule, number, axes_) || (std::is_integral_v<T> && !node.is_integer()) ||
          (std::is_unsigned_v<T> && number < 0.0))
        node.reject(fmt::format("is {:.9g}, but must be {}; write the file again", number,
                                text_of(field.rule, field.unit, axes_)));
      if constexpr (std::is_integral_v<T>)
        value = static_cast<T>(node.integer());
      else
        value = static_cast<T>(number);
    }
  }

  const JsonNode& root_;
  AxisLengths axes_;
};

void expect_whole(const JsonNode& root, const LatencyProfile& profile) {
  for (const double latency_s : profile.median_s.values())
    if (std::isnan(latency_s)) root.reject("is of an unfinished profile; finish it with gem-profile first");
  std::size_t regime_points = 0;
  for (const TileRegime& regime : profile.regimes) regime_points += regime.point_count;
  if (regime_points != profile.regime_points.size())
    root.reject(fmt::format("/regimes/point_count adds up to {}, but /regimes/points has {}; write the file again",
                            regime_points, profile.regime_points.size()));
}

}  // namespace

std::string profile_text(LatencyProfile profile) {
  profile.samples_s = {};
  profile.settled = {};
  profile.power_w = profile.temperature_c = {};
  profile.throttle_reasons = {};
  std::string text =
      fmt::format("{{\"format\": {},\n \"format_version\": {}", to_json(std::string(file_format)), format_version);
  visit_fields(profile, Writer(text));
  return text + "}\n";
}

LatencyProfile parse_profile_text(std::string_view text, const std::string& origin) {
  if (text.starts_with("\x89HDF"))
    throw DataError(origin + ": is an HDF5 file, but the policy needs the text that gem-deploy profile makes of it");
  const JsonDocument document = JsonDocument::parse(text, origin);
  const JsonNode root = document.root();
  if (!root.has("format") || !root.at("format").is_text() || root.at("format").text() != file_format)
    root.reject("is no profile for the policy; write one with gem-deploy profile");
  root.at("format_version").integer(format_version, format_version);
  LatencyProfile profile;
  Reader(root).read(profile);
  expect_whole(root, profile);
  return profile;
}

LatencyProfile read_profile_text(const std::string& path) {
  return parse_profile_text(read_whole_text(path, std::uint64_t{64} << 20), path);
}

}  // namespace gem
