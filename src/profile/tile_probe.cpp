#include "profile/tile_probe.hpp"

#include <algorithm>

namespace gem {
namespace {

constexpr std::size_t first_number = 1 << 24;  // of the probe's measurements, apart from those of a sweep
constexpr std::size_t most_rounds = 4;         // the first loads, and narrowing borders down

std::vector<std::uint32_t> tokens_of(const ProbeLoad& load, std::size_t experts, std::size_t rotation) {
  std::vector<std::uint32_t> tokens(experts, 0);
  for (std::size_t i = 0; i < load.active_experts; ++i)
    tokens[(rotation + i) % experts] =
        static_cast<std::uint32_t>(load.rows / load.active_experts + (i < load.rows % load.active_experts ? 1 : 0));
  return tokens;
}

// The mean of all devices' latencies; on every rank.
std::vector<double> measured_latencies(const Communicator& ranks, DeviceList devices, std::size_t experts,
                                       std::span<const ProbeLoad> loads, std::size_t number,
                                       const SweepOptions& options) {
  std::vector<std::vector<std::uint32_t>> tokens;
  for (std::size_t i = 0; i < loads.size(); ++i) tokens.push_back(tokens_of(loads[i], experts, i));
  const Matrix<double> seconds = measure_loads(ranks, devices, tokens, first_number + number, options, "probing");
  std::vector<double> mean_s(loads.size(), 0.0);
  if (ranks.is_root())
    for (std::size_t i = 0; i < loads.size(); ++i)
      for (std::size_t d = 0; d < seconds.rows(); ++d) mean_s[i] += seconds(d, i) / static_cast<double>(seconds.rows());
  ranks.broadcast(mean_s);
  return mean_s;
}

}  // namespace

TileProbe probe_tiles(const Communicator& ranks, DeviceList devices, std::size_t experts, std::size_t most_rows,
                      const SweepOptions& options) {
  std::vector<ProbeLoad> loads = probe_loads(experts, most_rows), next = loads;
  std::vector<double> latency_s;
  TileProbe probe;
  for (std::size_t round = 0; round < most_rounds && !next.empty(); ++round) {
    const std::vector<double> measured_s = measured_latencies(ranks, devices, experts, next, latency_s.size(), options);
    if (round > 0) loads.insert(loads.end(), next.begin(), next.end());
    latency_s.insert(latency_s.end(), measured_s.begin(), measured_s.end());
    ranks.on_all([&] { probe = find_tiles(loads, latency_s); });
    next = border_loads(probe, loads);
  }
  ranks.on_all([&] { expect_seen(probe, most_rows); });
  return probe;
}

}  // namespace gem
