#include "files/profile_fields.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <limits>

namespace gem {
namespace {

std::vector<LoadPoint> read_points(const Hdf5Input& file) {
  const std::size_t count = checked_count(file, "length of /points/tiles", file.extents("/points/tiles", 1)[0], 1,
                                          std::numeric_limits<std::uint32_t>::max());
  const auto read = [&](const std::string& name) {
    return read_checked<std::int64_t>(
        file, name, {count}, [](std::int64_t load) { return load >= 1 && load <= greatest_load; },
        fmt::format("loads, 1 to {}", greatest_load));
  };
  const auto tiles = read("/points/tiles");
  const auto active_experts = read("/points/active_experts");
  const auto tokens = read("/points/tokens");
  std::vector<LoadPoint> points(count);
  for (std::size_t i = 0; i < count; ++i) points[i] = {tiles[i], active_experts[i], tokens[i]};
  return points;
}

std::vector<std::string> read_texts_or_empty(const Hdf5Input& file, const std::string& name, std::size_t count) {
  return file.has_dataset(name) ? file.read_texts(name, count) : std::vector<std::string>(count);
}

std::vector<DeviceDescription> read_devices(const Hdf5Input& file, const std::string& kind) {
  const std::size_t count = checked_count(file, "length of /devices/name", file.extents("/devices/name", 1)[0], 1,
                                          std::numeric_limits<std::int32_t>::max());
  const auto names = file.read_texts("/devices/name", count);
  const auto hostnames = read_texts_or_empty(file, "/devices/hostname", count);
  const auto uuids = read_texts_or_empty(file, "/devices/uuid", count);
  std::vector<std::int32_t> ranks(count);
  for (std::size_t i = 0; i < count; ++i) ranks[i] = static_cast<std::int32_t>(i);
  if (file.has_dataset("/devices/rank")) ranks = file.read<std::int32_t>("/devices/rank", {count});
  std::vector<double> slowdowns(count, 1.0);
  if (file.has_dataset("/devices/emulated_slowdown"))
    slowdowns = read_checked<double>(file, "/devices/emulated_slowdown", {count}, is_positive, "positive factors");
  std::vector<DeviceDescription> devices(count);
  for (std::size_t i = 0; i < count; ++i) devices[i] = {kind, names[i], hostnames[i], uuids[i], ranks[i], slowdowns[i]};
  return devices;
}

}  // namespace

bool is_positive(double latency_s) {
  return latency_s > 0.0 && std::isfinite(latency_s);
}

void write_profile_plan(Hdf5Output& file, const LatencyProfile& plan) {
  file.attribute("device_kind", plan.device_kind);
  file.attribute("weight_dtype", plan.weight_dtype);
  file.attribute("hidden_size", plan.expert.hidden_size);
  file.attribute("intermediate_size", plan.expert.intermediate_size);
  file.attribute("tile_tokens", plan.tile_tokens);
  file.attribute("experts_per_device", plan.experts_per_device);
  const Extents points = {plan.points.size()};
  file.write({"/points/tiles", "tile", "point"}, column(plan.points, &LoadPoint::tiles), points);
  file.write({"/points/active_experts", "expert", "point"}, column(plan.points, &LoadPoint::active_experts), points);
  file.write({"/points/tokens", "token", "point"}, column(plan.points, &LoadPoint::tokens), points);
  const Extents devices = {plan.devices.size()};
  file.write({"/devices/name", "1", "device"}, column(plan.devices, &DeviceDescription::name));
  file.write({"/devices/hostname", "1", "device"}, column(plan.devices, &DeviceDescription::hostname));
  file.write({"/devices/uuid", "1", "device"}, column(plan.devices, &DeviceDescription::uuid));
  file.write({"/devices/rank", "1", "device"}, column(plan.devices, &DeviceDescription::rank), devices);
  file.write({"/devices/emulated_slowdown", "1", "device"}, column(plan.devices, &DeviceDescription::emulated_slowdown),
             devices);
}

LatencyProfile read_profile_plan(const Hdf5Input& file) {
  constexpr std::uint64_t most = std::numeric_limits<std::int32_t>::max();
  const auto count = [&](const std::string& name) {
    return checked_count(file, "attribute '" + name + "'", file.count_attribute(name), 1, most);
  };
  LatencyProfile plan;
  plan.model = file.text_attribute("model");
  if (file.has_attribute("device_kind")) plan.device_kind = file.text_attribute("device_kind");
  plan.weight_dtype = file.has_attribute("weight_dtype") ? file.text_attribute("weight_dtype") : "bf16";
  // A search needs no shape; a replay says that it does.
  if (file.has_attribute("hidden_size") || file.has_attribute("intermediate_size"))
    plan.expert = {count("hidden_size"), count("intermediate_size")};
  plan.tile_tokens = count("tile_tokens");
  plan.points = read_points(file);
  plan.devices = read_devices(file, plan.device_kind);
  if (file.has_attribute("experts_per_device")) {
    plan.experts_per_device = count("experts_per_device");
  } else {
    for (const LoadPoint& point : plan.points)
      plan.experts_per_device = std::max(plan.experts_per_device, static_cast<std::size_t>(point.active_experts));
  }
  return plan;
}

}  // namespace gem
