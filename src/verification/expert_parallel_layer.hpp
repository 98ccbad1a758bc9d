#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "device/decoder_device.hpp"
#include "verification/token_routes.hpp"

namespace gem {

/// Seconds of one rank in one MoE layer of one step.
struct LayerTimes {
  double dispatch_s = 0.0;
  double compute_s = 0.0;
  double combine_s = 0.0;
  double layer_s = 0.0;   ///< from the common start to the last rank's end, the same on all ranks; NaN if in turns
  StepPartTimes parts{};  ///< of what of a whole step isn't routed experts and exchange; 0 where it isn't replayed
};

/// Element `column` of token `token`: a multiple of 1/8 in [-1, 1], exact in bf16, so that what arrives can be checked
/// to the bit.
float token_value(std::uint32_t token, std::size_t column);

/// One MoE layer in expert parallelism: dispatch of token rows to the experts' ranks, expert compute, combine with
/// equal routing weights. Collective: all ranks call the same functions in the same order.
class ExpertParallelLayer {
 public:
  virtual ~ExpertParallelLayer() = default;

  /// Prepares rows and buffers of one step of `layer`; not timed. `resident` are the experts that this rank's device
  /// holds for the layer, ascending.
  virtual void prepare(std::size_t layer, const TokenRoutes& routes, std::span<const std::int32_t> resident) = 0;

  /// Dispatch, compute and combine, timed from a common start.
  virtual LayerTimes run() = 0;

  /// Dispatch and combine with experts that return their input; returns how many values were not what they must be on
  /// this rank, and adds how many were looked at to `checked`.
  virtual std::uint64_t count_wrong(std::uint64_t& checked) = 0;

  /// [local token, hidden] after run: sum over the token's experts of their output / number of those experts.
  virtual std::vector<float> outputs() = 0;
};

/// Slots' tokens in the order in which the experts are resident.
std::vector<std::uint32_t> tokens_per_slot(const TokenRoutes& routes, std::span<const std::int32_t> resident);

/// [local token] in how many places a token is sent.
std::vector<std::uint32_t> copies_per_token(const TokenRoutes& routes);

}  // namespace gem
