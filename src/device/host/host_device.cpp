#include "device/host/host_device.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "device/device_kind.hpp"
#include "device/host/expert_weights.hpp"
#include "device/host/thread_seconds.hpp"
#include "model/load_trace.hpp"
#include "platform/host/host_info.hpp"

namespace gem {
namespace {

// out = silu(gate) * up, silu(x) = x / (1 + exp(-x)).
void swiglu(std::span<float> gate, std::span<const float> up) {
  for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

}  // namespace

HostDevice::HostDevice(const HostDeviceOptions& options)
    : options_(options),
      gate_product_(options.tile_tokens, options.expert.intermediate_size, options.expert.hidden_size, options.type),
      down_product_(options.tile_tokens, options.expert.hidden_size, options.expert.intermediate_size, options.type) {
  set_slowdown(options.slowdown);
  use_one_gemm_thread();
  const std::size_t activations = options.tile_tokens * options.expert.intermediate_size;
  gate_.resize(activations);
  up_.resize(activations);
  activations_.resize(activations * element_bytes(options.type));
}

DeviceDescription HostDevice::description() const {
  DeviceDescription description;
  description.kind = kind().name;
  description.name = cpu_name() + ", 1 core, " + gemm_library();
  if (options_.slowdown > 1.0) description.name += fmt::format(", emulated x{:.4g}", options_.slowdown);
  description.hostname = host_name();
  description.rank = options_.rank;
  description.emulated_slowdown = options_.slowdown;
  return description;
}

void HostDevice::set_slowdown(double slowdown) {
  if (!(slowdown >= 1.0) || !std::isfinite(slowdown))
    throw UsageError(fmt::format(
        "a slowdown of {:g} cannot be emulated; it is relative to the device as it is, 1 or more", slowdown));
  options_.slowdown = slowdown;
}

std::size_t HostDevice::expert_bytes() const {
  return 2 * gate_product_.packed_bytes() + down_product_.packed_bytes();
}

std::size_t HostDevice::resident_count() const {
  std::size_t count = spares_.size();
  for (const auto& [number, layer] : layers_) count += layer.resident.size();
  return count;
}

HostDevice::Expert HostDevice::make_expert(std::size_t layer, ExpertId expert) {
  const ExpertShape& shape = options_.expert;
  std::vector<float> weights(shape.hidden_size * shape.intermediate_size);
  const std::size_t weight_layer = options_.weight_layers > 0 ? layer % options_.weight_layers : layer;
  const auto filled = [&](ExpertMatrix matrix, std::size_t fan_in) {
    fill_expert_weights(options_.seed, weight_layer, expert, matrix, fan_in, weights);
    return std::span<const float>(weights);
  };
  Gemm::Weights gate = gate_product_.pack(filled(ExpertMatrix::Gate, shape.hidden_size));
  Gemm::Weights up = gate_product_.pack(filled(ExpertMatrix::Up, shape.hidden_size));
  Gemm::Weights down = down_product_.pack(filled(ExpertMatrix::Down, shape.intermediate_size));
  return {std::move(gate), std::move(up), std::move(down)};
}

PlacementCost HostDevice::place_experts(std::size_t layer_index, std::span<const ExpertId> experts) {
  const std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
  Layer& layer = layers_[layer_index];
  layer.slots.assign(experts.begin(), experts.end());
  std::vector<ExpertId> missing;
  for (ExpertId expert : experts)
    if (!layer.resident.contains(expert)) missing.push_back(expert);

  std::erase_if(layer.resident, [&](const auto& entry) { return !std::ranges::count(layer.slots, entry.first); });

  require_memory(resident_count() + missing.size());
  for (ExpertId expert : missing) layer.resident.emplace(expert, make_expert(layer_index, expert));
  return {missing.size() * expert_bytes(),
          std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count()};
}

void HostDevice::require_memory(std::size_t experts) const {
  const auto needed = static_cast<double>(experts * expert_bytes());
  if (needed <= static_cast<double>(options_.memory_limit_bytes)) return;
  throw SystemError(
      fmt::format("rank {}: {} experts of {} each need {}, but {} of memory can be used; place fewer layers, use more "
                  "ranks or shrink the experts ({})",
                  options_.rank, experts, format_bytes(static_cast<double>(expert_bytes())), format_bytes(needed),
                  format_bytes(static_cast<double>(options_.memory_limit_bytes)), spelled("expert-shape")));
}

std::vector<std::span<std::byte>> HostDevice::bytes_of(Expert& expert) const {
  return {gate_product_.bytes_of(expert.gate), gate_product_.bytes_of(expert.up), down_product_.bytes_of(expert.down)};
}

void HostDevice::read_expert(std::size_t layer, ExpertId expert, std::span<std::byte> bytes) {
  for (const std::span<std::byte> piece : bytes_of(layers_.at(layer).resident.at(expert))) {
    std::ranges::copy(piece, bytes.begin());
    bytes = bytes.subspan(piece.size());
  }
}

void HostDevice::reserve_spares(std::size_t count) {
  if (count > spares_.size()) require_memory(resident_count() + count - spares_.size());
  while (spares_.size() < count) spares_.push_back(make_expert(0, ExpertId{0}));  // any, for its memory
}

void HostDevice::write_spare(std::size_t place, std::span<const std::byte> bytes) {
  for (const std::span<std::byte> piece : bytes_of(spares_.at(place))) {
    std::ranges::copy(bytes.first(piece.size()), piece.begin());
    bytes = bytes.subspan(piece.size());
  }
}

void HostDevice::replace(std::size_t layer, ExpertId leaving, ExpertId arriving, std::size_t place) {
  Layer& changed = layers_.at(layer);
  auto node = changed.resident.extract(leaving);
  std::swap(node.mapped(), spares_.at(place));
  node.key() = arriving;
  changed.resident.insert(std::move(node));
  std::ranges::replace(changed.slots, leaving, arriving);
}

const HostDevice::Layer& HostDevice::layer_at(std::size_t layer, std::size_t slot_count) const {
  const auto found = layers_.find(layer);
  const std::size_t slots = found == layers_.end() ? 0 : found->second.slots.size();
  if (found == layers_.end() || slots != slot_count)
    throw DataError(fmt::format("rank {}: layer {} holds {} experts, but a load for {} was given", options_.rank, layer,
                                slots, slot_count));
  return found->second;
}

std::size_t HostDevice::padded_rows(std::span<const std::uint32_t> tokens_per_slot) const {
  std::size_t tiles = 0;
  for (std::uint32_t tokens : tokens_per_slot)
    tiles += tiles_of(tokens, static_cast<std::uint32_t>(options_.tile_tokens));
  return tiles * options_.tile_tokens;
}

void HostDevice::run_tile(const Expert& expert, const std::byte* input, float* output) {
  gate_product_.multiply(input, expert.gate, gate_.data());
  gate_product_.multiply(input, expert.up, up_.data());
  swiglu(gate_, up_);
  store_elements(gate_, options_.type, activations_.data());
  down_product_.multiply(activations_.data(), expert.down, output);
  flops_done_ += 2.0 * gate_product_.flops() + down_product_.flops();
}

double HostDevice::run(const Layer& layer, std::span<const std::uint32_t> tokens_per_slot,
                       std::span<const std::byte> rows) {
  const std::size_t hidden = options_.expert.hidden_size;
  const std::size_t tile_bytes = options_.tile_tokens * hidden * element_bytes(options_.type);
  std::size_t tile = 0;
  const double begin = thread_seconds();
  for (std::size_t slot = 0; slot < tokens_per_slot.size(); ++slot) {
    const std::uint32_t tiles = tiles_of(tokens_per_slot[slot], static_cast<std::uint32_t>(options_.tile_tokens));
    if (tiles == 0) continue;
    const Expert& expert = layer.resident.at(layer.slots[slot]);
    for (std::uint32_t i = 0; i < tiles; ++i, ++tile)
      run_tile(expert, rows.data() + tile * tile_bytes, output_rows_.data() + tile * options_.tile_tokens * hidden);
  }
  own_s_ = thread_seconds() - begin;
  double spent_s = own_s_;
  // More products instead would be warmer or colder in the caches than the experts' own: 1.28 times them took 1.6
  // times.
  while (spent_s < options_.slowdown * own_s_) spent_s = thread_seconds() - begin;
  return spent_s;
}

double HostDevice::compute(std::size_t layer_index, std::span<const std::uint32_t> tokens_per_slot,
                           std::span<const float> input, std::span<float> output) {
  const Layer& layer = layer_at(layer_index, tokens_per_slot.size());
  const std::size_t hidden = options_.expert.hidden_size, row_bytes = hidden * element_bytes(options_.type);
  const std::size_t rows = padded_rows(tokens_per_slot);
  input_rows_.assign(rows * row_bytes, std::byte{0});  // padding rows are zero in both types
  output_rows_.resize(std::max(output_rows_.size(), rows * hidden));

  // Row ranges of the slots: packed in `input` and `output`, starting at a tile in the device's buffers.
  const auto for_each_slot = [&](const auto& visit) {
    std::size_t packed = 0, padded = 0;
    for (std::uint32_t tokens : tokens_per_slot) {
      visit(packed, padded, tokens);
      packed += tokens;
      padded += padded_rows({&tokens, 1});
    }
  };
  for_each_slot([&](std::size_t packed, std::size_t padded, std::size_t tokens) {
    store_elements(input.subspan(packed * hidden, tokens * hidden), options_.type,
                   input_rows_.data() + padded * row_bytes);
  });
  const double elapsed_s = run(layer, tokens_per_slot, input_rows_);
  for_each_slot([&](std::size_t packed, std::size_t padded, std::size_t tokens) {
    std::copy_n(output_rows_.begin() + static_cast<std::ptrdiff_t>(padded * hidden), tokens * hidden,
                output.begin() + static_cast<std::ptrdiff_t>(packed * hidden));
  });
  return elapsed_s;
}

double HostDevice::time_layer(std::size_t layer_index, std::span<const std::uint32_t> tokens_per_slot) {
  const Layer& layer = layer_at(layer_index, tokens_per_slot.size());
  const std::size_t values = padded_rows(tokens_per_slot) * options_.expert.hidden_size;
  if (output_rows_.size() < values) output_rows_.resize(values);
  if (random_rows_.size() < values * element_bytes(options_.type)) {
    std::vector<float> rows(values);
    fill_random_rows(options_.seed, rows);
    random_rows_.resize(values * element_bytes(options_.type));
    store_elements(rows, options_.type, random_rows_.data());
  }
  return run(layer, tokens_per_slot, random_rows_);
}

Telemetry HostDevice::telemetry() {
  return unknown_telemetry();
}

}  // namespace gem
