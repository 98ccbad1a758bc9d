#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/mapping.hpp"

namespace gem {

/// What a mapping says about the devices that it was made for, and how to start an engine so that rank d gets device d:
/// a few lines, with a warning where they were no GPUs, or made uneven on purpose.
std::string launch_lines(const Mapping& mapping);

/// A GPU of the host that serves.
struct ServingGpu {
  std::string uuid;
  std::string name;
};

/// The GPUs in `nvidia-smi -L`'s text, in its order.
std::vector<ServingGpu> parse_gpu_list(std::string_view text);

/// Those that a process sees, in its order: `selection` is the value of CUDA_VISIBLE_DEVICES, indices or beginnings of
/// UUIDs; without one, all. As CUDA does, it ends at the first entry that is no GPU.
std::vector<ServingGpu> visible_gpus(const std::vector<ServingGpu>& all, std::optional<std::string_view> selection);

/// A rank on this host, the GPU that the mapping was made for, and the one that it would get.
struct ServingRank {
  std::size_t rank = 0;
  std::string wanted;  ///< UUID
  std::string found;   ///< "none" where there are fewer GPUs
};

/// Whether the ranks of an engine on this host would get the devices that the mapping was made for.
struct ServingCheck {
  bool matches = false;
  std::vector<ServingRank> ranks{};  ///< none where the mapping has no device on this host
  std::string text;                  ///< a line a rank, then the verdict with what to do
};

/// For a mapping that says which devices it was made for.
ServingCheck check_serving_host(const Mapping& mapping, const std::string& host, const std::vector<ServingGpu>& gpus);

}  // namespace gem
