// Host side of decode attention: which kernel, how many blocks share a context, the launch.
#include <algorithm>
#include <limits>

#include "decode_attention.cuh"
#include "decode_attention.hpp"

namespace gem::kernels {
namespace {

using namespace attention;

constexpr float kLog2E = 1.4426950408889634f;

// A kernel and what its launch needs to know of it.
struct Variant {
  const void* kernel;
  int heads;
  int tile;
  int shared_bytes;
};

template <class S>
Variant variant() {
  return {reinterpret_cast<const void*>(&decode_attention_kernel<S>), S::kHeads, S::kTile, S::kSharedBytes};
}

// Null kernel for shapes that can't be served.
Variant variant_for(const DecodeAttentionShape& shape) {
  if (shape.query_heads <= 0 || shape.kv_heads <= 0 || shape.query_heads % shape.kv_heads != 0) return {};
  const int heads = shape.query_heads / shape.kv_heads;
  if (shape.latent) {
    if (shape.key_size != 576 || shape.value_size != 512 || shape.kv_heads != 1) return {};
    return variant<Sizes<576, 512, true, 2, 48, 3, 1>>();
  }
  if (shape.key_size != shape.value_size || heads > kMostHeads) return {};
  const bool few = heads <= kHeadsOfTile;
  if (shape.key_size == 128)
    return few ? variant<Sizes<128, 128, false, 1, 64, 3, 2>>() : variant<Sizes<128, 128, false, 2, 64, 3, 2>>();
  if (shape.key_size == 64)
    return few ? variant<Sizes<64, 64, false, 1, 128, 3, 2>>() : variant<Sizes<64, 64, false, 2, 128, 3, 2>>();
  return {};
}

int groups_of(const DecodeAttentionShape& shape, const Variant& chosen) {
  return (shape.query_heads / shape.kv_heads + chosen.heads - 1) / chosen.heads;
}

// Blocks that share a context: the number with the least waves times tiles of a block, where starting and ending a
// block and adding up its part take about as long as two tiles.
int choose_splits(std::int64_t blocks, std::int64_t resident, int tiles) {
  int best = 1;
  std::int64_t best_cost = std::numeric_limits<std::int64_t>::max();
  for (int splits = 1; splits <= std::min(kMostSplits, tiles); ++splits) {
    const std::int64_t waves = (blocks * splits + resident - 1) / resident;
    const std::int64_t cost = waves * ((tiles + splits - 1) / splits + 2);
    if (cost < best_cost) {
      best = splits;
      best_cost = cost;
    }
  }
  return best;
}

struct Workspace {
  std::size_t counter_bytes;
  std::size_t sum_bytes;
  std::size_t output_bytes;
  std::size_t bytes() const { return counter_bytes + sum_bytes + output_bytes; }
};

Workspace workspace_of(const DecodeAttentionShape& shape, int sequences, int splits) {
  const Variant chosen = variant_for(shape);
  if (chosen.kernel == nullptr || sequences <= 0) return {};
  const auto round_up = [](std::size_t bytes) { return (bytes + 255) / 256 * 256; };
  const std::size_t blocks = static_cast<std::size_t>(sequences) * static_cast<std::size_t>(shape.kv_heads) *
                             static_cast<std::size_t>(groups_of(shape, chosen));
  const std::size_t rows = blocks * static_cast<std::size_t>(splits) * static_cast<std::size_t>(chosen.heads);
  return {round_up(blocks * 4), round_up(rows * 8), round_up(rows * static_cast<std::size_t>(shape.value_size) * 4)};
}

bool servable(const DecodeAttentionArguments& a) {
  const auto aligned = [](const void* pointer, std::uintptr_t bytes) {
    return pointer != nullptr && reinterpret_cast<std::uintptr_t>(pointer) % bytes == 0;
  };
  return variant_for(a.shape).kernel != nullptr && a.sequences > 0 && a.sequences <= 65535 && a.max_context > 0 &&
         a.scale > 0.0f && aligned(a.query, 16) && aligned(a.keys, 16) && (a.shape.latent || aligned(a.values, 16)) &&
         a.contexts != nullptr && aligned(a.output, 16) && aligned(a.workspace, 256);
}

}  // namespace

std::size_t decode_attention_workspace_bytes(const DecodeAttentionShape& shape, int sequences) {
  return workspace_of(shape, sequences, kMostSplits).bytes();
}

std::int64_t decode_attention_cache_bytes(const DecodeAttentionShape& shape, std::int64_t sequences,
                                          std::int64_t context) {
  return sequences * context * shape.kv_heads * (shape.key_size + (shape.latent ? 0 : shape.value_size)) * 2;
}

cudaError_t make_decode_attention_plan(const DecodeAttentionArguments& arguments, DecodeAttentionPlan* plan,
                                       cudaStream_t stream) {
  if (!servable(arguments)) return cudaErrorInvalidValue;
  const Variant chosen = variant_for(arguments.shape);
  int device = 0;
  int multiprocessors = 0;
  int resident = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  if (error == cudaSuccess)
    error = cudaFuncSetAttribute(chosen.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, chosen.shared_bytes);
  if (error == cudaSuccess)
    error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, chosen.kernel, kThreads,
                                                          static_cast<std::size_t>(chosen.shared_bytes));
  if (error != cudaSuccess) return error;
  if (resident == 0) return cudaErrorInvalidValue;
  const int tiles = (arguments.max_context + chosen.tile - 1) / chosen.tile;
  const std::int64_t blocks =
      std::int64_t{1} * arguments.sequences * arguments.shape.kv_heads * groups_of(arguments.shape, chosen);
  *plan = {arguments, choose_splits(blocks, std::int64_t{1} * multiprocessors * resident, tiles)};
  return cudaMemsetAsync(arguments.workspace, 0,
                         workspace_of(arguments.shape, arguments.sequences, plan->splits).counter_bytes, stream);
}

cudaError_t launch_decode_attention(const DecodeAttentionPlan& plan, cudaStream_t stream) {
  const DecodeAttentionArguments& a = plan.arguments;
  const Variant chosen = variant_for(a.shape);
  if (chosen.kernel == nullptr || plan.splits <= 0) return cudaErrorInvalidValue;
  const Workspace sizes = workspace_of(a.shape, a.sequences, plan.splits);
  auto* workspace = static_cast<unsigned char*>(a.workspace);
  const int groups = groups_of(a.shape, chosen);
  KernelArguments arguments{static_cast<const __nv_bfloat16*>(a.query),
                            static_cast<const __nv_bfloat16*>(a.keys),
                            static_cast<const __nv_bfloat16*>(a.values),
                            a.contexts,
                            static_cast<__nv_bfloat16*>(a.output),
                            reinterpret_cast<float*>(workspace + sizes.counter_bytes + sizes.sum_bytes),
                            reinterpret_cast<float*>(workspace + sizes.counter_bytes),
                            reinterpret_cast<std::int32_t*>(workspace),
                            a.shape.query_heads,
                            a.shape.kv_heads,
                            groups,
                            a.max_context,
                            a.scale * kLog2E};
  const dim3 grid(static_cast<unsigned>(plan.splits), static_cast<unsigned>(a.shape.kv_heads * groups),
                  static_cast<unsigned>(a.sequences));
  void* parameters[1] = {&arguments};
  return cudaLaunchKernel(chosen.kernel, grid, dim3(kThreads), parameters,
                          static_cast<std::size_t>(chosen.shared_bytes), stream);
}

}  // namespace gem::kernels
