#include "device/cuda/cuda_moe_device.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/bf16.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "device/device_kind.hpp"
#include "kernels/quantise.hpp"
#include "kernels/random_values.hpp"
#include "kernels/spin.hpp"
#include "model/load_trace.hpp"
#include "platform/gpu/prefill_attention.hpp"
#include "platform/host/host_info.hpp"

namespace gem {
namespace {

constexpr std::size_t tile_sizes[] = {16, 32, 64, 128, 256};
static_assert(cuda_fp8_multiple == kernels::kScaleBlock);

kernels::FfnType ffn_type(WeightType type) {
  return type == WeightType::Fp8 ? kernels::FfnType::fp8 : kernels::FfnType::bf16;
}

int attribute(cudaDeviceAttr which) {
  int device = 0, value = 0;
  check_cuda(cudaGetDevice(&device), "asking for the current GPU");
  check_cuda(cudaDeviceGetAttribute(&value, which, device), "asking for a property of the GPU");
  return value;
}

std::string uuid_text(const cudaUUID_t& uuid) {
  std::string text = "GPU-";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += "-";
    text += fmt::format("{:02x}", static_cast<unsigned>(static_cast<unsigned char>(uuid.bytes[i])));
  }
  return text;
}

// A 32-bit seed from what an expert's weights may depend on (a mix of Knuth's constants).
std::uint32_t weight_seed(std::uint64_t seed, std::size_t layer, std::int32_t expert, std::uint64_t matrix) {
  std::uint64_t key = seed;
  for (const std::uint64_t part : {static_cast<std::uint64_t>(layer), static_cast<std::uint64_t>(expert), matrix})
    key = (key ^ (part + 0x9e3779b97f4a7c15ull)) * 0xd1342543de82ef95ull;
  return static_cast<std::uint32_t>(key >> 32);
}

// Mean rows of the experts that have any, in whole tiles: chooses among the kernels of a tile by what latency is a
// function of.
double whole_tile_tokens_per_expert(std::span<const std::uint32_t> tokens_per_slot, std::size_t tile_tokens) {
  std::size_t tiles = 0, active_experts = 0;
  for (std::uint32_t tokens : tokens_per_slot) {
    tiles += tiles_of(tokens, static_cast<std::uint32_t>(tile_tokens));
    active_experts += tokens > 0 ? 1 : 0;
  }
  return static_cast<double>(tiles * tile_tokens) / static_cast<double>(active_experts);
}

}  // namespace

bool cuda_runs_prefill_attention() {
  return has_prefill_attention();
}

bool cuda_is_built() {
  return true;
}

CudaMoeDevice::CudaMoeDevice(const CudaDeviceOptions& options)
    : options_(options), uuid_(select_gpu(options)), nvml_(uuid_) {
  const bool fp8 = options.weight_type == WeightType::Fp8;
  if (options.weight_type == WeightType::F32)
    throw option_error(option_name(&DeviceOptions::asked_weight_type),
                       "{} f32: the cuda device computes in bf16 or fp8; choose one of them",
                       option_name(&DeviceOptions::asked_weight_type));
  set_slowdown(options.slowdown);
  if (std::ranges::find(tile_sizes, options.tile_tokens) == std::end(tile_sizes) ||
      (fp8 && options.tile_tokens > cuda_fp8_largest_tile))
    throw option_error(option_name(&DeviceOptions::tile_tokens),
                       "{} {}: the kernels have tiles of 16, 32, 64, 128 and, in bf16, 256", options.tile_tokens);
  const std::size_t multiple = fp8 ? cuda_fp8_multiple : 8;
  if (options.expert.hidden_size % multiple != 0 || options.expert.intermediate_size % multiple != 0)
    throw UsageError(fmt::format("experts of {}x{}: the kernels need sizes that are multiples of {} in {}",
                                 options.expert.hidden_size, options.expert.intermediate_size, multiple,
                                 word_of(options.weight_type)));
}

std::string CudaMoeDevice::select_gpu(const CudaDeviceOptions& options) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0)
    throw SystemError(fmt::format("no usable GPU on {}: {}; choose host or simulated devices, or look at nvidia-smi",
                                  host_name(), cudaGetErrorString(status)));
  // One visible GPU: the scheduler (or the user) has chosen it for this rank.
  check_cuda(cudaSetDevice(options.node_rank % count), "choosing a GPU");
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, options.node_rank % count), "asking for the GPU's properties");
  return uuid_text(properties.uuid);
}

DeviceDescription CudaMoeDevice::description() const {
  int device = 0;
  cudaDeviceProp properties{};
  check_cuda(cudaGetDevice(&device), "asking for the current GPU");
  check_cuda(cudaGetDeviceProperties(&properties, device), "asking for the GPU's properties");
  std::string name = properties.name;
  if (const char* share = std::getenv("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"); share != nullptr)
    name += fmt::format(" (emulated: {} multiprocessors, {} %)", attribute(cudaDevAttrMultiProcessorCount), share);
  if (options_.slowdown > 1.0) name += fmt::format(" (emulated x{:.2f})", options_.slowdown);
  return {kind().name, name, host_name(), uuid_, options_.rank, options_.slowdown};
}

kernels::GroupedFfnShape CudaMoeDevice::ffn_shape(std::size_t experts) const {
  return {static_cast<int>(experts), static_cast<int>(options_.expert.hidden_size),
          static_cast<int>(options_.expert.intermediate_size), ffn_type(options_.weight_type)};
}

void CudaMoeDevice::set_slowdown(double slowdown) {
  if (!(slowdown >= 1.0))
    throw option_error(option_name(&DeviceOptions::slowdown),
                       "{} {:g}: a device can be slowed down, by 1 or more, not sped up", slowdown);
  options_.slowdown = slowdown;
}

std::size_t CudaMoeDevice::weight_bytes() const {
  return options_.expert.weight_count() * bytes_of(options_.weight_type);
}

void CudaMoeDevice::require_memory(std::size_t bytes, const char* what) const {
  std::size_t free_bytes = 0, total_bytes = 0;
  check_cuda(cudaMemGetInfo(&free_bytes, &total_bytes), "asking for free memory");
  // Some is left for the libraries (NCCL's buffers, the contexts of ranks that share the GPU).
  constexpr std::size_t reserve_bytes = std::size_t{256} << 20;
  if (bytes + reserve_bytes > free_bytes)
    throw SystemError(
        fmt::format("{} of rank {} needs {} of GPU memory, but {} of {} is free; use fewer layers, experts or tokens",
                    what, options_.rank, format_bytes(static_cast<double>(bytes)),
                    format_bytes(static_cast<double>(free_bytes)), format_bytes(static_cast<double>(total_bytes))));
}

CudaMoeDevice::Layer CudaMoeDevice::make_layer(std::size_t slots) const {
  require_memory(slots * weight_bytes(), "a layer's weights");
  const std::size_t hidden = options_.expert.hidden_size, intermediate = options_.expert.intermediate_size;
  const kernels::FfnType type = ffn_shape(slots).type;
  return {std::vector<ExpertId>(slots, ExpertId{-1}), GpuExpertMatrix(type, slots, 2 * intermediate, hidden),
          GpuExpertMatrix(type, slots, hidden, intermediate)};
}

std::size_t CudaMoeDevice::Layer::slot_of(ExpertId expert) const {
  return static_cast<std::size_t>(std::ranges::find(experts, expert) - experts.begin());
}

std::vector<std::span<std::byte>> CudaMoeDevice::Layer::pieces(std::size_t slot) {
  std::vector<std::span<std::byte>> pieces = gate_up.pieces(slot);
  for (const std::span<std::byte> piece : down.pieces(slot)) pieces.push_back(piece);
  return pieces;
}

PlacementCost CudaMoeDevice::place_experts(std::size_t layer, std::span<const ExpertId> experts) {
  Layer old = std::move(layers_[layer]);
  Layer& placed = layers_[layer] = make_layer(experts.size());
  placed.experts.assign(experts.begin(), experts.end());
  const std::size_t weight_layer = options_.weight_layers > 0 ? layer % options_.weight_layers : layer;
  PlacementCost cost;
  begin_.record(stream_);
  for (std::size_t slot = 0; slot < experts.size(); ++slot) {
    const std::size_t from = old.slot_of(experts[slot]);
    if (from < old.experts.size()) {
      placed.gate_up.copy(slot, old.gate_up, from, stream_);
      placed.down.copy(slot, old.down, from, stream_);
      continue;
    }
    const std::int32_t expert = experts[slot].value;
    placed.gate_up.fill(slot, weight_seed(options_.seed, weight_layer, expert, 0), scratch_, stream_);
    placed.down.fill(slot, weight_seed(options_.seed, weight_layer, expert, 1), scratch_, stream_);
    cost.moved_bytes += weight_bytes();
  }
  end_.record(stream_);
  stream_.synchronize();  // before the old weights are freed
  cost.elapsed_s = end_.seconds_since(begin_);
  return cost;
}

std::vector<std::span<std::byte>> CudaMoeDevice::expert_pieces(std::size_t layer, ExpertId expert) {
  Layer& held = layers_.at(layer);
  return held.pieces(held.slot_of(expert));
}

std::vector<std::span<std::byte>> CudaMoeDevice::spare_pieces(std::size_t place) {
  return spares_.at(place).pieces(0);
}

std::size_t CudaMoeDevice::expert_bytes() const {
  return weight_bytes() + GpuExpertMatrix::scale_bytes(ffn_shape(1).type, options_.expert.weight_count());
}

void CudaMoeDevice::read_expert(std::size_t layer, ExpertId expert, std::span<std::byte> bytes) {
  for (const std::span<std::byte> piece : expert_pieces(layer, expert)) {
    check_cuda(cudaMemcpyAsync(bytes.data(), piece.data(), piece.size(), cudaMemcpyDeviceToHost, stream_.handle()),
               "copying weights from the GPU");
    bytes = bytes.subspan(piece.size());
  }
  stream_.synchronize();
}

void CudaMoeDevice::reserve_spares(std::size_t count) {
  while (spares_.size() < count) spares_.push_back(make_layer(1));
}

void CudaMoeDevice::write_spare(std::size_t place, std::span<const std::byte> bytes) {
  for (const std::span<std::byte> piece : spare_pieces(place)) {
    check_cuda(cudaMemcpyAsync(piece.data(), bytes.data(), piece.size(), cudaMemcpyHostToDevice, stream_.handle()),
               "copying weights to the GPU");
    bytes = bytes.subspan(piece.size());
  }
  stream_.synchronize();
}

void CudaMoeDevice::replace(std::size_t layer, ExpertId leaving, ExpertId arriving, std::size_t place) {
  Layer& changed = layers_.at(layer);
  const Layer& arrived = spares_.at(place);
  const std::size_t slot = changed.slot_of(leaving);
  changed.gate_up.copy(slot, arrived.gate_up, 0, stream_);
  changed.down.copy(slot, arrived.down, 0, stream_);
  changed.experts[slot] = arriving;
  stream_.synchronize();  // before the spare place takes another
}

std::size_t CudaMoeDevice::room_for(std::size_t rows) const {
  // The last tile may be nearly empty. Copies that reach beyond the room are slow: one token in a tile of 128 took 221
  // us instead of 165 (Mixtral's expert, H100). Engines have room, because their buffers are made for the largest step.
  return rows + options_.tile_tokens;
}

void CudaMoeDevice::reserve_rows(std::size_t rows) {
  const std::size_t hidden = options_.expert.hidden_size;
  if (room_for(rows) * hidden <= output_.size()) return;
  // Half as much again, so that growing loads don't allocate each time.
  const std::size_t room = room_for(rows + rows / 2);
  const kernels::GroupedFfnShape shape = ffn_shape(kernels::kMostFfnExperts);
  const std::size_t workspace_bytes = kernels::grouped_ffn_workspace_bytes(shape, static_cast<std::int64_t>(room));
  const bool fp8 = shape.type == kernels::FfnType::fp8;
  const std::size_t quantised_bytes = fp8 ? room * hidden : 0;
  const auto stride = static_cast<std::size_t>(kernels::token_scale_stride(static_cast<std::int64_t>(room)));
  const std::size_t scale_count = fp8 ? stride * (hidden / kernels::kScaleBlock) : 0;
  require_memory(
      3 * room * hidden * sizeof(std::uint16_t) + quantised_bytes + scale_count * sizeof(float) + workspace_bytes,
      "a layer's rows");
  stream_.synchronize();
  random_rows_ = DeviceBuffer<std::uint16_t>(room * hidden);
  input_ = DeviceBuffer<std::uint16_t>(room * hidden);
  output_ = DeviceBuffer<std::uint16_t>(room * hidden);
  workspace_ = DeviceBuffer<unsigned char>(workspace_bytes);
  quantised_rows_ = DeviceBuffer<unsigned char>(quantised_bytes);
  row_scales_ = DeviceBuffer<float>(scale_count);
  // Uniform in [-sqrt 3, sqrt 3): variance 1.
  check_cuda(kernels::launch_random_bf16(random_rows_.data(), room * hidden, 1.7320508f,
                                         weight_seed(options_.seed, 0, -1, 2), stream_.handle()),
             "making rows");
}

kernels::GroupedFfnPlan CudaMoeDevice::plan_experts(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot,
                                                    const void* input, void* output) {
  const auto found = layers_.find(layer);
  if (found == layers_.end() || found->second.experts.size() != tokens_per_slot.size())
    throw SystemError(fmt::format("layer {}: {} slots were asked for, but other experts are resident", layer,
                                  tokens_per_slot.size()));
  std::vector<std::int32_t> offsets{0};
  for (const std::uint32_t tokens : tokens_per_slot)
    offsets.push_back(offsets.back() + static_cast<std::int32_t>(tokens));
  offsets_.upload(offsets, stream_.handle());

  kernels::GroupedFfnArguments arguments;
  arguments.shape = ffn_shape(tokens_per_slot.size());
  arguments.gate_up = found->second.gate_up.values();
  arguments.gate_up_scales = found->second.gate_up.scales();
  arguments.down = found->second.down.values();
  arguments.down_scales = found->second.down.scales();
  arguments.input = input;
  arguments.offsets = offsets_.data();
  arguments.output = output;
  arguments.workspace = workspace_.data();
  arguments.max_rows = static_cast<std::int64_t>(room_for(static_cast<std::size_t>(offsets.back())));
  arguments.tile_tokens = static_cast<int>(options_.tile_tokens);
  arguments.tokens_per_expert = whole_tile_tokens_per_expert(tokens_per_slot, options_.tile_tokens);
  if (arguments.shape.type == kernels::FfnType::fp8) {
    check_cuda(kernels::launch_quantise_rows(input, offsets.back(), arguments.shape.hidden, quantised_rows_.data(),
                                             row_scales_.data(), kernels::token_scale_stride(arguments.max_rows),
                                             stream_.handle()),
               "quantising rows");
    arguments.input = quantised_rows_.data();
    arguments.input_scales = row_scales_.data();
  }
  kernels::GroupedFfnPlan plan;
  check_cuda(kernels::make_grouped_ffn_plan(arguments, &plan, stream_.handle()), "planning the experts' kernel");
  return plan;
}

double CudaMoeDevice::time_experts(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot, const void* input,
                                   void* output) {
  if (row_count(tokens_per_slot) == 0) return 0.0;
  const kernels::GroupedFfnPlan plan = plan_experts(layer, tokens_per_slot, input, output);
  const double own_s = timer_.seconds(
      stream_, [&] { check_cuda(kernels::launch_grouped_ffn(plan, stream_.handle()), "running the experts"); });
  if (options_.slowdown <= 1.0) return own_s;
  const double extra_s = (options_.slowdown - 1.0) * own_s;
  check_cuda(kernels::launch_spin(static_cast<std::int64_t>(extra_s * 1e9), stream_.handle()), "emulating a slowdown");
  stream_.synchronize();
  return own_s + extra_s;
}

double CudaMoeDevice::time_layer(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot) {
  reserve_rows(row_count(tokens_per_slot));
  return time_experts(layer, tokens_per_slot, random_rows_.data(), output_.data());
}

void CudaMoeDevice::keep_busy(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot, std::size_t launches) {
  const std::size_t rows = row_count(tokens_per_slot);
  if (rows == 0 || launches == 0) return;
  reserve_rows(rows);
  const kernels::GroupedFfnPlan plan = plan_experts(layer, tokens_per_slot, random_rows_.data(), output_.data());
  for (std::size_t i = 0; i < launches; ++i)
    check_cuda(kernels::launch_grouped_ffn(plan, stream_.handle()), "keeping the GPU busy");
}

double CudaMoeDevice::compute_rows(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot, const void* input,
                                   void* output) {
  reserve_rows(row_count(tokens_per_slot));
  return time_experts(layer, tokens_per_slot, input, output);
}

double CudaMoeDevice::compute(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot,
                              std::span<const float> input, std::span<float> output) {
  reserve_rows(input.size() / options_.expert.hidden_size);
  std::vector<std::uint16_t> converted(input.size());
  std::transform(input.begin(), input.end(), converted.begin(), to_bf16);
  check_cuda(cudaMemcpyAsync(input_.data(), converted.data(), converted.size() * sizeof(std::uint16_t),
                             cudaMemcpyHostToDevice, stream_.handle()),
             "copying rows to the GPU");
  const double seconds = time_experts(layer, tokens_per_slot, input_.data(), output_.data());
  check_cuda(cudaMemcpyAsync(converted.data(), output_.data(), converted.size() * sizeof(std::uint16_t),
                             cudaMemcpyDeviceToHost, stream_.handle()),
             "copying rows from the GPU");
  stream_.synchronize();
  std::transform(converted.begin(), converted.end(), output.begin(), from_bf16);
  return seconds;
}

Telemetry CudaMoeDevice::telemetry() {
  const GpuState state = nvml_.state();
  return {state.sm_clock_hz, state.power_w, state.temperature_c, state.throttle_reasons};
}

std::size_t cuda_tile_tokens(double tokens_per_expert, WeightType weight_type) {
  return static_cast<std::size_t>(kernels::choose_tile_tokens(tokens_per_expert, ffn_type(weight_type)));
}

std::unique_ptr<MoeDevice> make_cuda_device(const CudaDeviceOptions& options) {
  return std::make_unique<CudaMoeDevice>(options);
}

}  // namespace gem
