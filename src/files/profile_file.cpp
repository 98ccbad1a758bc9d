#include "files/profile_file.hpp"

#include <fmt/core.h>
#include <cmath>
#include <limits>

#include "files/profile_fields.hpp"

namespace gem {
namespace {

const char* const file_format = "gem.profile";

/// A latency in other units would be believed and be wrong by powers of ten.
void check_seconds(const Hdf5Input& file, const std::string& name) {
  const std::string units = file.units(name);
  if (!units.empty() && units != "s" && units != "second" && units != "seconds")
    file.reject(name + " is in units of '" + units + "', but must be in 's'; convert it");
}

/// The search counts whole nanoseconds; what takes days is no step.
bool is_latency(double s) {
  return s >= 1e-9 && s <= 1e6;
}

Matrix<double> read_latency(const Hdf5Input& file, const std::string& name, const Extents& extents) {
  check_seconds(file, name);
  Matrix<double> latency_s(extents[0], extents[1]);
  latency_s.values() = read_checked<double>(file, name, extents, is_latency, "seconds, from 1e-9 to 1e6");
  return latency_s;
}

Cube<float> read_samples(const Hdf5Input& file, const Extents& extents) {
  const std::string name = "/latency/samples";
  if (!file.has_dataset(name)) return {extents[0], extents[1], 0};
  check_seconds(file, name);
  const Extents full = {extents[0], extents[1], file.extents(name, 3)[2]};
  Cube<float> samples_s(full[0], full[1], full[2]);
  samples_s.values() = read_checked<float>(
      file, name, full, [](float s) { return std::isnan(s) || is_positive(s); }, "positive seconds, or NaN for none");
  return samples_s;
}

template <class T>
Matrix<T> read_or(const Hdf5Input& file, const std::string& name, const Extents& extents, T fallback) {
  Matrix<T> values(extents[0], extents[1], fallback);
  if (file.has_dataset(name)) values.values() = file.read<T>(name, extents);
  return values;
}

// Early profiles have at most one bend, as an attribute, 0 for none.
std::vector<std::uint32_t> read_bend_tiles(const Hdf5Input& file) {
  constexpr std::uint32_t most_tiles = 64;
  const std::string name = "/rule/bend_tiles";
  if (file.has_dataset(name))
    return read_checked<std::uint32_t>(
        file, name, file.extents(name, 1), [](std::uint32_t t) { return t >= 1 && t <= most_tiles; }, "1 to 64 tiles");
  if (!file.has_attribute("bend_tiles")) return {};
  const std::size_t tiles =
      checked_count(file, "attribute 'bend_tiles'", file.count_attribute("bend_tiles"), 0, most_tiles);
  if (tiles == 0) return {};
  return {static_cast<std::uint32_t>(tiles)};
}

LoadCosts read_load_rule(const Hdf5Input& file) {
  constexpr std::uint64_t most_rows = 1 << 20;
  const auto seconds = [&](const char* name, std::size_t count) {
    check_seconds(file, name);
    return read_checked<double>(
        file, name, {count}, [](double s) { return s >= 0.0 && s <= 1.0; }, "0 to 1 seconds");
  };
  LoadCosts rule;
  if (file.has_attribute("last_tile_rows"))
    rule.last_tile_rows = static_cast<std::uint32_t>(
        checked_count(file, "attribute 'last_tile_rows'", file.count_attribute("last_tile_rows"), 0, most_rows));
  if (file.has_dataset("/rule/row")) rule.row_s = seconds("/rule/row", 1)[0];
  const std::vector<std::uint32_t> tiles = read_bend_tiles(file);
  if (tiles.empty()) return rule;
  const std::vector<double> tile_s = seconds("/rule/surplus_tile", tiles.size());
  for (std::size_t b = 0; b < tiles.size(); ++b)
    if (tile_s[b] > 0.0) rule.bends.push_back({tiles[b], tile_s[b]});
  return rule;
}

void write_load_rule(Hdf5Output& file, const LoadCosts& rule) {
  file.attribute("last_tile_rows", std::uint64_t{rule.last_tile_rows});
  file.write({"/rule/row", "s", "one"}, std::vector<double>{rule.row_s}, {1});
  if (rule.bends.empty()) return;
  const Extents extents = {rule.bends.size()};
  file.write({"/rule/bend_tiles", "tile", "bend"}, column(rule.bends, &LoadCosts::Bend::tiles), extents);
  file.write({"/rule/surplus_tile", "s", "bend"}, column(rule.bends, &LoadCosts::Bend::tile_s), extents);
}

PairExchange read_exchange(const Hdf5Input& file, std::size_t devices) {
  PairExchange exchange;
  if (devices < 2 || !file.has_dataset("/exchange/latency")) return exchange;
  exchange.transport = file.text_attribute("exchange_transport");
  const auto read = [&](const char* name, const char* what) {
    Matrix<double> values(devices, devices);
    values.values() = read_checked<double>(
        file, name, {devices, devices}, [](double value) { return std::isnan(value) || is_positive(value); },
        fmt::format("positive {}, or NaN for none", what));
    return values;
  };
  check_seconds(file, "/exchange/latency");
  exchange.latency_s = read("/exchange/latency", "seconds");
  exchange.bytes_per_s = read("/exchange/bandwidth", "bytes per second");
  return exchange;
}

void write_exchange(Hdf5Output& file, const PairExchange& exchange) {
  if (exchange.empty()) return;
  const Extents extents = {exchange.latency_s.rows(), exchange.latency_s.columns()};
  file.attribute("exchange_transport", exchange.transport);
  file.write({"/exchange/latency", "s", "device, device"}, exchange.latency_s.values(), extents);
  file.write({"/exchange/bandwidth", "byte/s", "device, device"}, exchange.bytes_per_s.values(), extents);
}

}  // namespace

LatencyProfile read_profile(const std::string& path) {
  const Hdf5Input file = open_gem_file(path, file_format);
  LatencyProfile profile = read_profile_plan(file);
  const Extents extents = {profile.devices.size(), profile.points.size()};
  const double unknown = std::numeric_limits<double>::quiet_NaN();
  profile.median_s = read_latency(file, "/latency/median", extents);
  profile.p95_s = read_latency(file, "/latency/p95", extents);
  profile.samples_s = read_samples(file, extents);
  profile.settled = read_or<std::uint8_t>(file, "/latency/settled", extents, 1);
  profile.sm_clock_hz = read_or<double>(file, "/telemetry/sm_clock_hz", extents, unknown);
  profile.power_w = read_or<double>(file, "/telemetry/power_w", extents, unknown);
  profile.temperature_c = read_or<double>(file, "/telemetry/temperature_c", extents, unknown);
  profile.throttle_reasons = read_or<std::uint64_t>(file, "/telemetry/throttle_reasons", extents, 0);
  profile.drift.assign(extents[0], unknown);
  profile.rule = read_load_rule(file);
  profile.exchange = read_exchange(file, extents[0]);
  if (file.has_dataset("/latency/drift")) profile.drift = file.read<double>("/latency/drift", {extents[0]});
  return profile;
}

void write_profile(const std::string& path, const LatencyProfile& profile, const Provenance& provenance) {
  Hdf5Output file(path);
  write_header(file, file_format, provenance);
  write_profile_plan(file, profile);
  write_load_rule(file, profile.rule);
  write_exchange(file, profile.exchange);
  const Extents extents = {profile.devices.size(), profile.points.size()};
  const Cube<float>& samples_s = profile.samples_s;
  file.write({"/latency/median", "s", "device, point"}, profile.median_s.values(), extents);
  file.write({"/latency/p95", "s", "device, point"}, profile.p95_s.values(), extents);
  file.write({"/latency/samples", "s", "device, point, sample"}, samples_s.values(),
             {samples_s.planes(), samples_s.rows(), samples_s.columns()});
  file.write({"/latency/settled", "1", "device, point"}, profile.settled.values(), extents);
  file.write({"/latency/drift", "1", "device"}, profile.drift, {profile.drift.size()});
  file.write({"/telemetry/sm_clock_hz", "Hz", "device, point"}, profile.sm_clock_hz.values(), extents);
  file.write({"/telemetry/power_w", "W", "device, point"}, profile.power_w.values(), extents);
  file.write({"/telemetry/temperature_c", "degC", "device, point"}, profile.temperature_c.values(), extents);
  file.write({"/telemetry/throttle_reasons", "1", "device, point"}, profile.throttle_reasons.values(), extents);
  file.commit();
}

}  // namespace gem
