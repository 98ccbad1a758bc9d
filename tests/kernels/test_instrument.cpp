// Random values, spin, hold and flush: the instrument itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "kernels/device_buffer.hpp"
#include "kernels/random_values.hpp"
#include "kernels/spin.hpp"

namespace gem::test {
namespace {

TEST(RandomValues, AreCentredAndWithinTheirAmplitude) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  constexpr std::size_t kCount = 1 << 20;
  const DeviceBuffer<std::uint16_t> values(kCount);
  check(kernels::launch_random_bf16(values.get(), kCount, 0.5f, 3, nullptr), "fill");
  double sum = 0;
  double squares = 0;
  for (const std::uint16_t bits : values.host()) {
    const double value = static_cast<double>(from_bf16(bits));
    ASSERT_LE(std::abs(value), 0.5);
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / kCount, 0.0, 2e-3);
  EXPECT_NEAR(squares / kCount, 0.25 / 3, 1e-3);
}

class Events {
 public:
  Events() {
    check(cudaEventCreate(&start_), "create an event");
    check(cudaEventCreate(&stop_), "create an event");
  }
  ~Events() {
    cudaEventDestroy(start_);
    cudaEventDestroy(stop_);
  }
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;
  void start() { check(cudaEventRecord(start_, nullptr), "record"); }
  double stop_ms() {
    check(cudaEventRecord(stop_, nullptr), "record");
    check(cudaEventSynchronize(stop_), "wait");
    float elapsed_ms = 0;
    check(cudaEventElapsedTime(&elapsed_ms, start_, stop_), "elapsed time");
    return static_cast<double>(elapsed_ms);
  }

 private:
  cudaEvent_t start_ = nullptr;
  cudaEvent_t stop_ = nullptr;
};

TEST(Spin, EventsRecoverTheDurationWithinOnePercent) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  check(kernels::launch_spin(1000, nullptr), "warm up");
  check(cudaDeviceSynchronize(), "warm up");
  Events events;
  for (const double expected_ms : {1.0, 3.0, 10.0}) {
    std::vector<double> samples;
    for (int i = 0; i < 5; ++i) {
      // Keeps the GPU busy while the host enqueues: else the start is stamped before the kernel has been submitted.
      check(kernels::launch_spin(300'000, nullptr), "hold the stream");
      events.start();
      check(kernels::launch_spin(static_cast<std::int64_t>(expected_ms * 1e6), nullptr), "spin");
      samples.push_back(events.stop_ms());
    }
    std::sort(samples.begin(), samples.end());
    EXPECT_NEAR(samples[2], expected_ms, 0.01 * expected_ms);
  }
}

TEST(Hold, EndsByTheFlagAndByItsTimeout) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  void* memory = nullptr;
  check(cudaHostAlloc(&memory, 2 * sizeof(std::int32_t), cudaHostAllocMapped), "allocate mapped memory");
  auto* host = static_cast<volatile std::int32_t*>(memory);
  host[0] = 0;
  host[1] = 0;
  void* mapped = nullptr;
  check(cudaHostGetDevicePointer(&mapped, memory, 0), "map");
  auto* device = static_cast<std::int32_t*>(mapped);

  check(kernels::launch_hold(device, 2'000'000'000, device + 1, nullptr), "hold");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(cudaStreamQuery(nullptr), cudaErrorNotReady);
  host[0] = 1;
  check(cudaDeviceSynchronize(), "release");
  EXPECT_EQ(host[1], 0);

  host[0] = 0;
  check(kernels::launch_hold(device, 3'000'000, device + 1, nullptr), "hold");
  check(cudaDeviceSynchronize(), "time out");
  EXPECT_EQ(host[1], 1);
  check(cudaFreeHost(memory), "free");
  EXPECT_EQ(kernels::launch_hold(nullptr, 1, nullptr, nullptr), cudaErrorInvalidValue);
}

TEST(L2Flush, ReadsItsBufferWithoutChangingIt) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  constexpr std::size_t kCount = 1 << 23;
  const DeviceBuffer<std::uint16_t> words(kCount);
  const DeviceBuffer<std::uint32_t> sink(1);
  check(kernels::launch_random_bf16(words.get(), kCount, 1.0f, 1, nullptr), "fill");
  const std::vector<std::uint16_t> before = words.host();
  check(kernels::launch_l2_flush(words.get(), words.bytes(), sink.get(), nullptr), "flush");
  check(cudaDeviceSynchronize(), "run");
  EXPECT_EQ(words.host(), before);
}

}  // namespace
}  // namespace gem::test
