#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "device/decoder_device.hpp"
#include "search/run_time_balance.hpp"
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

/// Experts that go from and to one rank, by the other rank.
struct ExpertTransfers {
  std::vector<std::int32_t> sent, received;               ///< experts, ordered by the other rank
  std::vector<std::int32_t> send_counts, receive_counts;  ///< [rank]
};

/// Those of `rank` in a step whose tokens are shared so.
ExpertTransfers transfers_of(std::span<const ExpertShare> shares, std::size_t rank, std::size_t rank_count);

/// What every byte of a copied expert is on its way, so that what arrives can be checked.
constexpr std::uint8_t expert_byte(std::int32_t expert) {
  return static_cast<std::uint8_t>(1 + expert % 251);
}

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

  /// Copies experts of `expert_bytes` each to and from other ranks, timed from a common start: seconds until this
  /// rank's are there and away. Bytes of their size really travel; SystemError where they don't arrive.
  virtual double copy_experts(const ExpertTransfers& transfers, std::size_t expert_bytes) = 0;

  /// [local token, hidden] after run: sum over the token's experts of their output / number of those experts.
  virtual std::vector<float> outputs() = 0;
};

/// Slots' tokens in the order in which the experts are resident.
std::vector<std::uint32_t> tokens_per_slot(const TokenRoutes& routes, std::span<const std::int32_t> resident);

/// [local token] in how many places a token is sent.
std::vector<std::uint32_t> copies_per_token(const TokenRoutes& routes);

}  // namespace gem
