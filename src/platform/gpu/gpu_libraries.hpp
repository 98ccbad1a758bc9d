#pragma once

#include <string>

namespace gem {

/// "CUDA 12.4, NCCL 2.21.5, no cuDNN", or that neither is built in.
std::string gpu_libraries();

}  // namespace gem
