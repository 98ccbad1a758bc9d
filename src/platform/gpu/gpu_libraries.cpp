#include "platform/gpu/gpu_libraries.hpp"

#include <cuda_runtime.h>
#include <fmt/core.h>
#include <nccl.h>

#include "platform/gpu/prefill_attention.hpp"

namespace gem {

std::string gpu_libraries() {
  // As built: a program that asked NCCL itself would not start where there is none.
  return fmt::format("CUDA {}.{}, NCCL {}.{}.{}, {}", CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10, NCCL_MAJOR,
                     NCCL_MINOR, NCCL_PATCH, cudnn_state());
}

}  // namespace gem
