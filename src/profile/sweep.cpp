#include "profile/sweep.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "base/statistics.hpp"
#include "base/text.hpp"
#include "model/latency_profile_fields.hpp"
#include "model/profile_progress.hpp"
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

// What this rank's devices gave at one point, as a profile of that point alone.
LatencyProfile results_of(const Samples& samples) {
  LatencyProfile plan;
  plan.devices.resize(samples.size());
  plan.points.resize(1);
  LatencyProfile results = unmeasured(plan);
  std::size_t sample_count = 0;
  for (const DeviceSamples& device : samples) sample_count = std::max(sample_count, device.latency_s.size());
  results.samples_s = Cube<float>(samples.size(), 1, sample_count);
  for (std::size_t d = 0; d < samples.size(); ++d) {
    const DeviceSamples& device = samples[d];
    results.median_s(d, 0) = median(device.latency_s);
    results.p95_s(d, 0) = quantile(device.latency_s, 0.95);
    results.settled(d, 0) = device.decision == StoppingDecision::Settled ? 1 : 0;
    std::ranges::transform(device.latency_s, results.samples_s.row(d, 0).begin(),
                           [](double sample_s) { return static_cast<float>(sample_s); });
    results.sm_clock_hz(d, 0) = device.telemetry.sm_clock_hz;
    results.power_w(d, 0) = device.telemetry.power_w;
    results.temperature_c(d, 0) = device.telemetry.temperature_c;
    results.throttle_reasons(d, 0) = device.telemetry.throttle_reasons;
  }
  return results;
}

// Room for so many samples a point, NaN where there are fewer.
void widen(Cube<float>& samples_s, std::size_t count) {
  if (count <= samples_s.columns()) return;
  Cube<float> wide(samples_s.planes(), samples_s.rows(), count, std::numeric_limits<float>::quiet_NaN());
  for (std::size_t d = 0; d < wide.planes(); ++d)
    for (std::size_t p = 0; p < wide.rows(); ++p) std::ranges::copy(samples_s.row(d, p), wide.row(d, p).begin());
  samples_s = std::move(wide);
}

// Puts what all ranks' devices gave at a point into rank 0's profile: every field of devices and points. All devices
// have as many samples.
void gather_point(const Communicator& ranks, const LatencyProfile& results, std::size_t point,
                  LatencyProfile& profile) {
  const std::size_t devices = profile.device_count();
  visit_both(profile, results, [&](const Field& field, auto& value, const auto& own) {
    if constexpr (requires { value.row(0, 0); }) {
      if (field.axes != "device, point, sample") return;
      const auto all = ranks.gather(std::span<const float>(own.values()));
      if (!ranks.is_root()) return;
      const std::size_t count = all.size() / devices;
      widen(value, count);
      for (std::size_t d = 0; d < devices; ++d)
        std::ranges::copy(std::span(all).subspan(d * count, count), value.row(d, point).begin());
    } else if constexpr (requires { value.row(0); }) {
      using T = typename std::remove_cvref_t<decltype(value.values())>::value_type;
      if (field.axes != "device, point") return;
      const auto all = ranks.gather(std::span<const T>(own.values()));
      for (std::size_t d = 0; d < all.size(); ++d) value(d, point) = all[d];
    }
  });
}

// Of the points of other tiles their medians alone are kept.
void gather_regime_point(const Communicator& ranks, DeviceList devices, const Samples& samples, std::size_t point,
                         LatencyProfile& profile) {
  const std::vector<double> medians_s = gather_medians(ranks, devices, samples);
  for (std::size_t d = 0; d < medians_s.size(); ++d) profile.regime_median_s(d, point) = medians_s[d];
}

// A point as a load: its tokens spread evenly, other experts at each call; or in so many uneven ways, in turn.
MeasuredLoad load_at(const LatencyProfile& plan, const LoadPoint& point, std::size_t tile_tokens, std::size_t number,
                     const SweepOptions& options) {
  if (options.uneven_ways == 0)
    return {static_cast<std::uint32_t>(number), [&plan, &point, tile_tokens](std::size_t call) {
              const std::size_t rotation = call * static_cast<std::size_t>(point.active_experts);
              return tokens_per_slot_of(point, tile_tokens, plan.experts_per_device, rotation);
            }};
  std::vector<std::vector<std::uint32_t>> ways;
  const auto key = [](std::int64_t part) { return static_cast<std::uint64_t>(part); };
  RandomStream random({options.seed, 0x7e4eu, key(point.tiles), key(point.active_experts), key(point.tokens)});
  for (std::size_t way = 0; way < options.uneven_ways; ++way)
    ways.push_back(uneven_tokens_per_slot_of(point, tile_tokens, plan.experts_per_device, random));
  return {static_cast<std::uint32_t>(number),
          [ways, calls = std::size_t{0}](std::size_t) mutable { return ways[calls++ % ways.size()]; }};
}

// One of the loads of the plan; those of other tiles count on behind all else.
MeasuredLoad planned_load(const LatencyProfile& plan, std::size_t load, const SweepOptions& options) {
  const std::size_t points = plan.points.size();
  const std::size_t first_number_of_regimes = points + company_points + options.rule_loads.size();
  if (load < points) return load_at(plan, plan.points[load], plan.tile_tokens, load, options);
  const std::size_t point = regime_point_of(plan, load);
  std::size_t regime = 0;
  while (point >= first_point_of(plan, regime + 1)) ++regime;
  return load_at(plan, plan.regime_points[point], plan.regimes[regime].tile_tokens,
                 first_number_of_regimes + load - points, options);
}

// Loads that were not measured yet, on every rank.
std::vector<std::size_t> unmeasured_loads(const Communicator& ranks, const LatencyProfile& profile) {
  std::vector<std::uint64_t> loads;
  if (ranks.is_root())
    for (std::size_t load = 0; load < load_count(profile); ++load)
      if (!is_measured(profile, load)) loads.push_back(load);
  ranks.broadcast(loads);
  return {loads.begin(), loads.end()};
}

void end_if_asked(const Communicator& ranks, const SweepOptions& options, std::size_t done,
                  const LatencyProfile& profile, ProfileSink& sink) {
  const bool asked = options.stop_requested && options.stop_requested();
  if (ranks.max(asked ? 1 : 0) == 0) return;
  ranks.on_root([&] { sink.stop(profile); });
  throw AgreedError(ExitCode::Interrupted,
                    fmt::format("asked to stop: {} of {} points are saved; the same command with {} goes on", done,
                                load_count(profile), on_command_line("resume")));
}

// The first point once more, in the company of others as before: what changed meanwhile.
std::vector<double> measure_drift(const Communicator& ranks, DeviceList devices, Measurement& measurement,
                                  const LatencyProfile& plan, const LatencyProfile& profile,
                                  const SweepOptions& options) {
  std::vector<MeasuredLoad> loads;
  for (std::size_t p = 0; p < std::min(company_points, plan.points.size()); ++p)
    loads.push_back(load_at(plan, plan.points[p], plan.tile_tokens, plan.points.size() + p, options));
  std::vector<double> drift =
      gather_medians(ranks, devices, measurement.measure(loads, [](std::size_t, const Samples&) {}).front());
  for (std::size_t d = 0; d < drift.size(); ++d) drift[d] = drift[d] / profile.median_s(d, 0) - 1.0;
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
  LatencyProfile profile = plan;
  ranks.on_root([&] {
    profile = sink.begin(plan);
    const std::size_t finished = measured_count(profile);
    if (finished > 0 && options.on_resume) options.on_resume(finished);
  });
  const std::vector<std::size_t> planned = unmeasured_loads(ranks, profile);
  const std::size_t load_total = load_count(plan);
  std::vector<MeasuredLoad> loads;
  for (const std::size_t load : planned) loads.push_back(planned_load(plan, load, options));

  Measurement measurement(ranks, devices, options.measurement);
  Progress progress("measuring", load_total, options.show_progress && ranks.is_root());
  progress.update(load_total - planned.size(), "warming up");
  measurement.warm_devices(loads);
  if (options.measurement.paced) {
    const std::vector<double> clocks_hz = measurement.serving_clocks_hz();
    profile.serving_clock_hz = ranks.gather(std::span<const double>(clocks_hz));
  }
  std::size_t done = load_total - planned.size();
  measurement.measure(loads, [&](std::size_t i, const Samples& samples) {
    if (planned[i] < plan.points.size())
      gather_point(ranks, results_of(samples), planned[i], profile);
    else
      gather_regime_point(ranks, devices, samples, regime_point_of(plan, planned[i]), profile);
    ranks.on_root([&] {
      copy_points_to_regime(profile);
      sink.grow(profile);
    });
    progress.update(++done);
    if (done < load_total) end_if_asked(ranks, options, done, profile, sink);
  });
  const std::vector<double> drift = measure_drift(ranks, devices, measurement, plan, profile, options);
  const std::vector<MeasuredLoad> rule_loads = fixed_loads(options.rule_loads, plan.points.size() + company_points);
  const Matrix<double> rule_loads_s =
      gather_medians(ranks, devices, measurement.measure(rule_loads, [](std::size_t, const Samples&) {}));
  ranks.on_root([&] {
    profile.drift = drift;
    profile.rule = choose_load_rule(profile, options.rule_loads, rule_loads_s, options.trial_count);
    sink.finish(profile);
  });
  return profile;
}

Matrix<double> measure_loads(const Communicator& ranks, DeviceList devices,
                             std::span<const std::vector<std::uint32_t>> loads, std::size_t first_number,
                             const SweepOptions& options, const std::string& doing) {
  const std::vector<MeasuredLoad> measured = fixed_loads(loads, first_number);
  Progress progress(doing, loads.size(), options.show_progress && ranks.is_root());
  Measurement measurement(ranks, devices, options.measurement);
  measurement.warm_devices(measured);
  std::size_t done = 0;
  return gather_medians(ranks, devices,
                        measurement.measure(measured, [&](std::size_t, const Samples&) { progress.update(++done); }));
}

}  // namespace gem
