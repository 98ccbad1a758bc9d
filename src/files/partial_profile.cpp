#include "files/partial_profile.hpp"

#include <fmt/core.h>

#include "base/option.hpp"
#include "files/profile_fields.hpp"

namespace gem {
namespace {

const char* const file_format = "gem.profile.partial";

/// What tells a device from another one: its own number where it has one, else the machine. Simulated devices are the
/// same wherever they are computed.
std::string identity_of(const DeviceDescription& device) {
  if (!device.uuid.empty() || device.kind == "simulated") return device.uuid;
  return device.hostname;
}

void check_same_plan(const Hdf5Input& file, const LatencyProfile& found, const LatencyProfile& plan) {
  const auto refuse = [&](const std::string& what, const std::string& was, const std::string& is) {
    file.reject("the unfinished profile has " + what + " " + was + ", but this run has " + is +
                "; give the same options to go on, or start anew without " + on_command_line("resume"));
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
          fmt::format("/points differ from this run's plan at [{}]; give the same options to go on, or start anew "
                      "without {}",
                      i, on_command_line("resume")));
  for (std::size_t i = 0; i < plan.devices.size(); ++i) {
    const std::string which = fmt::format("device {}", i);
    check_text(which + " named", found.devices[i].name, plan.devices[i].name);
    check_text(which + " on", identity_of(found.devices[i]), identity_of(plan.devices[i]));
    check_text(which + " slowed down by", fmt::format("{:.6g}", found.devices[i].emulated_slowdown),
               fmt::format("{:.6g}", plan.devices[i].emulated_slowdown));
  }
}

ProfileRow read_row(const std::string& name, std::span<const std::byte> image, const LatencyProfile& plan) {
  const Hdf5Input file(name, image);
  const Extents devices = {plan.devices.size()};
  const auto latency = [&](const char* field) {
    return read_checked<double>(file, field, devices, is_positive, "positive seconds");
  };
  ProfileRow row;
  row.point = checked_count(file, "attribute 'point'", file.count_attribute("point"), 0, plan.points.size() - 1);
  row.median_s = latency("/median");
  row.p95_s = latency("/p95");
  row.settled = file.read<std::uint8_t>("/settled", devices);
  row.samples_s = Matrix<float>(devices[0], file.extents("/samples", 2)[1]);
  row.samples_s.values() = file.read<float>("/samples", {devices[0], row.samples_s.columns()});
  const auto sm_clock_hz = file.read<double>("/sm_clock_hz", devices);
  const auto power_w = file.read<double>("/power_w", devices);
  const auto temperature_c = file.read<double>("/temperature_c", devices);
  const auto throttle_reasons = file.read<std::uint64_t>("/throttle_reasons", devices);
  for (std::size_t i = 0; i < devices[0]; ++i)
    row.telemetry.push_back({sm_clock_hz[i], power_w[i], temperature_c[i], throttle_reasons[i]});
  return row;
}

}  // namespace

std::unique_ptr<RecordFile> start_partial_profile(const std::string& path, const LatencyProfile& plan,
                                                  const Provenance& provenance) {
  Hdf5Output head(path);
  write_header(head, file_format, provenance);
  write_profile_plan(head, plan);
  return std::make_unique<RecordFile>(path, head.image());
}

void append_partial_row(RecordFile& file, const ProfileRow& row) {
  Hdf5Output record("row of a profile");
  const Extents devices = {row.median_s.size()};
  record.attribute("point", row.point);
  record.write({"/median", "s", "device"}, row.median_s, devices);
  record.write({"/p95", "s", "device"}, row.p95_s, devices);
  record.write({"/settled", "1", "device"}, row.settled, devices);
  record.write({"/samples", "s", "device, sample"}, row.samples_s.values(), {devices[0], row.samples_s.columns()});
  record.write({"/sm_clock_hz", "Hz", "device"}, column(row.telemetry, &Telemetry::sm_clock_hz), devices);
  record.write({"/power_w", "W", "device"}, column(row.telemetry, &Telemetry::power_w), devices);
  record.write({"/temperature_c", "degC", "device"}, column(row.telemetry, &Telemetry::temperature_c), devices);
  record.write({"/throttle_reasons", "1", "device"}, column(row.telemetry, &Telemetry::throttle_reasons), devices);
  file.append(record.image());
}

std::vector<ProfileRow> read_partial_rows(const std::string& path, const LatencyProfile& plan, std::uint64_t seed) {
  const Hdf5Input head = open_gem_file(path, file_format);
  check_same_plan(head, read_profile_plan(head), plan);
  if (head.count_attribute("seed") != seed)
    head.reject(
        fmt::format("the unfinished profile has seed {}, but this run has {}; give the same seed to go on, or "
                    "start anew without {}",
                    head.count_attribute("seed"), seed, on_command_line("resume")));
  std::vector<ProfileRow> rows;
  std::vector<std::uint8_t> seen(plan.points.size(), 0);
  for (const std::vector<std::byte>& record : read_records(path, head.end())) {
    ProfileRow row = read_row(fmt::format("{}, row {}", path, rows.size()), record, plan);
    if (seen[row.point] != 0)
      head.reject(
          fmt::format("has two rows for point {}; start anew without {}", row.point, on_command_line("resume")));
    seen[row.point] = 1;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace gem
