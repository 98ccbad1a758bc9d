#include "device/cuda/cuda_device.hpp"
#include "device/device_options.hpp"

namespace gem {
namespace {

[[noreturn]] void refuse() {
  throw option_error(option_name(&DeviceOptions::kind),
                     "{} cuda: this program was built without CUDA; build it with -DGEM_GPU=ON where nvcc is "
                     "installed, or choose host or simulated");
}

}  // namespace

bool cuda_is_built() {
  return false;
}

bool cuda_runs_prefill_attention() {
  return false;
}

std::size_t cuda_tile_tokens(double, WeightType) {
  refuse();
}

std::unique_ptr<MoeDevice> make_cuda_device(const CudaDeviceOptions&) {
  refuse();
}

}  // namespace gem
