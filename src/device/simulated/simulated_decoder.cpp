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
    const std::size_t cached = work_.tokens * work_.model.decoder.seen_tokens(work_.context, layer_id);
    const auto elements = static_cast<double>(cached * work_.model.decoder.cached_per_token());
    return launch_s + elements * element_bytes / model.weight_bytes_per_s;
  }
  double seconds = begins_with_norm(part) ? launch_s : 0.0;
  for (const MatrixProduct& product : products_of(work_.model, part, work_.tokens)) {
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
