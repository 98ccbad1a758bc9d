// The launcher of both paths: checks, workspace, rule for the tile.
#include "grouped_ffn.hpp"

#include "grouped_ffn_paths.hpp"

namespace gem::kernels {
namespace {

constexpr int kLeastTile = 16;

std::size_t counter_bytes(const GroupedFfnShape& shape, std::int64_t max_rows) {
  // Most token tiles: every expert ends with a tile of its own.
  const std::size_t tiles = static_cast<std::size_t>(max_rows) / kLeastTile + static_cast<std::size_t>(shape.experts);
  return ((tiles + 2) * sizeof(std::int32_t) + 1023) / 1024 * 1024;
}

std::size_t activation_count(const GroupedFfnShape& shape, std::int64_t max_rows) {
  return static_cast<std::size_t>(max_rows) * static_cast<std::size_t>(shape.intermediate);
}

std::size_t activation_scale_bytes(const GroupedFfnShape& shape, std::int64_t max_rows) {
  return static_cast<std::size_t>(token_scale_stride(max_rows)) *
         static_cast<std::size_t>(shape.intermediate / kScaleBlock) * sizeof(float);
}

bool aligned(const void* pointer) {
  return pointer != nullptr && reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0;
}

bool servable(const GroupedFfnArguments& a) {
  const GroupedFfnShape& s = a.shape;
  const bool fp8 = s.type == FfnType::fp8;
  const bool tile = a.tile_tokens == 16 || a.tile_tokens == 32 || a.tile_tokens == 64 || a.tile_tokens == 128 ||
                    (a.tile_tokens == 256 && !fp8);
  const int multiple = fp8 ? kScaleBlock : 8;
  const bool scales = !fp8 || (aligned(a.gate_up_scales) && aligned(a.down_scales) && aligned(a.input_scales));
  return tile && s.experts > 0 && s.experts <= kMostFfnExperts && s.hidden > 0 && s.hidden % multiple == 0 &&
         s.intermediate > 0 && s.intermediate % multiple == 0 && a.max_rows > 0 && a.max_rows <= INT32_MAX / 2 &&
         aligned(a.gate_up) && aligned(a.down) && aligned(a.input) && aligned(a.output) && aligned(a.workspace) &&
         a.offsets != nullptr && scales;
}

}  // namespace

std::size_t grouped_ffn_workspace_bytes(const GroupedFfnShape& shape, std::int64_t max_rows) {
  const std::size_t activations = activation_count(shape, max_rows);
  const std::size_t counters = counter_bytes(shape, max_rows);
  if (shape.type == FfnType::bf16) return counters + activations * 2;
  return counters + activations * 2 + activation_scale_bytes(shape, max_rows) + activations;
}

FfnWorkspace ffn_workspace(const GroupedFfnArguments& arguments) {
  FfnWorkspace workspace;
  workspace.counter_bytes = counter_bytes(arguments.shape, arguments.max_rows);
  workspace.counters = static_cast<std::int32_t*>(arguments.workspace);
  auto* rest = static_cast<unsigned char*>(arguments.workspace) + workspace.counter_bytes;
  if (arguments.shape.type == FfnType::bf16) {
    workspace.activations = rest;
    return workspace;
  }
  // All multiples of 16 bytes, the widest first.
  workspace.unquantised = rest;
  rest += activation_count(arguments.shape, arguments.max_rows) * 2;
  workspace.activation_scales = reinterpret_cast<float*>(rest);
  workspace.activations = rest + activation_scale_bytes(arguments.shape, arguments.max_rows);
  return workspace;
}

int choose_tile_tokens(double tokens_per_expert, FfnType type) {
  if (tokens_per_expert <= 16) return 16;
  if (tokens_per_expert <= 32) return 32;
  if (tokens_per_expert <= 64) return 64;
  return tokens_per_expert <= 1536 || type == FfnType::fp8 ? 128 : 256;
}

cudaError_t make_grouped_ffn_plan(const GroupedFfnArguments& arguments, GroupedFfnPlan* plan, cudaStream_t stream) {
  if (plan == nullptr || !servable(arguments)) return cudaErrorInvalidValue;
  int device = 0;
  int major = 0;
  int minor = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error != cudaSuccess) return error;
  *plan = GroupedFfnPlan{};
  plan->arguments = arguments;
  error = cudaDeviceGetAttribute(&plan->multiprocessors, cudaDevAttrMultiProcessorCount, device);
  if (error != cudaSuccess) return error;
  error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  if (error != cudaSuccess) return error;
  error = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  if (error != cudaSuccess) return error;

  const bool hopper = major == 9 && minor == 0;
  if (arguments.path == FfnPath::sm90 && !hopper) return cudaErrorNotSupported;
  plan->path = arguments.path == FfnPath::automatic ? (hopper ? FfnPath::sm90 : FfnPath::plain) : arguments.path;
  if (plan->path == FfnPath::sm90) {
    error = prepare_grouped_ffn_sm90(plan);
    if (error != cudaSuccess) return error;
  }
  const FfnWorkspace workspace = ffn_workspace(arguments);
  return cudaMemsetAsync(workspace.counters, 0, workspace.counter_bytes, stream);
}

cudaError_t launch_grouped_ffn(const GroupedFfnPlan& plan, cudaStream_t stream, FfnPart part) {
  if (plan.path == FfnPath::sm90) return launch_grouped_ffn_sm90(plan, stream, part);
  return launch_grouped_ffn_plain(plan, stream, part);
}

}  // namespace gem::kernels
