#include "device/cuda/gpu_timer.hpp"

#include "base/error.hpp"
#include "kernels/spin.hpp"

namespace gem {
namespace {

// Enqueuing takes microseconds; beyond this the stream lets go by itself, so that nothing can hang the GPU.
constexpr std::int64_t hold_timeout_ns = 200'000'000;
constexpr int attempts = 5;

std::size_t l2_bytes() {
  int device = 0, bytes = 0;
  check_cuda(cudaGetDevice(&device), "asking for the current GPU");
  check_cuda(cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, device), "asking for the size of L2");
  return static_cast<std::size_t>(bytes);
}

}  // namespace

StreamHold::StreamHold() {
  check_cuda(cudaHostAlloc(reinterpret_cast<void**>(&flags_), 2 * sizeof(std::int32_t), cudaHostAllocMapped),
             "allocating flags");
  check_cuda(cudaHostGetDevicePointer(reinterpret_cast<void**>(&device_flags_), flags_, 0), "mapping flags");
}

StreamHold::~StreamHold() {
  cudaFreeHost(flags_);
}

void StreamHold::begin(const CudaStream& stream) {
  volatile std::int32_t* flags = flags_;
  flags[0] = 0;
  flags[1] = 0;
  check_cuda(kernels::launch_hold(device_flags_, hold_timeout_ns, device_flags_ + 1, stream.handle()),
             "holding the stream");
}

void StreamHold::end() {
  *static_cast<volatile std::int32_t*>(flags_) = 1;
}

bool StreamHold::gave_up() const {
  return static_cast<volatile std::int32_t*>(flags_)[1] != 0;
}

GpuTimer::GpuTimer() : flush_(2 * l2_bytes() / sizeof(std::uint32_t)), sink_(1) {
  check_cuda(cudaMemset(flush_.data(), 1, flush_.size() * sizeof(std::uint32_t)), "filling memory");
}

double GpuTimer::seconds(const CudaStream& stream, const std::function<void()>& enqueue) {
  return seconds_of_each(stream, {&enqueue, 1}).front();
}

std::vector<double> GpuTimer::seconds_of_each(const CudaStream& stream,
                                              std::span<const std::function<void()>> enqueue) {
  while (events_.size() <= enqueue.size()) events_.push_back(std::make_unique<CudaEvent>());
  for (int attempt = 0; attempt < attempts; ++attempt) {
    hold_.begin(stream);
    check_cuda(
        kernels::launch_l2_flush(flush_.data(), flush_.size() * sizeof(std::uint32_t), sink_.data(), stream.handle()),
        "flushing L2");
    events_[0]->record(stream);
    for (std::size_t i = 0; i < enqueue.size(); ++i) {
      enqueue[i]();
      events_[i + 1]->record(stream);
    }
    hold_.end();
    stream.synchronize();
    if (hold_.gave_up()) continue;
    std::vector<double> seconds;
    for (std::size_t i = 0; i < enqueue.size(); ++i) seconds.push_back(events_[i + 1]->seconds_since(*events_[i]));
    return seconds;
  }
  throw SystemError(
      "the host takes longer to enqueue a layer than the GPU can be held for: the processor is overloaded; free it");
}

}  // namespace gem
