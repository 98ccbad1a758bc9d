#include "files/partial_profile.hpp"

#include <algorithm>

#include "files/profile_fields.hpp"

namespace gem {
namespace {

const char* const file_format = "gem.profile.partial";

template <class T>
void append(Hdf5GrowingFile& file, const std::string& name, const std::vector<T>& values) {
  file.append<T>(name, std::span<const T>(values));
}

/// What tells a device from another one: its own number where it has one, else the machine. Simulated devices are the
/// same wherever they are computed.
std::string identity_of(const DeviceDescription& device) {
  if (!device.uuid.empty() || device.kind == "simulated") return device.uuid;
  return device.hostname;
}

void check_same_plan(const Hdf5Input& file, const LatencyProfile& found, const LatencyProfile& plan) {
  const auto refuse = [&](const std::string& what, const std::string& was, const std::string& is) {
    file.reject("the unfinished profile has " + what + " " + was + ", but this run has " + is +
                "; give the same options to go on, or start anew without --resume");
  };
  const auto check_text = [&](const std::string& what, const std::string& was, const std::string& is) {
    if (was != is) refuse(what, "'" + was + "'", "'" + is + "'");
  };
  const auto check_count = [&](const std::string& what, std::size_t was, std::size_t is) {
    if (was != is) refuse(what, std::to_string(was), std::to_string(is));
  };
  check_text("model", found.model, plan.model);
  check_text("device_kind", found.device_kind, plan.device_kind);
  check_text("weight_dtype", found.weight_dtype, plan.weight_dtype);
  check_count("hidden_size", found.expert.hidden_size, plan.expert.hidden_size);
  check_count("intermediate_size", found.expert.intermediate_size, plan.expert.intermediate_size);
  check_count("tile_tokens", found.tile_tokens, plan.tile_tokens);
  check_count("number of devices", found.devices.size(), plan.devices.size());
  check_count("number of points", found.points.size(), plan.points.size());
  for (std::size_t i = 0; i < plan.points.size(); ++i)
    if (found.points[i] != plan.points[i])
      file.reject(
          format("/points differ from this run's plan at [%zu]; give the "
                 "same options to go on, or start anew without --resume",
                 i));
  for (std::size_t i = 0; i < plan.devices.size(); ++i) {
    const std::string which = format("device %zu", i);
    check_text(which + " named", found.devices[i].name, plan.devices[i].name);
    check_text(which + " on", identity_of(found.devices[i]), identity_of(plan.devices[i]));
    check_text(which + " slowed down by", format("%.6g", found.devices[i].emulated_slowdown),
               format("%.6g", plan.devices[i].emulated_slowdown));
  }
}

/// Rows of all tables that have one value a device, side by side.
struct DeviceTables {
  std::vector<double> median_s, p95_s, sm_clock_hz, power_w, temperature_c;  // [row, device]
  std::vector<std::uint8_t> settled;
  std::vector<std::uint64_t> throttle_reasons;
};

DeviceTables read_tables(const Hdf5Input& file, std::size_t row_count, std::size_t device_count) {
  const auto numbers = [&](const char* name) { return file.read_rows<double>(name, row_count, {device_count}); };
  DeviceTables tables;
  tables.median_s = numbers("/rows/median");
  tables.p95_s = numbers("/rows/p95");
  check_values(file, "/rows/median", tables.median_s, {row_count, device_count}, is_positive, "positive seconds");
  check_values(file, "/rows/p95", tables.p95_s, {row_count, device_count}, is_positive, "positive seconds");
  tables.sm_clock_hz = numbers("/rows/sm_clock_hz");
  tables.power_w = numbers("/rows/power_w");
  tables.temperature_c = numbers("/rows/temperature_c");
  tables.settled = file.read_rows<std::uint8_t>("/rows/settled", row_count, {device_count});
  tables.throttle_reasons = file.read_rows<std::uint64_t>("/rows/throttle_reasons", row_count, {device_count});
  return tables;
}

/// Indices of the points that the whole rows measured, in the order of the rows.
std::vector<std::size_t> read_row_points(const Hdf5Input& file, std::size_t point_count) {
  const std::size_t row_count = file.extents("/rows/point_number", 1)[0];
  std::vector<std::size_t> points;
  std::vector<std::uint8_t> seen(point_count, 0);
  for (const std::uint64_t number : file.read_rows<std::uint64_t>("/rows/point_number", row_count, {})) {
    if (number == 0) break;  // never written: the kill came first
    if (number > point_count || seen[number - 1] != 0)
      file.reject(
          format("/rows/point_number holds %llu, but must hold each of 1 to %zu once at most; start anew "
                 "without --resume",
                 static_cast<unsigned long long>(number), point_count));
    seen[number - 1] = 1;
    points.push_back(number - 1);
  }
  return points;
}

template <class T>
std::vector<T> row_of(const std::vector<T>& values, std::size_t row, std::size_t width) {
  const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row * width);
  return {begin, begin + static_cast<std::ptrdiff_t>(width)};
}

}  // namespace

void start_partial_profile(Hdf5GrowingFile& file, const LatencyProfile& plan, const Provenance& provenance) {
  write_header(file, file_format, provenance);
  write_profile_plan(file, plan);
  const Extents devices = {plan.devices.size()};
  file.add_table<double>({"/rows/median", "s", "row, device"}, devices);
  file.add_table<double>({"/rows/p95", "s", "row, device"}, devices);
  file.add_table<std::uint8_t>({"/rows/settled", "1", "row, device"}, devices);
  file.add_table<double>({"/rows/sm_clock_hz", "Hz", "row, device"}, devices);
  file.add_table<double>({"/rows/power_w", "W", "row, device"}, devices);
  file.add_table<double>({"/rows/temperature_c", "degC", "row, device"}, devices);
  file.add_table<std::uint64_t>({"/rows/throttle_reasons", "1", "row, device"}, devices);
  // Rows differ in samples: all of a row's [device, sample] follow those of the row before.
  file.add_table<float>({"/rows/samples", "s", "value"}, {});
  file.add_table<std::uint64_t>({"/rows/samples_per_device", "1", "row"}, {});
  file.add_table<std::uint64_t>({"/rows/point_number", "1", "row; 1 is the first point, 0 no whole row"}, {});
  file.start();
}

void append_partial_row(Hdf5GrowingFile& file, const ProfileRow& row) {
  append(file, "/rows/median", row.median_s);
  append(file, "/rows/p95", row.p95_s);
  append(file, "/rows/settled", row.settled);
  append(file, "/rows/sm_clock_hz", column(row.telemetry, &Telemetry::sm_clock_hz));
  append(file, "/rows/power_w", column(row.telemetry, &Telemetry::power_w));
  append(file, "/rows/temperature_c", column(row.telemetry, &Telemetry::temperature_c));
  append(file, "/rows/throttle_reasons", column(row.telemetry, &Telemetry::throttle_reasons));
  append(file, "/rows/samples", row.samples_s.values());
  append(file, "/rows/samples_per_device", std::vector<std::uint64_t>{row.samples_s.columns()});
  file.flush();
  // The row counts from here on: its number is written when all else is.
  append(file, "/rows/point_number", std::vector<std::uint64_t>{row.point + 1});
  file.flush();
}

std::vector<ProfileRow> read_partial_rows(const std::string& path, const LatencyProfile& plan, std::uint64_t seed) {
  const Hdf5Input file = open_gem_file(path, file_format, Hdf5Input::Access::Growing);
  check_same_plan(file, read_profile_plan(file), plan);
  if (file.count_attribute("seed") != seed)
    file.reject(
        format("the unfinished profile has seed %llu, but this run has %llu; give the same --seed to go on, or "
               "start anew without --resume",
               static_cast<unsigned long long>(file.count_attribute("seed")), static_cast<unsigned long long>(seed)));

  const std::vector<std::size_t> points = read_row_points(file, plan.points.size());
  const std::size_t device_count = plan.devices.size();
  const DeviceTables tables = read_tables(file, points.size(), device_count);
  const auto samples_per_device = file.read_rows<std::uint64_t>("/rows/samples_per_device", points.size(), {});
  const auto samples_s = file.read_rows<float>("/rows/samples", file.extents("/rows/samples", 1)[0], {});

  std::vector<ProfileRow> rows(points.size());
  std::size_t first_sample = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    ProfileRow& row = rows[i];
    row.point = points[i];
    row.median_s = row_of(tables.median_s, i, device_count);
    row.p95_s = row_of(tables.p95_s, i, device_count);
    row.settled = row_of(tables.settled, i, device_count);
    for (std::size_t value = i * device_count; value < (i + 1) * device_count; ++value)
      row.telemetry.push_back({tables.sm_clock_hz[value], tables.power_w[value], tables.temperature_c[value],
                               tables.throttle_reasons[value]});
    if (samples_per_device[i] > (samples_s.size() - first_sample) / device_count)
      file.reject(format("/rows/samples ends within row %zu; start anew without --resume", i));
    row.samples_s = Matrix<float>(device_count, samples_per_device[i]);
    const std::size_t count = device_count * samples_per_device[i];
    std::copy_n(samples_s.begin() + static_cast<std::ptrdiff_t>(first_sample), count, row.samples_s.values().begin());
    first_sample += count;
  }
  return rows;
}

}  // namespace gem
