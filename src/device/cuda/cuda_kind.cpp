#include <fmt/core.h>

#include "device/cuda/cuda_device.hpp"
#include "device/device_kind.hpp"

namespace gem {
namespace {

class CudaKind : public DeviceKind {
 public:
  CudaKind() {
    name = "cuda";
    is_built = cuda_is_built();
    transport = RowTransport::Nccl;
    moves_experts = true;
    disturbed = "the GPUs";
    // A GPU's power limit bites after a second or two of work, and then its clock follows the work of some seconds.
    measuring.warm_up_s = 3.0;
    measuring.block_loads = 512;
    measuring.kept_busy = true;
    measuring.last_tiles_filled = false;
    measuring.load_rule_is_fitted = true;
  }

  std::string why_not(const DeviceOptions& options, WeightType type) const override {
    if (type == WeightType::F32) return "cuda devices compute in bf16 or fp8";
    if (type == WeightType::Bf16) return "";
    if (options.tile_tokens > cuda_fp8_largest_tile)
      return fmt::format("tiles of more than {} tokens are of bf16", cuda_fp8_largest_tile);
    const ExpertShape& expert = options.expert;
    return expert.hidden_size % cuda_fp8_multiple == 0 && expert.intermediate_size % cuda_fp8_multiple == 0
               ? ""
               : fmt::format("cuda devices need sizes of experts that are multiples of {} for them", cuda_fp8_multiple);
  }

  void check(const DeviceOptions&) const override {
    if (!is_built) make_cuda_device({});
  }

  bool runs_prefill_attention() const override { return cuda_runs_prefill_attention(); }

  std::size_t tile_tokens(const DeviceOptions& options, double tokens_per_expert) const override {
    return cuda_tile_tokens(tokens_per_expert, options.weight_type);
  }

  std::vector<std::unique_ptr<MoeDevice>> make(const DeviceOptions& options, const Communicator& ranks,
                                               DeviceRange range) const override {
    CudaDeviceOptions cuda;
    cuda.expert = options.expert;
    cuda.tile_tokens = options.tile_tokens;
    cuda.weight_type = options.weight_type;
    cuda.slowdown = slowdown_of(options, range.first);
    cuda.seed = options.seed;
    cuda.weight_layers = options.weight_layers;
    cuda.rank = ranks.rank();
    cuda.node_rank = ranks.node_rank();
    std::vector<std::unique_ptr<MoeDevice>> devices;
    ranks.on_all([&] { devices.push_back(make_cuda_device(cuda)); });
    return devices;
  }

  /// The stated model of a GPU is near enough.
  std::unique_ptr<LayerEstimate> estimate(const DeviceOptions& options) const override {
    return simulated_kind().estimate(options);
  }
};

}  // namespace

const DeviceKind& cuda_kind() {
  static const CudaKind kind;
  return kind;
}

}  // namespace gem
