#include "platform/gpu/gpu_libraries.hpp"

#include <cuda_runtime.h>
#include <fmt/core.h>
#include <nccl.h>

#include "platform/gpu/prefill_attention.hpp"

namespace gem {

std::string gpu_libraries() {
  int cuda = 0, nccl = 0;
  cudaRuntimeGetVersion(&cuda);
  ncclGetVersion(&nccl);
  return fmt::format("CUDA {}.{}, NCCL {}.{}.{}, {}", cuda / 1000, cuda % 1000 / 10, nccl / 10000, nccl % 10000 / 100,
                     nccl % 100, cudnn_state());
}

}  // namespace gem
