#include "verification/exchange_measurement.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace gem {
namespace {

TEST(ExchangeLoad, GoesFromEvenToSkewed) {
  RandomStream random{1};
  const auto max_over_mean = [](const std::vector<std::uint32_t>& counts) {
    const double mean = static_cast<double>(row_count(counts)) / static_cast<double>(counts.size());
    return *std::ranges::max_element(counts) / mean;
  };
  const std::vector<std::uint32_t> even = exchange_load({}, 64, 1024, 4, 0.0, random);
  const std::vector<std::uint32_t> skewed = exchange_load({}, 64, 1024, 4, 1.0, random);
  for (const std::vector<std::uint32_t>& counts : {even, skewed}) {
    EXPECT_NEAR(static_cast<double>(row_count(counts)), 4096, 64);
    EXPECT_LE(*std::ranges::max_element(counts), 1024u);
  }
  EXPECT_LT(max_over_mean(even), 2.0);
  EXPECT_GT(max_over_mean(skewed), 3.0);
}

TEST(ExchangeLoad, DealsTheExpertsOfAWorkload) {
  LoadTrace trace;
  trace.tokens_per_step = 8;
  trace.counts = Cube<std::uint32_t>(1, 1, 4);
  std::ranges::copy(std::vector<std::uint32_t>{8, 0, 5, 3}, trace.counts.row(0, 0).begin());
  RandomStream random{2};
  std::vector<std::uint32_t> counts = exchange_load({trace}, 4, 8, 2, 0.5, random);
  std::ranges::sort(counts);
  EXPECT_EQ(counts, (std::vector<std::uint32_t>{0, 3, 5, 8}));
  EXPECT_EQ(exchange_load({trace}, 6, 8, 2, 0.5, random).size(), 6u);
  EXPECT_NE(row_count(exchange_load({trace}, 4, 16, 2, 0.5, random)), 16u) << "another number of tokens";
}

ProfileRequest small_request(const std::string& kind) {
  ProfileRequest request;
  request.model = "gpt-oss-20b";
  request.expert_shape = "64x32";
  request.experts_per_device = 4;
  request.tokens_per_step = 256;
  request.max_tokens = 256;
  request.exchange = true;
  request.devices.kind = kind;
  request.devices.asked_weight_type = WeightType::F32;
  return request;
}

TEST(MeasureExchange, OfHostDevices) {
  const Communicator world = Communicator::world();
  if (world.size() == 1) GTEST_SKIP() << "one rank has nobody to exchange with";
  const ProfileRequest request = small_request("host");
  const ProfileSetup setup = set_up_profile(request, static_cast<std::size_t>(world.size()));
  EXPECT_EQ(setup.exchange_tokens, (std::vector<std::int64_t>{16, 64, 256}));
  const Devices devices = make_and_place(world, setup);
  const std::vector<ExchangeLaw> laws = measure_exchange(world, setup, {}, devices);
  if (!world.is_root()) {
    EXPECT_TRUE(laws.empty());
    return;
  }
  ASSERT_EQ(laws.size(), 3u);
  for (const ExchangeLaw& law : laws) {
    EXPECT_GT(law.mean_s, 0.0);
    EXPECT_GE(law.explained, 0.0);
    EXPECT_LE(law.explained, 1.0);
  }
}

TEST(MeasureExchange, OfSimulatedDevicesIsComputedFromTheirLinks) {
  const Communicator world = Communicator::world();
  ProfileRequest request = small_request("simulated");
  request.devices.asked_weight_type = WeightType::Bf16;
  request.devices.device_count = 4;
  EXPECT_THROW(set_up_profile(request, static_cast<std::size_t>(world.size())), UsageError) << "links are not stated";
  request.topology.nodes = 1;
  request.topology.inside_gb_per_s = 100.0;
  request.topology.across_gb_per_s = 10.0;
  request.topology.inside_latency_us = 3.0;
  const ProfileSetup setup = set_up_profile(request, static_cast<std::size_t>(world.size()));
  const std::vector<ExchangeLaw> laws = measure_exchange(world, setup, {}, {});
  if (!world.is_root()) return;
  ASSERT_EQ(laws.size(), 3u);
  // 64 elements of 2 bytes, out and back; three quarters of the rows come from others.
  EXPECT_NEAR(laws[0].row_s, 0.75 * 256.0 / 100e9, 1e-15);
  EXPECT_NEAR(laws[0].fixed_s, 6e-6, 1e-12);
  EXPECT_EQ(laws[0].explained, 1.0);
}

}  // namespace
}  // namespace gem
