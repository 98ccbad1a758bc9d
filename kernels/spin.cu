// spin:  wait until globaltimer - start >= duration      hold: wait until flag or timeout
// flush: x = xor of all words of a buffer larger than L2
#include "spin.hpp"

namespace gem::kernels {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kBlocks = 1056;

__device__ __forceinline__ std::int64_t global_time_ns() {
  std::int64_t time;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(time));
  return time;
}

__global__ void spin_kernel(std::int64_t duration_ns) {
  const std::int64_t end = global_time_ns() + duration_ns;
  while (global_time_ns() < end) {
  }
}

__global__ void hold_kernel(const volatile std::int32_t* flag, std::int64_t timeout_ns, std::int32_t* timed_out) {
  const std::int64_t end = global_time_ns() + timeout_ns;
  while (*flag == 0) {
    if (global_time_ns() >= end) {
      if (timed_out != nullptr) *timed_out = 1;
      return;
    }
    // Polling crosses the bus: pause, so that the host's own traffic isn't disturbed.
    for (const std::int64_t pause = global_time_ns() + 1000; global_time_ns() < pause;) {
    }
  }
}

__global__ void flush_kernel(const uint4* __restrict__ buffer, std::size_t count, std::uint32_t* sink) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  std::uint32_t folded = 0;
#pragma unroll 4
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    const uint4 v = __ldcg(buffer + i);
    folded ^= v.x ^ v.y ^ v.z ^ v.w;
  }
  if (folded == 0x5a17c0deu) atomicXor(sink, folded);
}

}  // namespace

cudaError_t launch_spin(std::int64_t duration_ns, cudaStream_t stream) {
  if (duration_ns < 0) return cudaErrorInvalidValue;
  spin_kernel<<<1, 1, 0, stream>>>(duration_ns);
  return cudaGetLastError();
}

cudaError_t launch_hold(const volatile std::int32_t* flag, std::int64_t timeout_ns, std::int32_t* timed_out,
                        cudaStream_t stream) {
  if (flag == nullptr || timeout_ns <= 0) return cudaErrorInvalidValue;
  hold_kernel<<<1, 1, 0, stream>>>(flag, timeout_ns, timed_out);
  return cudaGetLastError();
}

cudaError_t launch_l2_flush(const void* buffer, std::size_t bytes, std::uint32_t* sink, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  flush_kernel<<<kBlocks, kThreads, 0, stream>>>(static_cast<const uint4*>(buffer), bytes / sizeof(uint4), sink);
  return cudaGetLastError();
}

}  // namespace gem::kernels
