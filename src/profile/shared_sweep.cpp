#include "profile/shared_sweep.hpp"

#include <memory>

#include "base/statistics.hpp"

namespace gem {
namespace {

using Decoders = std::vector<std::unique_ptr<DecoderDevice>>;

// Of this rank; none where the devices run routed experts alone.
Decoders make_decoders(const Communicator& ranks, DeviceList devices, const DecoderWork& work) {
  Decoders decoders;
  ranks.on_all([&] {
    for (const auto& device : devices) decoders.push_back(device->make_decoder(work));
  });
  std::erase(decoders, nullptr);
  return decoders;
}

double shared_s(DecoderDevice& decoder) {
  StepPartTimes times{};
  decoder.time_parts(0, shared_part, times);
  return times[index_of(StepPart::SharedExperts)];
}

}  // namespace

SharedSweep shared_sweep_of(const MoeModel& model, std::uint64_t seed, const std::vector<std::int64_t>& step_tokens,
                            std::size_t device_count) {
  SharedSweep sweep;
  sweep.work.model = model;
  sweep.work.seed = seed;
  const auto devices = static_cast<std::int64_t>(device_count);
  for (const std::int64_t tokens : step_tokens) {
    const std::int64_t own = (tokens + devices - 1) / devices;
    if (sweep.tokens.empty() || own > sweep.tokens.back()) sweep.tokens.push_back(own);
  }
  return sweep;
}

Matrix<double> measure_shared_experts(const Communicator& ranks, DeviceList devices, const SharedSweep& sweep,
                                      const MeasurementOptions& options) {
  Matrix<double> all_s;
  if (sweep.tokens.empty()) return all_s;
  Measurement measurement(ranks, devices, options);
  for (std::size_t i = 0; i < sweep.tokens.size(); ++i) {
    DecoderWork work = sweep.work;
    work.shared_alone = true;
    work.tokens = static_cast<std::size_t>(sweep.tokens[i]);
    const Decoders decoders = make_decoders(ranks, devices, work);
    if (ranks.min(decoders.size() == devices.size() ? 1 : 0) == 0) return {};
    const std::vector<MeasuredLoad> loads{{static_cast<std::uint32_t>(i),
                                           [](std::size_t) { return std::vector<std::uint32_t>(); },
                                           [&](std::size_t device) { return shared_s(*decoders[device]); }}};
    if (i == 0) measurement.warm_devices(loads);
    const std::vector<Samples> samples = measurement.measure(loads, [](std::size_t, const Samples&) {});
    std::vector<double> mine;
    for (const DeviceSamples& device : samples.front()) mine.push_back(median(device.latency_s));
    const std::vector<double> of_all = ranks.gather(std::span<const double>(mine));
    if (i == 0) all_s = Matrix<double>(of_all.size(), sweep.tokens.size());
    for (std::size_t d = 0; d < of_all.size(); ++d) all_s(d, i) = of_all[d];
  }
  return all_s;
}

}  // namespace gem
