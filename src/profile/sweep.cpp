#include "profile/sweep.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <string>

#include "base/statistics.hpp"
#include "base/text.hpp"
#include "platform/command_line/progress.hpp"
#include "profile/load_rule_fit.hpp"
#include "profile/plan.hpp"

namespace gem {
namespace {

constexpr char field_end = '\x1f', device_end = '\x1e';

// Points that keep the first one company when it is measured again.
constexpr std::size_t company_points = 8;

template <class T, class Function>
std::vector<T> gather_each(const Communicator& ranks, DeviceList devices, const Function& value_of) {
  std::vector<T> values;
  for (std::size_t d = 0; d < devices.size(); ++d) values.push_back(value_of(d));
  return ranks.gather(std::span<const T>(values));
}

std::vector<double> gather_medians(const Communicator& ranks, DeviceList devices, const Samples& samples) {
  return gather_each<double>(ranks, devices, [&](std::size_t d) { return median(samples[d].latency_s); });
}

// The row of all devices, on rank 0.
ProfileRow gather_row(const Communicator& ranks, DeviceList devices, std::size_t point, const Samples& samples) {
  ProfileRow row;
  row.point = point;
  row.median_s = gather_medians(ranks, devices, samples);
  row.p95_s = gather_each<double>(ranks, devices, [&](std::size_t d) { return quantile(samples[d].latency_s, 0.95); });
  row.settled = gather_each<std::uint8_t>(ranks, devices, [&](std::size_t d) {
    return static_cast<std::uint8_t>(samples[d].decision == StoppingDecision::Settled ? 1 : 0);
  });

  std::vector<float> flat;
  for (const DeviceSamples& device : samples)
    for (double sample_s : device.latency_s) flat.push_back(static_cast<float>(sample_s));
  const std::vector<float> all = ranks.gather(std::span<const float>(flat));
  const std::size_t device_count = row.median_s.size();
  row.samples_s = Matrix<float>(device_count, device_count == 0 ? 0 : all.size() / device_count);
  row.samples_s.values() = all;

  const auto field = [&](auto member) {
    return gather_each<double>(ranks, devices, [&](std::size_t d) { return samples[d].telemetry.*member; });
  };
  const std::vector<double> clock = field(&Telemetry::sm_clock_hz), power = field(&Telemetry::power_w),
                            temperature = field(&Telemetry::temperature_c);
  const auto reasons =
      gather_each<std::uint64_t>(ranks, devices, [&](std::size_t d) { return samples[d].telemetry.throttle_reasons; });
  for (std::size_t d = 0; d < device_count; ++d)
    row.telemetry.push_back({clock[d], power[d], temperature[d], reasons[d]});
  return row;
}

MeasuredLoad load_of_point(const LatencyProfile& plan, std::size_t p, std::size_t number) {
  return {static_cast<std::uint32_t>(number), [&plan, p](std::size_t call) {
            const LoadPoint& point = plan.points[p];
            const std::size_t rotation = call * static_cast<std::size_t>(point.active_experts);
            return tokens_per_slot_of(point, plan.tile_tokens, plan.experts_per_device, rotation);
          }};
}

// Points that no row is there for, on every rank.
std::vector<std::size_t> unfinished_points(const Communicator& ranks, std::size_t point_count,
                                           const std::vector<ProfileRow>& rows) {
  std::vector<std::uint8_t> finished(point_count, 0);
  for (const ProfileRow& row : rows) finished[row.point] = 1;
  ranks.broadcast(finished);
  std::vector<std::size_t> points;
  for (std::size_t p = 0; p < point_count; ++p)
    if (finished[p] == 0) points.push_back(p);
  return points;
}

void end_if_asked(const Communicator& ranks, const SweepOptions& options, std::size_t done, std::size_t total) {
  const bool asked = options.stop_requested && options.stop_requested();
  if (ranks.max(static_cast<std::uint8_t>(asked ? 1 : 0)) == 0) return;
  throw AgreedError(ExitCode::Interrupted,
                    fmt::format("asked to stop: {} of {} points are saved; the same command with {} goes on", done,
                                total, on_command_line("resume")));
}

// The first point once more, in the company of others as before: what changed meanwhile.
std::vector<double> measure_drift(const Communicator& ranks, DeviceList devices, Measurement& measurement,
                                  const LatencyProfile& plan, const std::vector<ProfileRow>& rows) {
  std::vector<MeasuredLoad> loads;
  for (std::size_t p = 0; p < std::min(company_points, plan.points.size()); ++p)
    loads.push_back(load_of_point(plan, p, plan.points.size() + p));
  std::vector<double> drift =
      gather_medians(ranks, devices, measurement.measure(loads, [](std::size_t, const Samples&) {}).front());
  const auto first = std::ranges::find(rows, std::size_t{0}, &ProfileRow::point);
  for (std::size_t d = 0; d < drift.size(); ++d) drift[d] = drift[d] / first->median_s[d] - 1.0;
  return drift;
}

std::vector<MeasuredLoad> fixed_loads(std::span<const std::vector<std::uint32_t>> loads, std::size_t first_number) {
  std::vector<MeasuredLoad> measured;
  for (std::size_t i = 0; i < loads.size(); ++i)
    measured.push_back(
        {static_cast<std::uint32_t>(first_number + i), [&load = loads[i]](std::size_t) { return load; }});
  return measured;
}

// [device, load] on rank 0.
Matrix<double> gather_medians(const Communicator& ranks, DeviceList devices, const std::vector<Samples>& samples) {
  Matrix<double> medians_s;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const std::vector<double> row = gather_medians(ranks, devices, samples[i]);
    if (i == 0) medians_s = Matrix<double>(row.size(), samples.size());
    for (std::size_t d = 0; d < row.size(); ++d) medians_s(d, i) = row[d];
  }
  return medians_s;
}

}  // namespace

std::vector<DeviceDescription> gather_descriptions(const Communicator& ranks, DeviceList devices) {
  std::string text;
  for (const auto& device : devices) {
    const DeviceDescription one = device->description();
    for (const std::string& field : {one.kind, one.name, one.hostname, one.uuid}) text += field + field_end;
    text += device_end;
  }
  const std::vector<std::int32_t> rank_of =
      gather_each<std::int32_t>(ranks, devices, [&](std::size_t d) { return devices[d]->description().rank; });
  const std::vector<double> slowdown_of =
      gather_each<double>(ranks, devices, [&](std::size_t d) { return devices[d]->description().emulated_slowdown; });
  std::vector<DeviceDescription> descriptions;
  for (const std::string& part : ranks.gather(text))
    for (const std::string& device : split(part, device_end)) {
      if (device.empty()) continue;  // behind the last one
      const std::vector<std::string> fields = split(device, field_end);
      const std::size_t number = descriptions.size();
      descriptions.push_back({fields[0], fields[1], fields[2], fields[3], rank_of[number], slowdown_of[number]});
    }
  return descriptions;
}

PlacementCost place_for_sweep(DeviceList devices, std::size_t first_device, std::size_t expert_count,
                              std::size_t layer_count) {
  PlacementCost total;
  for (std::size_t d = 0; d < devices.size(); ++d) {
    std::vector<ExpertId> experts;
    for (std::size_t slot = 0; slot < expert_count; ++slot)
      experts.push_back(ExpertId{static_cast<std::int32_t>((first_device + d) * expert_count + slot)});
    for (std::size_t layer = 0; layer < layer_count; ++layer) {
      const PlacementCost cost = devices[d]->place_experts(layer, experts);
      total.moved_bytes += cost.moved_bytes;
      total.elapsed_s += cost.elapsed_s;
    }
  }
  return total;
}

LatencyProfile run_sweep(const Communicator& ranks, DeviceList devices, const LatencyProfile& plan,
                         const SweepOptions& options, ProfileSink& sink) {
  std::vector<ProfileRow> rows;
  ranks.on_root([&] {
    rows = sink.begin(plan);
    if (!rows.empty() && options.on_resume) options.on_resume(rows.size());
  });
  const std::vector<std::size_t> points = unfinished_points(ranks, plan.points.size(), rows);
  std::vector<MeasuredLoad> loads;
  for (std::size_t p : points) loads.push_back(load_of_point(plan, p, p));

  Measurement measurement(ranks, devices, options.measurement);
  Progress progress("measuring", plan.points.size(), options.show_progress && ranks.is_root());
  progress.update(plan.points.size() - points.size(), "warming up");
  measurement.warm_devices(loads);
  std::size_t done = plan.points.size() - points.size();
  measurement.measure(loads, [&](std::size_t i, const Samples& samples) {
    ProfileRow row = gather_row(ranks, devices, points[i], samples);
    ranks.on_root([&] {
      sink.append(row);
      rows.push_back(std::move(row));
    });
    progress.update(++done);
    if (done < plan.points.size()) end_if_asked(ranks, options, done, plan.points.size());
  });
  SweepClosing closing{measure_drift(ranks, devices, measurement, plan, rows), plan.rule};
  const std::vector<MeasuredLoad> rule_loads = fixed_loads(options.rule_loads, plan.points.size() + company_points);
  const Matrix<double> rule_loads_s =
      gather_medians(ranks, devices, measurement.measure(rule_loads, [](std::size_t, const Samples&) {}));
  LatencyProfile profile = plan;
  ranks.on_root([&] {
    profile = assemble_profile(plan, rows, closing);
    closing.rule = choose_load_rule(profile, options.rule_loads, rule_loads_s, options.trial_count);
    profile = assemble_profile(plan, rows, closing);
    sink.finish(closing);
  });
  return profile;
}

Matrix<double> measure_loads(const Communicator& ranks, DeviceList devices,
                             std::span<const std::vector<std::uint32_t>> loads, std::size_t first_number,
                             const SweepOptions& options) {
  const std::vector<MeasuredLoad> measured = fixed_loads(loads, first_number);
  Progress progress("validating", loads.size(), options.show_progress && ranks.is_root());
  Measurement measurement(ranks, devices, options.measurement);
  measurement.warm_devices(measured);
  std::size_t done = 0;
  return gather_medians(ranks, devices,
                        measurement.measure(measured, [&](std::size_t, const Samples&) { progress.update(++done); }));
}

}  // namespace gem
