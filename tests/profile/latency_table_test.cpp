#include "profile/latency_table.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "model/latency_surface.hpp"

namespace gem {
namespace {

LatencyTableOptions options_of(std::size_t devices = 0) {
  LatencyTableOptions options;
  options.model = model_of_option("gpt-oss-20b");
  options.experts_per_device = 8;
  options.device_count = devices;
  return options;
}

TEST(LatencyTable, TakesColumnsByName) {
  const std::string csv =
      "device,tiles,active_experts,seconds\n"
      "a,8,8,1e-4\na,16,8,2e-4\na,2,2,0.5e-4\n"
      "# measured at night\n"
      "b,8,8,1.5e-4\nb,16,8,3e-4\nb,2,2,0.7e-4\nb,16,8,3.2e-4\nb,16,8,3.1e-4\n";
  const TabulatedProfile table = profile_from_table(csv, "mine.csv", options_of());
  const LatencyProfile& profile = table.profile;
  ASSERT_EQ(profile.device_count(), 2u);
  ASSERT_EQ(profile.points.size(), 3u);
  EXPECT_EQ(profile.points[0], (LoadPoint{2, 2, 32}));
  EXPECT_EQ(profile.points[2], (LoadPoint{16, 8, 256}));
  EXPECT_DOUBLE_EQ(profile.median_s(1, 2), 3.1e-4);  // of three
  EXPECT_DOUBLE_EQ(surfaces_of(profile)[0].seconds(12, 8), 1.5e-4);
  ASSERT_EQ(table.unknown.size(), 1u);
  EXPECT_NE(table.unknown[0].find("skew"), std::string::npos);
}

TEST(LatencyTable, OneDeviceStandsForSeveralOfStatedSpeeds) {
  LatencyTableOptions options = options_of(4);
  options.slowdowns = {1.0, 1.28};
  options.columns = "tokens=batch_size,milliseconds=triton";
  const TabulatedProfile table =
      profile_from_table("batch_size,triton\n64,0.1\n128,0.2\n4,0.05\n", "bench.csv", options);
  ASSERT_EQ(table.profile.device_count(), 4u);
  EXPECT_DOUBLE_EQ(table.profile.median_s(3, 2), 1.28 * 0.2e-3);
  EXPECT_EQ(table.profile.points[0], (LoadPoint{4, 4, 4}));   // an expert a row
  EXPECT_EQ(table.profile.points[1], (LoadPoint{8, 8, 64}));  // half a tile each
  EXPECT_EQ(table.profile.devices[3].emulated_slowdown, 1.28);
  EXPECT_EQ(table.unknown.size(), 4u);
}

TEST(LatencyTable, TakesTheModelsLinesOfAConfiguratorsTable) {
  const std::string csv =
      "framework,version,device,op_name,kernel_source,moe_dtype,num_tokens,hidden_size,inter_size,topk,num_experts,"
      "moe_tp_size,moe_ep_size,distribution,latency\n"
      "VLLM,0.19.0,NVIDIA H200,moe,k,bfloat16,64,2880,2880,4,32,1,4,balanced,0.1\n"
      "VLLM,0.19.0,NVIDIA H200,moe,k,bfloat16,64,2880,2880,4,32,1,4,power_law_1.2,0.3\n"
      "VLLM,0.19.0,NVIDIA H200,moe,k,bfloat16,512,2880,2880,4,32,1,4,balanced,0.4\n"
      "VLLM,0.19.0,NVIDIA H200,moe,k,bfloat16,512,7168,2048,8,256,1,4,balanced,9\n";
  const TabulatedProfile table = profile_from_table(csv, "moe_perf.txt", options_of(4));
  ASSERT_EQ(table.profile.points.size(), 2u);
  EXPECT_EQ(table.profile.points[0].tokens, 64);  // 64 x 4 over 4 devices
  EXPECT_DOUBLE_EQ(table.profile.median_s(0, 0), 1e-4);
  LatencyTableOptions other = options_of();
  other.experts_per_device = 4;
  try {
    profile_from_table(csv, "moe_perf.txt", other);
    FAIL();
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("no line has moe_ep_size 8"), std::string::npos) << error.what();
  }
}

TEST(LatencyTable, RefusesWhatItCannotRead) {
  const auto read = [](const std::string& csv) { profile_from_table(csv, "t.csv", options_of()); };
  EXPECT_THROW(read(""), DataError);
  EXPECT_THROW(read("tokens,seconds\n"), DataError);
  EXPECT_THROW(read("rows,time\n1,2\n"), UsageError);
  EXPECT_THROW(read("tokens,seconds\n8\n"), DataError);
  EXPECT_THROW(read("tokens,seconds\n8,fast\n"), DataError);
  EXPECT_THROW(read("tokens,seconds\n8,0\n"), DataError);
  EXPECT_THROW(read("tokens,seconds\n8,nan\n"), DataError);
  EXPECT_THROW(read("tokens,seconds\n-8,1\n"), DataError);
  EXPECT_THROW(read("tokens,active_experts,seconds\n8,9,1e-3\n"), DataError);
  EXPECT_THROW(read("device,tokens,seconds\na,8,1e-3\nb,9,1e-3\n"), DataError);
  LatencyTableOptions options = options_of(4);
  EXPECT_THROW(profile_from_table("device,tokens,seconds\na,8,1e-3\nb,8,1e-3\n", "t.csv", options), UsageError);
  options.columns = "tokens=rows";
  EXPECT_THROW(profile_from_table("tokens,seconds\n8,1e-3\n", "t.csv", options), UsageError);
}

}  // namespace
}  // namespace gem
