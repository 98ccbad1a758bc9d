#include "platform/gpu/gpu_libraries.hpp"

namespace gem {

std::string gpu_libraries() {
  return "no CUDA, no NCCL";
}

}  // namespace gem
