#include "files/field_reader.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gem {

void FieldReader::find_axes(const Field& field) {
  if (!field.is_dataset()) {
    if (!field.sets_axis.empty() && is_there(field)) axes_.set(field.sets_axis, read_count(field));
    return;
  }
  if (!is_there(field)) return;
  const std::vector<std::string_view> axes = axes_of(field);
  const std::string name(field.name);
  const Extents found = file_.extents(name, axes.size());
  std::vector<std::string> expected;
  bool fits = true, is_empty = false;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::size_t* known = axes_.find(axes[i]);
    expected.push_back(known == nullptr ? std::string(axes[i]) : std::to_string(*known));
    fits = fits && (known == nullptr || *known == found[i]);
    is_empty = is_empty || found[i] == 0;
  }
  if (!fits)
    file_.reject(fmt::format("{} has extents {}, but must have [{}]; make the file again", name, to_string(found),
                             fmt::join(expected, ", ")));
  if (is_empty && field.presence == Presence::Always)
    file_.reject(fmt::format("{} has extents {}, but must be [{}] with one of each at least; make the file again", name,
                             to_string(found), field.axes));
  for (std::size_t i = 0; i < axes.size(); ++i) axes_.set(axes[i], found[i]);
}

bool FieldReader::is_there(const Field& field) const {
  const std::string name(field.name);
  if (field.is_dataset() ? file_.has_dataset(name) : file_.has_attribute(name)) return true;
  const bool is_needed = !field.needed_with.empty() && file_.has_attribute(std::string(field.needed_with));
  if (field.presence == Presence::Always || is_needed)
    file_.reject((field.is_dataset() ? "dataset " + name : "attribute '" + name + "'") +
                 " is missing; make the file again");
  return false;
}

// A latency in other units would be believed and be wrong by powers of ten.
void FieldReader::check_units(const Field& field) const {
  if (field.unit != "s") return;
  const std::string units = file_.units(std::string(field.name));
  if (!units.empty() && units != "s" && units != "second" && units != "seconds")
    file_.reject(fmt::format("{} is in units of '{}', but must be in 's'; convert it", field.name, units));
}

std::uint64_t FieldReader::read_count(const Field& field) const {
  const std::uint64_t count = file_.count_attribute(std::string(field.name));
  if (!is_allowed(field.rule, static_cast<double>(count), axes_))
    file_.reject(fmt::format("attribute '{}' is {}, but must be {}; make the file again", field.name, count,
                             text_of(field.rule, "1", axes_)));
  return count;
}

std::string FieldReader::read_text(const Field& field) const {
  const std::string text = file_.text_attribute(std::string(field.name));
  if (!is_allowed(field.rule, text))
    file_.reject(fmt::format("attribute '{}' is '{}', but must be {}; make the file again", field.name, text,
                             text_of(field.rule, "1", axes_)));
  return text;
}

void FieldReader::reject_value(const Field& field, double value, std::size_t index, const Extents& extents) const {
  Extents position = extents;
  for (std::size_t dimension = extents.size(); dimension-- > 0; index /= extents[dimension])
    position[dimension] = index % extents[dimension];
  file_.reject(fmt::format("{} holds {:.9g} at {}, but must hold {}; make the file again", field.name, value,
                           to_string(position), text_of(field.rule, field.unit, axes_)));
}

void FieldReader::check_distinct(const Field& field, std::vector<std::int64_t> values) const {
  std::ranges::sort(values);
  const auto twice = std::ranges::adjacent_find(values);
  if (twice != values.end())
    file_.reject(
        fmt::format("{} holds {} twice, but each must be there once; make the file again", field.name, *twice));
}

}  // namespace gem
