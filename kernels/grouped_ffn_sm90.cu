// Host side of the Hopper path: tensor maps, choice of variant, launch.
#include <cuda.h>

#include <algorithm>

#include "grouped_ffn_sm90.hpp"

namespace gem::kernels {
namespace {

using EncodeTiled = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                                 const cuuint64_t*, const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave,
                                 CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

// The driver's encoder through the runtime, so that nothing links to libcuda.
EncodeTiled encoder() {
  static const EncodeTiled found = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult result{};
#if CUDART_VERSION >= 12050
    const cudaError_t error =
        cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &result);
#else
    const cudaError_t error = cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &function, cudaEnableDefault, &result);
#endif
    if (error != cudaSuccess || result != cudaDriverEntryPointSuccess) function = nullptr;
    return reinterpret_cast<EncodeTiled>(function);
  }();
  return found;
}

// A map in `rank` dimensions; strides in elements. Without promotion L2 fetches what is asked for, rows of 128 bytes:
// promoted to 256, cold bf16 weights come 3 to 8 % slower (seen on an H200). Of fp8 only promoted maps are measured.
bool encode(unsigned char* map, CUtensorMapDataType type, unsigned element_bytes, CUtensorMapSwizzle swizzle,
            const void* base, cuuint32_t rank, const cuuint64_t* sizes, const cuuint64_t* strides,
            const cuuint32_t* box) {
  const CUtensorMapL2promotion promotion =
      element_bytes == 2 ? CU_TENSOR_MAP_L2_PROMOTION_NONE : CU_TENSOR_MAP_L2_PROMOTION_L2_256B;
  cuuint64_t stride_bytes[4] = {};
  const cuuint32_t ones[5] = {1, 1, 1, 1, 1};
  for (cuuint32_t d = 0; d + 1 < rank; ++d) stride_bytes[d] = strides[d] * element_bytes;
  return encoder()(reinterpret_cast<CUtensorMap*>(map), type, rank, const_cast<void*>(base), sizes, stride_bytes, box,
                   ones, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, promotion,
                   CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

bool encode_maps(GroupedFfnPlan* plan, const FfnVariant& variant) {
  const GroupedFfnArguments& a = plan->arguments;
  const auto hidden = static_cast<cuuint64_t>(a.shape.hidden);
  const auto intermediate = static_cast<cuuint64_t>(a.shape.intermediate);
  const auto experts = static_cast<cuuint64_t>(a.shape.experts);
  const auto rows = static_cast<cuuint64_t>(a.max_rows);
  const auto weight_rows = static_cast<cuuint32_t>(variant.weight_rows);
  const auto token_rows = static_cast<cuuint32_t>(variant.tile_tokens / variant.cluster);

  // Boxes of operands are 128 bytes deep, one swizzle row.
  const bool fp8 = a.shape.type == FfnType::fp8;
  const CUtensorMapDataType type = fp8 ? CU_TENSOR_MAP_DATA_TYPE_UINT8 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  const cuuint32_t depth = fp8 ? 128 : 64;
  const auto encode_operand = [&](int map, const void* base, cuuint32_t rank, const cuuint64_t* sizes,
                                  const cuuint64_t* strides, const cuuint32_t* box) {
    return encode(plan->tensor_maps[map], type, fp8 ? 1 : 2, CU_TENSOR_MAP_SWIZZLE_128B, base, rank, sizes, strides,
                  box);
  };

  // Depth, row among 8, gate or up, group of 8 rows, expert: boxes come out as 8 gate rows, 8 up rows, 8 gate rows, ...
  const cuuint64_t gate_up_sizes[5] = {hidden, 8, 2, intermediate / 8, experts};
  const cuuint64_t gate_up_strides[4] = {hidden, intermediate * hidden, 8 * hidden, 2 * intermediate * hidden};
  const cuuint32_t gate_up_box[5] = {depth, 8, 2, weight_rows / 16, 1};
  const cuuint64_t down_sizes[3] = {intermediate, hidden, experts};
  const cuuint64_t down_strides[2] = {intermediate, hidden * intermediate};
  const cuuint32_t down_box[3] = {depth, weight_rows, 1};
  const cuuint64_t input_sizes[2] = {hidden, rows};
  const cuuint64_t activation_sizes[2] = {intermediate, rows};
  const cuuint32_t token_box[2] = {depth, token_rows};
  const FfnWorkspace workspace = ffn_workspace(a);
  const bool operands = encode_operand(0, a.gate_up, 5, gate_up_sizes, gate_up_strides, gate_up_box) &&
                        encode_operand(1, a.input, 2, input_sizes, &hidden, token_box) &&
                        encode_operand(2, a.down, 3, down_sizes, down_strides, down_box) &&
                        encode_operand(3, workspace.activations, 2, activation_sizes, &intermediate, token_box);
  if (!operands || !fp8) return operands;

  const auto stride = static_cast<cuuint64_t>(token_scale_stride(a.max_rows));
  const cuuint32_t scale_box[2] = {token_rows + kScaleAlignment, 1};
  const auto encode_scales = [&](int map, const void* base, cuuint64_t columns) {
    const cuuint64_t sizes[2] = {stride, columns / kScaleBlock};
    return encode(plan->tensor_maps[map], CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 4, CU_TENSOR_MAP_SWIZZLE_NONE, base, 2,
                  sizes, &stride, scale_box);
  };
  return encode_scales(4, a.input_scales, hidden) && encode_scales(5, workspace.activation_scales, intermediate);
}

// Number `index` of a type's variants, or null behind the last.
const FfnVariant* variant_at(FfnType type, int index) {
  if (type == FfnType::fp8) {
    const FfnVariants all = ffn_variants_fp8();
    return index < all.count ? &all.items[index] : nullptr;
  }
  const FfnVariants few = ffn_variants_few_tokens();
  const FfnVariants many = ffn_variants_many_tokens();
  if (index < few.count) return &few.items[index];
  index -= few.count;
  return index < many.count ? &many.items[index] : nullptr;
}

// Makes the variant launchable and counts the blocks that are on the device together: all of a launch have to be,
// because they wait for each other.
cudaError_t resident_blocks(const GroupedFfnPlan& plan, const FfnVariant& variant, int* blocks) {
  cudaError_t error =
      cudaFuncSetAttribute(variant.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, variant.shared_bytes);
  if (error != cudaSuccess) return error;
  int resident = 0;
  error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, variant.kernel, variant.threads,
                                                        static_cast<std::size_t>(variant.shared_bytes));
  if (error != cudaSuccess) return error;
  *blocks = plan.multiprocessors * resident;
  if (variant.cluster == 1 || *blocks < variant.cluster) return cudaSuccess;
  // A cluster lies within one group of multiprocessors (GPC), which may have an odd number of them.
  GroupedFfnPlan whole = plan;
  whole.blocks = *blocks;
  cudaLaunchAttribute attributes[2] = {};
  const cudaLaunchConfig_t configuration = ffn_launch_configuration(whole, variant, nullptr, attributes);
  int clusters = 0;
  error = cudaOccupancyMaxActiveClusters(&clusters, variant.kernel, &configuration);
  *blocks = std::min(clusters, *blocks / variant.cluster) * variant.cluster;
  return error;
}

}  // namespace

const char* ffn_variant_name(int variant, FfnType type) {
  const FfnVariant* found = variant > 0 ? variant_at(type, variant - 1) : nullptr;
  return found == nullptr ? nullptr : found->name;
}

cudaError_t prepare_grouped_ffn_sm90(GroupedFfnPlan* plan) {
  if (encoder() == nullptr) return cudaErrorNotSupported;
  const GroupedFfnArguments& a = plan->arguments;
  // Of the variants for this tile, the one for the busiest experts that suits. One that needs clusters has to fill the
  // device: a part of a GPU may have too few multiprocessors side by side.
  const FfnVariant* chosen = nullptr;
  for (int i = 0; variant_at(a.shape.type, i) != nullptr; ++i) {
    const FfnVariant& variant = *variant_at(a.shape.type, i);
    const bool suits = a.variant > 0 ? a.variant == i + 1 : variant.busy_from <= a.tokens_per_expert;
    if (variant.tile_tokens != a.tile_tokens || !suits) continue;
    if (chosen != nullptr && variant.busy_from <= chosen->busy_from) continue;
    int blocks = 0;
    const cudaError_t error = resident_blocks(*plan, variant, &blocks);
    if (error != cudaSuccess) return error;
    if (blocks <= 0 || (a.variant == 0 && blocks + variant.cluster <= plan->multiprocessors)) continue;
    chosen = &variant;
    plan->variant = i;
    plan->blocks = blocks;
  }
  if (chosen == nullptr) return cudaErrorInvalidValue;
  return encode_maps(plan, *chosen) ? cudaSuccess : cudaErrorInvalidValue;
}

cudaLaunchConfig_t ffn_launch_configuration(const GroupedFfnPlan& plan, const FfnVariant& variant, cudaStream_t stream,
                                            cudaLaunchAttribute (&attributes)[2]) {
  // Cooperative: a launch whose blocks can't all be on the device together fails instead of waiting for ever.
  attributes[0].id = cudaLaunchAttributeCooperative;
  attributes[0].val.cooperative = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim.x = static_cast<unsigned>(variant.cluster);
  attributes[1].val.clusterDim.y = 1;
  attributes[1].val.clusterDim.z = 1;
  cudaLaunchConfig_t configuration{};
  const int blocks = plan.blocks / variant.cluster * variant.cluster;
  configuration.gridDim = dim3(static_cast<unsigned>(blocks), 1, 1);
  configuration.blockDim = dim3(static_cast<unsigned>(variant.threads), 1, 1);
  configuration.dynamicSmemBytes = static_cast<std::size_t>(variant.shared_bytes);
  configuration.stream = stream;
  configuration.attrs = attributes;
  configuration.numAttrs = variant.cluster > 1 ? 2 : 1;
  return configuration;
}

cudaError_t launch_grouped_ffn_sm90(const GroupedFfnPlan& plan, cudaStream_t stream, FfnPart part) {
  const GroupedFfnArguments& a = plan.arguments;
  const FfnVariant& variant = *variant_at(a.shape.type, plan.variant);
  const FfnWorkspace workspace = ffn_workspace(a);
  const auto divide_up = [](int value, int by) { return (value + by - 1) / by; };
  const int rows = variant.weight_rows * variant.cluster;
  FfnKernelArguments kernel_arguments{a.offsets,
                                      workspace.counters,
                                      workspace.activations,
                                      static_cast<__nv_bfloat16*>(a.output),
                                      a.gate_up_scales,
                                      a.down_scales,
                                      workspace.activation_scales,
                                      token_scale_stride(a.max_rows),
                                      a.shape.experts,
                                      a.shape.hidden,
                                      a.shape.intermediate,
                                      static_cast<int>(part),
                                      divide_up(a.shape.hidden, variant.depth),
                                      divide_up(a.shape.intermediate, variant.depth),
                                      divide_up(a.shape.intermediate, rows / 2),
                                      divide_up(a.shape.hidden, rows),
                                      a.shape.hidden / a.shape.intermediate};
  cudaLaunchAttribute attributes[2] = {};
  const cudaLaunchConfig_t configuration = ffn_launch_configuration(plan, variant, stream, attributes);
  // The launch copies the parameters; it wants them writable, not written.
  void* parameters[2] = {const_cast<unsigned char(*)[128]>(plan.tensor_maps), &kernel_arguments};
  return cudaLaunchKernelExC(&configuration, variant.kernel, parameters);
}

}  // namespace gem::kernels
