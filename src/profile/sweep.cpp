#include "profile/sweep.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <string>

#include "base/statistics.hpp"
#include "base/text.hpp"
#include "platform/progress.hpp"
#include "platform/turns.hpp"
#include "profile/plan.hpp"

namespace gem {
namespace {

constexpr char field_end = '\x1f', device_end = '\x1e';

// What one device gave at one point.
struct DeviceSamples {
  std::vector<double> latency_s;
  double spent_s = 0.0;  // by the clock that the device runs on
  StoppingDecision decision = StoppingDecision::Continue;
};
using Samples = std::vector<DeviceSamples>;  // [device of this rank]

/// The devices of this rank, measuring in step with those of the others.
class Measurement {
 public:
  Measurement(const Communicator& ranks, DeviceList devices, const LatencyProfile& plan, const SweepOptions& options)
      : ranks_(ranks),
        devices_(devices),
        plan_(plan),
        options_(options),
        turns_(ranks, options.take_turns),
        virtual_clock_(std::all_of(devices.begin(), devices.end(), [](const auto& d) { return !d->computes(); })) {}

  /// Samples of one point; `number` names the measurement.
  Samples measure(const LoadPoint& point, std::size_t number) {
    for (const auto& device : devices_) device->begin_measurement(number);
    Samples warm_up(devices_.size());
    take_samples(point, std::max<std::size_t>(1, options_.warm_up), warm_up);
    Samples samples(devices_.size());
    std::size_t round = agreed_round(warm_up, 0);
    while (round > 0) {
      take_samples(point, round, samples);
      for (DeviceSamples& device : samples)
        device.decision = decide(options_.stopping, device.latency_s, device.spent_s);
      round = agreed_round(samples, samples.empty() ? 0 : samples[0].latency_s.size());
    }
    return samples;
  }

 private:
  void take_samples(const LoadPoint& point, std::size_t count, Samples& samples) {
    const std::size_t first_call = calls_;
    calls_ += count;
    turns_.run([&] {
      const auto begin = std::chrono::steady_clock::now();
      for (std::size_t call = first_call; call < first_call + count; ++call) {
        // On real clocks the devices start together, as the layers of a serving step do.
        if (!virtual_clock_ && !turns_.one_at_a_time()) ranks_.barrier();
        const std::size_t rotation = call * static_cast<std::size_t>(point.active_experts);
        const std::vector<std::uint32_t> load =
            tokens_per_slot_of(point, plan_.tile_tokens, plan_.experts_per_device, rotation);
        for (std::size_t d = 0; d < devices_.size(); ++d) {
          samples[d].latency_s.push_back(devices_[d]->time_layer(call % options_.layer_count, load));
          if (virtual_clock_) samples[d].spent_s += samples[d].latency_s.back();
        }
      }
      const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
      for (DeviceSamples& device : samples)
        if (!virtual_clock_) device.spent_s += elapsed.count();
    });
  }

  // How many samples all devices take next, where each has `sample_count`: the fewest that one which must go on wants;
  // 0 if none must. `recent` tells what a sample costs.
  std::size_t agreed_round(const Samples& recent, std::size_t sample_count) const {
    constexpr std::uint64_t none = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t fewest = none;
    for (const DeviceSamples& device : recent) {
      if (device.decision != StoppingDecision::Continue) continue;
      const double expected_s = device.spent_s / static_cast<double>(device.latency_s.size());
      fewest = std::min<std::uint64_t>(fewest, next_round(options_.stopping, sample_count, expected_s));
    }
    fewest = ranks_.min(fewest);
    return fewest == none ? 0 : static_cast<std::size_t>(fewest);
  }

  const Communicator& ranks_;
  DeviceList devices_;
  const LatencyProfile& plan_;
  const SweepOptions& options_;
  Turns turns_;
  bool virtual_clock_;
  std::size_t calls_ = 0;
};

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
  std::vector<Telemetry> telemetry;
  for (std::size_t d = 0; d < devices.size(); ++d) {
    for (double sample : samples[d].latency_s) flat.push_back(static_cast<float>(sample));
    telemetry.push_back(devices[d]->telemetry());
  }
  const std::vector<float> all = ranks.gather(std::span<const float>(flat));
  const std::size_t device_count = row.median_s.size();
  row.samples_s = Matrix<float>(device_count, device_count == 0 ? 0 : all.size() / device_count);
  row.samples_s.values() = all;

  const auto field = [&](auto member) {
    return gather_each<double>(ranks, devices, [&](std::size_t d) { return telemetry[d].*member; });
  };
  const std::vector<double> clock = field(&Telemetry::sm_clock_hz), power = field(&Telemetry::power_w),
                            temperature = field(&Telemetry::temperature_c);
  const auto reasons =
      gather_each<std::uint64_t>(ranks, devices, [&](std::size_t d) { return telemetry[d].throttle_reasons; });
  for (std::size_t d = 0; d < device_count; ++d)
    row.telemetry.push_back({clock[d], power[d], temperature[d], reasons[d]});
  return row;
}

// Which points need no measuring, on every rank.
std::vector<std::uint8_t> finished_points(const Communicator& ranks, std::size_t point_count,
                                          const std::vector<ProfileRow>& rows) {
  std::vector<std::uint8_t> finished(point_count, 0);
  for (const ProfileRow& row : rows) finished[row.point] = 1;
  ranks.broadcast(finished);
  return finished;
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
  const std::vector<std::uint8_t> finished = finished_points(ranks, plan.points.size(), rows);
  Measurement measurement(ranks, devices, plan, options);
  Progress progress("measuring", plan.points.size(), options.show_progress && ranks.is_root());
  std::size_t done = rows.size();
  for (std::size_t p = 0; p < plan.points.size(); ++p) {
    if (finished[p] != 0) continue;
    const LoadPoint& point = plan.points[p];
    progress.update(done, format("%lld tiles, %lld experts", static_cast<long long>(point.tiles),
                                 static_cast<long long>(point.active_experts)));
    ProfileRow row = gather_row(ranks, devices, p, measurement.measure(point, p));
    ranks.on_root([&] {
      sink.append(row);
      rows.push_back(std::move(row));
    });
    ++done;
  }

  // The first point once more: what changed meanwhile.
  std::vector<double> drift =
      gather_medians(ranks, devices, measurement.measure(plan.points.front(), plan.points.size()));
  ranks.on_root([&] {
    const auto first = std::ranges::find(rows, std::size_t{0}, &ProfileRow::point);
    for (std::size_t d = 0; d < drift.size(); ++d) drift[d] = drift[d] / first->median_s[d] - 1.0;
    sink.finish(drift);
  });
  return ranks.is_root() ? assemble_profile(plan, rows, drift) : plan;
}

}  // namespace gem
