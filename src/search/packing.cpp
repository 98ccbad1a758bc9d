#include "search/packing.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/statistics.hpp"
#include "model/mapping.hpp"

namespace gem {

std::vector<double> mean_loads(const LoadTrace& trace, std::size_t layer) {
  std::vector<double> loads(trace.experts_in(layer), 0.0);
  for (std::size_t t = 0; t < trace.step_count(); ++t)
    for (std::size_t e = 0; e < loads.size(); ++e) loads[e] += trace.counts(t, layer, e);
  for (double& load : loads) load /= static_cast<double>(trace.step_count());
  return loads;
}

std::vector<double> relative_speeds(const DeviceLatencies& latencies, const LoadTrace& trace, std::size_t layer) {
  const double shares = static_cast<double>(trace.step_count() * latencies.device_count());
  double tiles = 0.0, active = 0.0, tokens = 0.0;
  for (std::size_t t = 0; t < trace.step_count(); ++t)
    tokens += static_cast<double>(row_count(trace.counts.row(t, layer)));
  const std::size_t regime = latencies.rules().regime_of(std::llround(tokens / shares));
  const std::uint32_t tile_tokens = latencies.rules().of(regime).tile_tokens;
  for (std::size_t t = 0; t < trace.step_count(); ++t)
    for (std::uint32_t count : trace.counts.row(t, layer)) {
      tiles += tiles_of(count, tile_tokens);
      active += count > 0 ? 1.0 : 0.0;
    }
  std::vector<double> speeds;
  for (std::size_t d = 0; d < latencies.device_count(); ++d) {
    const double latency = latencies.even_s(d, regime, tiles / shares, active / shares, tokens / shares);
    speeds.push_back(latency > 0.0 ? 1.0 / latency : 1.0);
  }
  const double mean_speed = mean(speeds);
  for (double& speed : speeds) speed /= mean_speed;
  return speeds;
}

Assignment pack_greedily(std::span<const double> loads, std::span<const double> speeds) {
  check_device_count(loads.size(), speeds.size());
  std::vector<std::size_t> order(loads.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return loads[a] > loads[b]; });
  std::vector<double> packed(speeds.size(), 0.0);
  std::vector<std::size_t> held(speeds.size(), 0);
  Assignment assignment(loads.size());
  for (std::size_t expert : order) {
    std::size_t best = speeds.size();
    for (std::size_t d = 0; d < speeds.size(); ++d) {
      if (held[d] == slots_on(d, loads.size(), speeds.size())) continue;
      if (best == speeds.size() ||
          (packed[d] + loads[expert]) / speeds[d] < (packed[best] + loads[expert]) / speeds[best])
        best = d;
    }
    packed[best] += loads[expert];
    ++held[best];
    assignment[expert] = static_cast<std::int32_t>(best);
  }
  return assignment;
}

}  // namespace gem
