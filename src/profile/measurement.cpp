#include "profile/measurement.hpp"

#include <algorithm>
#include <chrono>
#include <limits>

#include "device/device_kind.hpp"
#include "model/load_trace.hpp"

namespace gem {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

std::size_t busy_launches(const MeasurementOptions& options, std::size_t sample_rows) {
  const std::size_t rows = row_count(options.busy_tokens);
  if (rows == 0) return 0;
  const std::size_t missing = options.busy_rows - std::min(options.busy_rows, sample_rows);
  return std::max(options.least_busy_launches, (missing + rows - 1) / rows);
}

Measurement::Measurement(const Communicator& ranks, DeviceList devices, const MeasurementOptions& options)
    : ranks_(ranks), devices_(devices), options_(options), turns_(ranks, options.take_turns) {
  const bool mine = std::ranges::all_of(devices, [](const auto& device) { return device->kind().is_virtual(); });
  virtual_clock_ = ranks.min(mine ? 1 : 0) == 1;
  if (options.paced)
    ranks.on_all([&] { pace_ = std::make_unique<ServingPace>(devices, *options.paced, virtual_clock_); });
}

void Measurement::warm_devices(std::span<const MeasuredLoad> loads) {
  if (virtual_clock_ || loads.empty()) return;
  Samples unused(devices_.size());
  const Clock::time_point begin = Clock::now();
  for (std::size_t i = 0; ranks_.max(seconds_since(begin)) < options_.device_warm_up_s; ++i)
    take_samples(loads[i % loads.size()], 1, unused);
}

std::vector<double> Measurement::serving_clocks_hz() {
  constexpr double settling_s = 0.3;
  std::vector<double> clocks_hz;
  if (!pace_) return clocks_hz;
  turns_.run([&] {
    const Clock::time_point begin = Clock::now();
    do pace_->run(0, 0);
    while (!virtual_clock_ && seconds_since(begin) < settling_s);
    for (const auto& device : devices_) clocks_hz.push_back(device->telemetry().sm_clock_hz);
  });
  return clocks_hz;
}

std::vector<Samples> Measurement::measure(std::span<const MeasuredLoad> loads, const OnDone& on_done) {
  std::vector<Samples> all(loads.size(), Samples(devices_.size()));
  for (std::size_t begin = 0; begin < loads.size(); begin += options_.block_loads) {
    const std::size_t count = std::min(options_.block_loads, loads.size() - begin);
    measure_block(loads.subspan(begin, count), std::span(all).subspan(begin, count),
                  [&](std::size_t i, const Samples& samples) { on_done(begin + i, samples); });
  }
  return all;
}

void Measurement::measure_block(std::span<const MeasuredLoad> loads, std::span<Samples> all, const OnDone& on_done) {
  std::vector<std::size_t> wanted(loads.size());  // samples to come; 0 when done
  std::size_t done = 0;
  for (std::size_t visit = 0; done < loads.size(); ++visit)
    for (std::size_t i = 0; i < loads.size(); ++i) {
      if (visit > 0 && wanted[i] == 0) continue;
      begin_visit(loads[i], visit);
      if (visit == 0) {
        Samples warm_up(devices_.size());
        take_samples(loads[i], std::max<std::size_t>(1, options_.warm_up), warm_up);
        wanted[i] = agreed_count(warm_up, 0);
      }
      take_samples(loads[i], virtual_clock_ ? wanted[i] : std::min(wanted[i], options_.visit_samples), all[i]);
      for (DeviceSamples& device : all[i])
        device.decision = decide(options_.stopping, device.latency_s, device.spent_s);
      wanted[i] = agreed_count(all[i], all[i].empty() ? 0 : all[i][0].latency_s.size());
      if (wanted[i] > 0) continue;
      for (std::size_t d = 0; d < devices_.size(); ++d) all[i][d].telemetry = devices_[d]->telemetry();
      ++done;
      on_done(i, all[i]);
    }
}

void Measurement::begin_visit(const MeasuredLoad& load, std::size_t visit) {
  const std::uint64_t number = (static_cast<std::uint64_t>(visit) << 32) | load.number;
  for (const auto& device : devices_) device->begin_measurement(number);
}

void Measurement::keep_busy(std::size_t layer, const std::vector<std::uint32_t>& next_tokens) {
  if (pace_) return pace_->run(layer, row_count(next_tokens));
  const std::size_t launches = busy_launches(options_, row_count(next_tokens));
  if (launches == 0) return;
  for (const auto& device : devices_) device->keep_busy(layer, options_.busy_tokens, launches);
}

void Measurement::take_samples(const MeasuredLoad& load, std::size_t count, Samples& samples) {
  const std::size_t first_call = calls_;
  calls_ += count;
  turns_.run([&] {
    const Clock::time_point begin = Clock::now();
    for (std::size_t call = first_call; call < first_call + count; ++call) {
      const std::size_t layer = call % options_.layer_count;
      const std::vector<std::uint32_t> tokens = load.tokens_per_slot(call);
      keep_busy(layer, tokens);
      // On real clocks the devices start together, as the layers of a serving step do.
      if (!virtual_clock_ && !turns_.one_at_a_time()) ranks_.barrier();
      for (std::size_t d = 0; d < devices_.size(); ++d) {
        samples[d].latency_s.push_back(load.seconds ? load.seconds(d) : devices_[d]->time_layer(layer, tokens));
        if (virtual_clock_) samples[d].spent_s += samples[d].latency_s.back();
      }
    }
    if (virtual_clock_) return;
    const double elapsed_s = seconds_since(begin);
    for (DeviceSamples& device : samples) device.spent_s += elapsed_s;
  });
}

std::size_t Measurement::agreed_count(const Samples& recent, std::size_t sample_count) const {
  constexpr std::int64_t none = std::numeric_limits<std::int64_t>::max();
  std::int64_t fewest = none;
  for (const DeviceSamples& device : recent) {
    if (device.decision != StoppingDecision::Continue) continue;
    const double expected_s = device.spent_s / static_cast<double>(device.latency_s.size());
    fewest = std::min(fewest, static_cast<std::int64_t>(next_round(options_.stopping, sample_count, expected_s)));
  }
  fewest = ranks_.min(fewest);
  return fewest == none ? 0 : static_cast<std::size_t>(fewest);
}

}  // namespace gem
