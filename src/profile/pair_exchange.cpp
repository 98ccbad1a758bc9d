#include "profile/pair_exchange.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <vector>

#include "base/statistics.hpp"

namespace gem {
namespace {

constexpr std::size_t few_bytes = 16, many_bytes = std::size_t{32} << 20;

class MpiPairs : public PairTransport {
 public:
  explicit MpiPairs(const Communicator& ranks) : ranks_(ranks) {}

  const char* name() const override { return "mpi"; }

  double swap(int peer, std::size_t bytes) override {
    sent_.resize(std::max(sent_.size(), bytes));
    received_.resize(sent_.size());
    const auto begin = std::chrono::steady_clock::now();
    ranks_.swap(peer, std::span(sent_).first(bytes), std::span(received_).first(bytes));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

 private:
  Communicator ranks_;
  std::vector<std::byte> sent_, received_;
};

// The first swaps connect the two and touch memory.
double median_swap_s(PairTransport& transport, int peer, std::size_t bytes, int warm_up, int samples) {
  std::vector<double> seconds;
  for (int i = 0; i < warm_up + samples; ++i) {
    const double swap_s = transport.swap(peer, bytes);
    if (i >= warm_up) seconds.push_back(swap_s);
  }
  return median(seconds);
}

}  // namespace

std::unique_ptr<PairTransport> make_mpi_pairs(const Communicator& ranks) {
  return std::make_unique<MpiPairs>(ranks);
}

PairExchange measure_pairs(const Communicator& ranks, PairTransport& transport) {
  const auto size = static_cast<std::size_t>(ranks.size());
  std::vector<double> latency_s(size, std::numeric_limits<double>::quiet_NaN()), large_s = latency_s;
  for (int a = 0; a < ranks.size(); ++a)
    for (int b = a + 1; b < ranks.size(); ++b) {
      ranks.barrier();
      if (ranks.rank() != a && ranks.rank() != b) continue;
      const int peer = ranks.rank() == a ? b : a;
      latency_s[static_cast<std::size_t>(peer)] = median_swap_s(transport, peer, few_bytes, 10, 31);
      large_s[static_cast<std::size_t>(peer)] = median_swap_s(transport, peer, many_bytes, 2, 7);
    }
  const std::vector<double> all_latency_s = ranks.gather(std::span<const double>(latency_s));
  const std::vector<double> all_large_s = ranks.gather(std::span<const double>(large_s));
  if (!ranks.is_root()) return {};
  PairExchange pairs{transport.name(), Matrix<double>(size, size), Matrix<double>(size, size)};
  for (std::size_t a = 0; a < size; ++a)
    for (std::size_t b = 0; b < size; ++b) {
      const std::size_t there = a * size + b, back = b * size + a;
      pairs.latency_s(a, b) = std::max(all_latency_s[there], all_latency_s[back]);
      pairs.bytes_per_s(a, b) = static_cast<double>(many_bytes) / std::max(all_large_s[there], all_large_s[back]);
    }
  return pairs;
}

}  // namespace gem
