#pragma once

#include <cstdint>
#include <functional>

#include "platform/cuda.hpp"

namespace gem {

/// Times work on the current GPU by events. The stream is held by a waiting kernel while all is enqueued, so that no
/// launch can be late between the two events, and L2 is flushed, because weights are cold in serving.
class GpuTimer {
 public:
  GpuTimer();
  ~GpuTimer();
  GpuTimer(const GpuTimer&) = delete;
  GpuTimer& operator=(const GpuTimer&) = delete;

  /// Seconds of what `enqueue` puts on the stream; it must not wait for the GPU. It is called again where the host took
  /// so long that the hold gave up (a first launch loads code). SystemError if it does so each time.
  double seconds(const CudaStream& stream, const std::function<void()>& enqueue);

 private:
  CudaEvent begin_, end_;
  DeviceBuffer<std::uint32_t> flush_;  // twice L2
  DeviceBuffer<std::uint32_t> sink_;
  std::int32_t* flags_ = nullptr;         // [2], host memory that the GPU sees: go on, gave up
  std::int32_t* device_flags_ = nullptr;  // the same, as the GPU addresses it
};

}  // namespace gem
