// Kernels that measure the instrument: known duration, a held stream, a cold L2. Launchers only enqueue on `stream` and
// return the launch's error.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace gem::kernels {

/// One thread of one block spins until `duration_ns` of the GPU's own wall clock (%globaltimer) have passed. The clock
/// ticks in steps of up to about 1 us: below 100 us the duration isn't good to 1 %.
cudaError_t launch_spin(std::int64_t duration_ns, cudaStream_t stream);

/// Holds the stream until *flag != 0, or until `timeout_ns` have passed, so that it can never hang the GPU. `flag` is
/// the device address of a host-mapped int (cudaHostAlloc with cudaHostAllocMapped). If it timed out, *timed_out
/// (device address of a mapped int, may be null) is set to 1.
cudaError_t launch_hold(const volatile std::int32_t* flag, std::int64_t timeout_ns, std::int32_t* timed_out,
                        cudaStream_t stream);

/// Evicts L2 by reading `bytes` of `buffer` (16-byte aligned; at least twice cudaDevAttrL2CacheSize to be thorough). It
/// reads, because written lines would be written back during the measurement that follows. `sink` is one u32 that is in
/// practice never written; it keeps the reads alive.
cudaError_t launch_l2_flush(const void* buffer, std::size_t bytes, std::uint32_t* sink, cudaStream_t stream);

}  // namespace gem::kernels
