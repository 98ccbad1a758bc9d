#include "platform/gpu/nvml.hpp"

#include <dlfcn.h>

#include <limits>

namespace gem {
namespace {

// The few entry points that are used, as NVIDIA's NVML API reference documents them (C ABI, stable since version 2 of
// each); 0 is success. Declared here because nvml.h isn't everywhere where the driver is.
struct NvmlLibrary {
  int (*init)() = nullptr;
  int (*device_by_uuid)(const char*, void**) = nullptr;
  int (*clock)(void*, int, unsigned*) = nullptr;
  int (*power)(void*, unsigned*) = nullptr;
  int (*temperature)(void*, int, unsigned*) = nullptr;
  int (*throttle_reasons)(void*, unsigned long long*) = nullptr;
  bool loaded = false;

  NvmlLibrary() {
    void* library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    if (library == nullptr) return;
    const auto load = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(library, name));
    };
    load(init, "nvmlInit_v2");
    load(device_by_uuid, "nvmlDeviceGetHandleByUUID");
    load(clock, "nvmlDeviceGetClockInfo");
    load(power, "nvmlDeviceGetPowerUsage");
    load(temperature, "nvmlDeviceGetTemperature");
    load(throttle_reasons, "nvmlDeviceGetCurrentClocksThrottleReasons");
    loaded = init != nullptr && device_by_uuid != nullptr && init() == 0;
  }
};

const NvmlLibrary& nvml() {
  static const NvmlLibrary library;
  return library;
}

constexpr int sm_clock = 1;         // NVML_CLOCK_SM
constexpr int gpu_temperature = 0;  // NVML_TEMPERATURE_GPU

}  // namespace

NvmlGpu::NvmlGpu(const std::string& uuid) {
  if (nvml().loaded && nvml().device_by_uuid(uuid.c_str(), &device_) != 0) device_ = nullptr;
}

GpuState NvmlGpu::state() const {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  GpuState state{nan, nan, nan, 0};
  if (device_ == nullptr) return state;
  unsigned value = 0;
  if (nvml().clock != nullptr && nvml().clock(device_, sm_clock, &value) == 0) state.sm_clock_hz = value * 1e6;
  if (nvml().power != nullptr && nvml().power(device_, &value) == 0) state.power_w = value * 1e-3;
  if (nvml().temperature != nullptr && nvml().temperature(device_, gpu_temperature, &value) == 0)
    state.temperature_c = value;
  unsigned long long reasons = 0;
  if (nvml().throttle_reasons != nullptr && nvml().throttle_reasons(device_, &reasons) == 0)
    state.throttle_reasons = reasons;
  return state;
}

}  // namespace gem
