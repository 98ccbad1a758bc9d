#include "files/mapping_file.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "files/header.hpp"

namespace gem {
namespace {

const char* const file_format = "gem.mapping";

/// What /slots holds beside each expert's home: [layer, copy]. Every expert must sit in a slot of its home, and every
/// layer must have as many copies.
Matrix<RedundantCopy> redundant_copies(const Hdf5Input& file, const Mapping& mapping, const Cube<std::int32_t>& slots) {
  Matrix<RedundantCopy> redundant;
  for (std::size_t layer = 0; layer < slots.planes(); ++layer) {
    std::vector<std::uint8_t> at_home(mapping.expert_count(), 0);
    std::vector<RedundantCopy> copies;
    for (std::size_t device = 0; device < slots.rows(); ++device) {
      for (const std::int32_t expert : slots.row(layer, device)) {
        if (expert == -1) continue;
        const auto index = static_cast<std::size_t>(expert);
        const auto here = static_cast<std::int32_t>(device);
        if (mapping.expert_to_device(layer, index) == here && at_home[index] == 0)
          at_home[index] = 1;
        else
          copies.push_back({expert, here});
      }
    }
    for (std::size_t expert = 0; expert < at_home.size(); ++expert)
      if (at_home[expert] == 0)
        file.reject(
            fmt::format("/slots has no slot for expert {} of layer {} on device {}, where /expert_to_device puts "
                        "it; make the file again",
                        expert, layer, mapping.expert_to_device(layer, expert)));
    if (layer == 0) redundant = Matrix<RedundantCopy>(slots.planes(), copies.size());
    if (copies.size() != redundant.columns())
      file.reject(fmt::format("/slots holds {} redundant copies in layer {}, but {} in layer 0; make the file again",
                              copies.size(), layer, redundant.columns()));
    std::ranges::sort(copies, {}, [](const RedundantCopy& copy) { return std::pair(copy.expert, copy.device); });
    std::ranges::copy(copies, redundant.row(layer).begin());
  }
  return redundant;
}

std::vector<double> unknown_score(std::size_t layer_count) {
  return std::vector<double>(layer_count, std::numeric_limits<double>::quiet_NaN());
}

void write_score(Hdf5Output& file, const std::string& name, const std::vector<double>& score_s,
                 std::size_t layer_count) {
  file.write({name, "s", "layer"}, score_s.empty() ? unknown_score(layer_count) : score_s, {layer_count});
}

std::vector<double> read_score(const Hdf5Input& file, const std::string& name, std::size_t layer_count) {
  if (!file.has_dataset(name)) return unknown_score(layer_count);
  return read_checked<double>(
      file, name, {layer_count}, [](double s) { return std::isnan(s) || (s >= 0.0 && std::isfinite(s)); },
      "0 or more seconds, or NaN where unknown");
}

std::string text_attribute_or(const Hdf5Input& file, const std::string& name, const std::string& fallback) {
  return file.has_attribute(name) ? file.text_attribute(name) : fallback;
}

// How the search went, one column a dataset; for plots, nothing reads it back.
void write_course(Hdf5Output& file, const std::vector<SearchPoint>& course) {
  if (course.empty()) return;
  std::vector<std::int32_t> layer, start;
  std::vector<double> elapsed_s, predicted_s;
  for (const SearchPoint& point : course) {
    layer.push_back(point.layer);
    start.push_back(point.start);
    elapsed_s.push_back(point.elapsed_s);
    predicted_s.push_back(point.predicted_s);
  }
  const Extents extents{course.size()};
  file.write({"/search/layer", "1", "point"}, layer, extents);
  file.write({"/search/start", "1", "point"}, start, extents);
  file.write({"/search/elapsed_s", "s", "point"}, elapsed_s, extents);
  file.write({"/search/predicted_s", "s", "point"}, predicted_s, extents);
}

}  // namespace

Mapping read_mapping(const std::string& path) {
  const Hdf5Input file = open_gem_file(path, file_format);
  const Extents extents = file.extents("/expert_to_device", 2);
  const Extents slot_extents = file.extents("/slots", 3);
  if (extents[0] == 0 || extents[1] == 0)
    file.reject("/expert_to_device has extents " + to_string(extents) +
                ", but must be [layer, expert] with one of each at least");
  if (slot_extents[0] != extents[0] || slot_extents[1] == 0)
    file.reject(fmt::format("/slots has extents {}, but must be [{}, device, slot] with a device at least",
                            to_string(slot_extents), extents[0]));
  Mapping mapping;
  mapping.model = file.text_attribute("model");
  mapping.method = file.text_attribute("method");
  mapping.device_count = slot_extents[1];
  mapping.train_steps = file.count_attribute("train_steps");
  mapping.train_task = text_attribute_or(file, "train_task", mapping.train_task);
  mapping.train_part = text_attribute_or(file, "train_part", mapping.train_part);
  mapping.layer_ids = read_layer_ids(file, extents[0]);
  mapping.predicted_s = read_score(file, "/score/predicted_s", extents[0]);
  mapping.lower_bound_s = read_score(file, "/score/lower_bound_s", extents[0]);
  mapping.expert_to_device = Matrix<std::int32_t>(extents[0], extents[1]);
  const auto device_count = static_cast<std::int32_t>(mapping.device_count);
  mapping.expert_to_device.values() = read_checked<std::int32_t>(
      file, "/expert_to_device", extents, [=](std::int32_t device) { return device >= 0 && device < device_count; },
      fmt::format("devices, 0 to {}", device_count - 1));

  const auto expert_count = static_cast<std::int32_t>(extents[1]);
  Cube<std::int32_t> slots(slot_extents[0], slot_extents[1], slot_extents[2]);
  slots.values() = read_checked<std::int32_t>(
      file, "/slots", slot_extents, [=](std::int32_t expert) { return expert >= -1 && expert < expert_count; },
      fmt::format("experts, 0 to {} as in /expert_to_device, or -1 for none", expert_count - 1));
  mapping.redundant = redundant_copies(file, mapping, slots);
  check_mapping(mapping, path + ": /slots");
  return mapping;
}

void write_mapping(const std::string& path, const Mapping& mapping, const Provenance& provenance) {
  Hdf5Output file(path);
  write_header(file, file_format, provenance);
  file.attribute("method", mapping.method);
  file.attribute("train_steps", mapping.train_steps);
  file.attribute("train_task", mapping.train_task);
  file.attribute("train_part", mapping.train_part);
  file.attribute("score", "mean of a step over the steps searched on");
  const Cube<std::int32_t> slots = slots_of(mapping);
  file.write({"/layer_ids", "1", "layer"}, mapping.layer_ids, {mapping.layer_ids.size()});
  file.write({"/expert_to_device", "1", "layer, expert"}, mapping.expert_to_device.values(),
             {mapping.layer_count(), mapping.expert_count()});
  file.write({"/slots", "1", "layer, device, slot"}, slots.values(), {slots.planes(), slots.rows(), slots.columns()});
  write_score(file, "/score/predicted_s", mapping.predicted_s, mapping.layer_count());
  write_score(file, "/score/lower_bound_s", mapping.lower_bound_s, mapping.layer_count());
  write_course(file, mapping.course);
  file.commit();
}

}  // namespace gem
