#include "device/simulated/simulated_decoder.hpp"

#include <algorithm>
#include <utility>

namespace gem {
namespace {

constexpr double launch_s = 1e-6;
constexpr double element_bytes = 2.0;  // bf16

std::unique_ptr<MoeDevice> make_ffn(SimulatedDeviceOptions options, const ExpertShape& shape) {
  options.expert = shape;
  options.model.noise = options.model.outlier_probability = 0.0;
  return std::make_unique<SimulatedDevice>(options);
}

}  // namespace

SimulatedDecoder::SimulatedDecoder(const SimulatedDeviceOptions& options, const DecoderWork& work)
    : options_(options), work_(work), ffns_(work, [&](const ExpertShape& shape) { return make_ffn(options, shape); }) {}

double SimulatedDecoder::part_s(std::size_t layer_id, StepPart part) const {
  const SimulationModel& model = options_.model;
  if (!has_part(work_, part)) return 0.0;
  if (part == StepPart::SharedExperts || part == StepPart::DenseFfn) return ffns_.seconds(part);
  if (part == StepPart::Attention) {
    const DecoderShape& shape = work_.model.decoder;
    if (!work_.prefill) {
      const std::size_t cached = work_.tokens * shape.seen_tokens(work_.context, layer_id);
      const auto elements = static_cast<double>(cached * shape.cached_per_token());
      return launch_s + elements * element_bytes / model.weight_bytes_per_s;
    }
    const AttentionHeads heads = attention_heads(shape, true);
    double pairs = 0.0;  // of a token and one that it sees
    for (std::size_t token = 0; token < work_.tokens; ++token)
      pairs += static_cast<double>(shape.seen_tokens(work_.keys_before(token), layer_id));
    const auto sizes = static_cast<double>(heads.key_size + heads.value_size);
    const double arithmetic_s = 2.0 * pairs * static_cast<double>(heads.query_heads) * sizes / model.flops_per_s;
    const auto rows = static_cast<double>(work_.tokens * heads.query_heads + work_.key_count() * heads.kv_heads);
    return launch_s +
           std::max(options_.slowdown * arithmetic_s, rows * sizes * element_bytes / model.weight_bytes_per_s);
  }
  double seconds = begins_with_norm(part) ? launch_s : 0.0;
  for (const MatrixProduct& product : work_.products(part)) {
    const double pairs = static_cast<double>(product.batch * product.columns) * static_cast<double>(product.depth);
    const double rows = static_cast<double>(product.batch * product.rows * (product.columns + product.depth));
    const double arithmetic_s = 2.0 * pairs * static_cast<double>(product.rows) / model.flops_per_s;
    const double reading_s = (pairs + rows) * element_bytes / model.weight_bytes_per_s;
    seconds += launch_s + std::max(options_.slowdown * arithmetic_s, reading_s);
  }
  return seconds;
}

void SimulatedDecoder::time_parts(std::size_t layer_id, std::span<const StepPart> parts, StepPartTimes& times) {
  for (const StepPart part : parts) times[index_of(part)] = part_s(layer_id, part);
}

std::unique_ptr<DecoderDevice> SimulatedDevice::make_decoder(const DecoderWork& work) {
  return std::make_unique<SimulatedDecoder>(options_, work);
}

}  // namespace gem
