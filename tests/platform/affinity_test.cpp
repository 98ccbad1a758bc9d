#include "platform/host/affinity.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "platform/host/host_info.hpp"

namespace gem {
namespace {

TEST(Affinity, CoresFirstKeepsEveryCpu) {
  const std::vector<int> allowed = allowed_cpus();
  ASSERT_FALSE(allowed.empty());
  std::vector<int> ordered = cores_first(allowed);
  std::sort(ordered.begin(), ordered.end());
  EXPECT_EQ(ordered, allowed);
}

TEST(Affinity, ABindingOfTheLauncherIsKept) {
  const std::vector<int> before = allowed_cpus();
  EXPECT_FALSE(pin_to_core(static_cast<int>(before.size())).has_value());
  EXPECT_EQ(allowed_cpus(), before);
  const int last = static_cast<int>(before.size()) - 1;
  const int expected = cores_first(before).back();
  EXPECT_EQ(pin_to_core(last), expected);
  EXPECT_EQ(allowed_cpus(), std::vector<int>{expected});
  EXPECT_EQ(pin_to_core(0), expected) << "a rank bound to one CPU stays there";
}

TEST(HostInfo, SaysSomething) {
  EXPECT_FALSE(host_name().empty());
  EXPECT_FALSE(cpu_name().empty());
  EXPECT_GT(available_memory_bytes(), 0u);
  EXPECT_GE(last_level_cache_bytes(), std::size_t{64} << 10);
}

}  // namespace
}  // namespace gem
