#include "profile/pair_exchange.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace gem {
namespace {

// Swaps take 1 us and 1 s of 2^30 bytes, times the sum of the two ranks; on the lower rank 10 % longer.
class StatedPairs : public PairTransport {
 public:
  explicit StatedPairs(int rank) : rank_(rank) {}
  const char* name() const override { return "stated"; }
  double swap(int peer, std::size_t bytes) override {
    EXPECT_NE(peer, rank_);
    ++swaps;
    // The first swap of a size is far slower, as connecting is.
    const double factor = bytes == last_bytes_ && peer == last_peer_ ? 1.0 : 100.0;
    last_bytes_ = bytes;
    last_peer_ = peer;
    const double seconds = 1e-6 + static_cast<double>(bytes) / (1u << 30);
    return factor * seconds * (rank_ + peer) * (rank_ < peer ? 1.1 : 1.0);
  }
  int swaps = 0;

 private:
  int rank_;
  int last_peer_ = -1;
  std::size_t last_bytes_ = 0;
};

TEST(PairExchange, EachPairIsMeasuredAndItsSlowerSideCounts) {
  const Communicator world = Communicator::world();
  StatedPairs transport(world.rank());
  const PairExchange pairs = measure_pairs(world, transport);
  EXPECT_EQ(transport.swaps % (world.size() == 1 ? 1 : world.size() - 1), 0);
  EXPECT_EQ(transport.swaps > 0, world.size() > 1);
  if (!world.is_root()) {
    EXPECT_TRUE(pairs.empty());
    return;
  }
  EXPECT_EQ(pairs.transport, "stated");
  for (int a = 0; a < world.size(); ++a)
    for (int b = 0; b < world.size(); ++b) {
      const double latency_s = pairs.latency_s(static_cast<std::size_t>(a), static_cast<std::size_t>(b));
      const double bytes_per_s = pairs.bytes_per_s(static_cast<std::size_t>(a), static_cast<std::size_t>(b));
      if (a == b) {
        EXPECT_TRUE(std::isnan(latency_s) && std::isnan(bytes_per_s));
        continue;
      }
      EXPECT_NEAR(latency_s / (1.1e-6 * (a + b)), 1.0, 0.02);
      EXPECT_NEAR(bytes_per_s * 1.1 * (a + b) / (1u << 30), 1.0, 0.001);
    }
}

TEST(PairExchange, RanksOfAHostSwapThroughItsMemory) {
  const Communicator world = Communicator::world();
  const PairExchange pairs = measure_pairs(world, *make_mpi_pairs(world));
  if (!world.is_root()) return;
  EXPECT_EQ(pairs.transport, "mpi");
  for (std::size_t a = 0; a < pairs.latency_s.rows(); ++a)
    for (std::size_t b = a + 1; b < pairs.latency_s.rows(); ++b) {
      EXPECT_GT(pairs.latency_s(a, b), 0.0);
      EXPECT_EQ(pairs.latency_s(a, b), pairs.latency_s(b, a));
      EXPECT_GT(pairs.bytes_per_s(a, b), 1e7);
    }
}

}  // namespace
}  // namespace gem
