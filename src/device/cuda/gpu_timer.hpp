#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "platform/gpu/cuda.hpp"

namespace gem {

/// Holds a stream by a waiting kernel, so that what is enqueued meanwhile begins without the host. It lets go by itself
/// after a while, so that nothing can hang the GPU.
class StreamHold {
 public:
  StreamHold();
  ~StreamHold();
  StreamHold(const StreamHold&) = delete;
  StreamHold& operator=(const StreamHold&) = delete;

  /// Enqueues the waiting kernel; the one before it must have ended.
  void begin(const CudaStream& stream);
  void end();
  /// Whether it let go by itself; to be asked when the stream is done.
  bool gave_up() const;

 private:
  std::int32_t* flags_ = nullptr;         // [2], host memory that the GPU sees: go on, gave up
  std::int32_t* device_flags_ = nullptr;  // the same, as the GPU addresses it
};

/// Times work on the current GPU by events. The stream is held by a waiting kernel while all is enqueued, so that no
/// launch can be late between the two events, and L2 is flushed, because weights are cold in serving.
class GpuTimer {
 public:
  GpuTimer();

  /// Seconds of what `enqueue` puts on the stream; it must not wait for the GPU. It is called again where the host took
  /// so long that the hold gave up (a first launch loads code). SystemError if it does so each time.
  double seconds(const CudaStream& stream, const std::function<void()>& enqueue);

  /// Likewise the seconds of each of several, which follow each other on the stream with nothing but an event between.
  std::vector<double> seconds_of_each(const CudaStream& stream, std::span<const std::function<void()>> enqueue);

 private:
  std::vector<std::unique_ptr<CudaEvent>> events_;  // before the first and behind each
  StreamHold hold_;
  DeviceBuffer<std::uint32_t> flush_;  // twice L2
  DeviceBuffer<std::uint32_t> sink_;
};

}  // namespace gem
