#include "verification/exchange_measurement.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>

#include "base/statistics.hpp"
#include "cost/stages.hpp"
#include "device/device_kind.hpp"
#include "platform/host/host_info.hpp"
#include "verification/mpi_expert_layer.hpp"
#include "verification/nccl_expert_layer.hpp"

namespace gem {
namespace {

constexpr std::size_t most_loads = 48, fewest_loads = 12, runs_of_load = 2;
constexpr double enough_s = 5.0;  // for the loads of one number of tokens

using Clock = std::chrono::steady_clock;

class ExchangeMeasurement {
 public:
  ExchangeMeasurement(const Communicator& ranks, const ProfileSetup& setup, const std::vector<LoadTrace>& workloads,
                      MoeDevice& device)
      : ranks_(ranks),
        setup_(setup),
        workloads_(workloads),
        per_device_(setup.plan.experts_per_device),
        through_host_(device.kind().transport != RowTransport::Nccl) {
    const Turns at_once(ranks, false);
    const std::size_t hidden_size = setup.devices.expert.hidden_size;
    if (through_host_)
      layer_ = std::make_unique<MpiExpertLayer>(ranks, device, hidden_size, at_once);
    else
      layer_ = make_nccl_expert_layer(ranks, device, hidden_size, setup.devices.top_k, at_once, patience().limit_s);
    for (std::size_t expert = 0; expert < per_device_ * setup.device_count; ++expert) {
      homes_.push_back(static_cast<std::int32_t>(expert / per_device_));
      if (homes_.back() == ranks.rank()) resident_.push_back(static_cast<std::int32_t>(expert));
    }
  }

  // Whether rows of such a step fit into memory beside all else.
  bool fits(std::int64_t tokens) const {
    if (!through_host_) return true;
    const double rows = static_cast<double>(tokens) * static_cast<double>(setup_.devices.top_k);
    const double bytes = 5.0 * rows * static_cast<double>(setup_.devices.expert.hidden_size * sizeof(float));
    return ranks_.min(bytes < 0.25 * static_cast<double>(available_memory_bytes()) ? 1 : 0) == 1;
  }

  std::optional<ExchangeLaw> law(std::int64_t tokens) {
    std::vector<double> rows, seconds;
    const Clock::time_point begin = Clock::now();
    for (std::size_t load = 0; load < most_loads; ++load) {
      const double spent_s = ranks_.max(std::chrono::duration<double>(Clock::now() - begin).count());
      if (load >= fewest_loads && spent_s > enough_s) break;
      RandomStream random{setup_.devices.seed, static_cast<std::uint64_t>(tokens), load};
      const double skew = static_cast<double>(load % fewest_loads) / static_cast<double>(fewest_loads - 1);
      const std::vector<std::uint32_t> counts = exchange_load(
          workloads_, homes_.size(), static_cast<std::size_t>(tokens), setup_.devices.top_k, skew, random);
      rows.push_back(max_rows(counts));
      seconds.push_back(exchange_s(counts));
      sign_of_life();
    }
    return fit_exchange_law(tokens, rows, seconds);
  }

 private:
  double max_rows(const std::vector<std::uint32_t>& counts) const {
    std::size_t most = 0;
    for (std::size_t first = 0; first < counts.size(); first += per_device_)
      most = std::max(most, row_count(std::span(counts).subspan(first, per_device_)));
    return static_cast<double>(most);
  }

  // Of a layer, beside its slowest device's compute; the first run is for caches and connections.
  double exchange_s(const std::vector<std::uint32_t>& counts) {
    layer_->prepare(0,
                    routes_of(counts, ExpertHomes(homes_), setup_.devices.top_k, setup_.device_count,
                              static_cast<std::size_t>(ranks_.rank())),
                    resident_);
    layer_->run();
    std::vector<double> seconds;
    for (std::size_t run = 0; run < runs_of_load; ++run) {
      const LayerTimes times = layer_->run();
      seconds.push_back(times.layer_s - ranks_.max(times.compute_s));
    }
    return median(seconds);
  }

  Communicator ranks_;
  const ProfileSetup& setup_;
  const std::vector<LoadTrace>& workloads_;
  std::size_t per_device_;
  bool through_host_;
  std::unique_ptr<ExpertParallelLayer> layer_;
  std::vector<std::int32_t> homes_, resident_;
};

// A row over the stated links; rows explain all then.
std::vector<ExchangeLaw> stated_laws(const ProfileSetup& setup) {
  LatencyProfile profile = setup.plan;
  profile.devices.resize(setup.device_count);
  const Topology& topology = profile.topology;
  const double row_s = row_s_over_links(profile);
  const double fixed_s = 2.0 * (topology.node_count() > 1 ? topology.across() : topology.inside()).latency_s;
  std::vector<ExchangeLaw> laws;
  for (const std::int64_t tokens : setup.exchange_tokens) {
    const double rows = static_cast<double>(tokens) * static_cast<double>(setup.devices.top_k) /
                        static_cast<double>(setup.device_count);
    laws.push_back({tokens, fixed_s + rows * row_s, fixed_s, row_s, 1.0});
  }
  return laws;
}

std::vector<std::uint32_t> capped_shares(std::span<const double> popularity, std::size_t tokens, std::size_t top_k) {
  const double sum = std::accumulate(popularity.begin(), popularity.end(), 0.0);
  std::vector<std::uint32_t> counts;
  for (const double share : popularity)
    counts.push_back(static_cast<std::uint32_t>(
        std::min(static_cast<double>(tokens), std::round(static_cast<double>(tokens * top_k) * share / sum))));
  return counts;
}

}  // namespace

std::vector<std::uint32_t> exchange_load(const std::vector<LoadTrace>& workloads, std::size_t experts,
                                         std::size_t tokens, std::size_t top_k, double skew, RandomStream& random) {
  std::vector<const LoadTrace*> of_size;
  for (const LoadTrace& workload : workloads)
    if (workload.tokens_per_step == tokens) of_size.push_back(&workload);
  if (of_size.empty()) {
    constexpr double flattest = 32.0, steepest = 0.5;  // shapes of a gamma distribution
    std::vector<double> popularity(experts);
    for (double& share : popularity) share = random.gamma(flattest * std::pow(steepest / flattest, skew));
    return capped_shares(popularity, tokens, top_k);
  }
  const LoadTrace& workload = *of_size[random.below(of_size.size())];
  const auto counts = workload.counts.row(random.below(workload.step_count()), random.below(workload.layer_count()));
  std::vector<std::uint32_t> dealt(counts.begin(), counts.end());
  dealt.resize(experts);
  random.shuffle(std::span(dealt));
  return dealt;
}

std::vector<ExchangeLaw> measure_exchange(const Communicator& ranks, const ProfileSetup& setup,
                                          const std::vector<LoadTrace>& workloads, const Devices& devices) {
  if (!setup.exchange) return {};
  if (device_kind(setup.devices.kind).is_virtual())
    return ranks.is_root() ? stated_laws(setup) : std::vector<ExchangeLaw>();
  ExchangeMeasurement measurement(ranks, setup, workloads, *devices.front());
  std::vector<ExchangeLaw> laws;
  for (const std::int64_t tokens : setup.exchange_tokens) {
    if (!measurement.fits(tokens)) break;  // the next ones are larger
    if (const std::optional<ExchangeLaw> law = measurement.law(tokens)) laws.push_back(*law);
  }
  return ranks.is_root() ? laws : std::vector<ExchangeLaw>();
}

}  // namespace gem
