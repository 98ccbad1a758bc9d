// What the benchmarks of kernels share: checked calls, device memory, and medians with a cold L2.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "kernels/random_values.hpp"
#include "kernels/spin.hpp"

namespace gem::benchmark {

inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  std::exit(4);
}

template <class T>
T* allocate(std::size_t count) {
  void* pointer = nullptr;
  check(cudaMalloc(&pointer, count * sizeof(T)), "allocate device memory");
  return static_cast<T*>(pointer);
}

constexpr std::size_t kFlushBytes = std::size_t{256} << 20;

/// Each sample: L2 flushed by reading 256 MB, event, launch, event. A held stream lets the GPU run without waiting for
/// the host.
struct Instrument {
  int samples = 15;
  void* flush = nullptr;
  std::uint32_t* sink = nullptr;
  volatile std::int32_t* flag = nullptr;
  std::int32_t* device_flag = nullptr;
  std::vector<cudaEvent_t> events;

  explicit Instrument(int sample_count) : samples(sample_count) {
    flush = allocate<unsigned char>(kFlushBytes);
    sink = allocate<std::uint32_t>(1);
    check(kernels::launch_random_bf16(flush, kFlushBytes / 2, 1.0f, 1, nullptr), "fill");
    void* host = nullptr;
    void* mapped = nullptr;
    check(cudaHostAlloc(&host, sizeof(std::int32_t), cudaHostAllocMapped), "allocate mapped memory");
    check(cudaHostGetDevicePointer(&mapped, host, 0), "map memory");
    flag = static_cast<std::int32_t*>(host);
    device_flag = static_cast<std::int32_t*>(mapped);
    events.resize(static_cast<std::size_t>(samples) * 2);
    for (auto& event : events) check(cudaEventCreate(&event), "create an event");
  }

  // Median seconds of launch(i), i counting samples.
  template <class Launch>
  double median_s(Launch launch) {
    // Large products run at the power limit: a rest before each measurement lets all start alike.
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    *flag = 0;
    check(kernels::launch_hold(device_flag, 1000000000, nullptr, nullptr), "hold the stream");
    for (int i = -2; i < samples; ++i) {
      check(kernels::launch_l2_flush(flush, kFlushBytes, sink, nullptr), "flush L2");
      if (i >= 0) check(cudaEventRecord(events[static_cast<std::size_t>(2 * i)], nullptr), "record");
      check(launch(i + 2), "launch");
      if (i >= 0) check(cudaEventRecord(events[static_cast<std::size_t>(2 * i + 1)], nullptr), "record");
    }
    *flag = 1;
    check(cudaDeviceSynchronize(), "run");
    std::vector<float> times_ms(static_cast<std::size_t>(samples));
    for (std::size_t i = 0; i < times_ms.size(); ++i)
      check(cudaEventElapsedTime(&times_ms[i], events[2 * i], events[2 * i + 1]), "elapsed time");
    std::nth_element(times_ms.begin(), times_ms.begin() + samples / 2, times_ms.end());
    return static_cast<double>(times_ms[static_cast<std::size_t>(samples) / 2]) * 1e-3;
  }
};

}  // namespace gem::benchmark
