#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace gem {

/// What NVML says of a GPU; NaN (0 for the reasons) for what it won't say.
struct GpuState {
  double sm_clock_hz;
  double power_w;
  double temperature_c;
  std::uint64_t throttle_reasons;  ///< nvmlClocksThrottleReason bits
};

/// Reads a GPU's state through NVML, which is loaded at run time: where it is absent, nothing is known and that is no
/// error.
class NvmlGpu {
 public:
  /// `uuid` as "GPU-8a56a4bc-...".
  explicit NvmlGpu(const std::string& uuid);
  GpuState state() const;

 private:
  void* device_ = nullptr;  // nvmlDevice_t; null where NVML is absent
};

}  // namespace gem
