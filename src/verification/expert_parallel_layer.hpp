#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "device/moe_device.hpp"
#include "platform/mpi.hpp"
#include "platform/turns.hpp"
#include "verification/token_routes.hpp"

namespace gem {

/// Seconds of one rank in one MoE layer of one step.
struct LayerTimes {
  double dispatch_s = 0.0;
  double compute_s = 0.0;
  double combine_s = 0.0;
  double layer_s = 0.0;  ///< from the common start to the last rank's end, the same on all ranks; NaN if in turns
};

/// Element `column` of token `token` in (step, layer): a multiple of 1/8 in [-1, 1], exact in bf16, so that what
/// arrives can be checked to the bit.
float token_value(std::size_t step, std::size_t layer, std::uint32_t token, std::size_t column);

/// One MoE layer in expert parallelism over MPI: dispatch of token rows to the experts' ranks, expert compute, combine
/// with equal routing weights. Collective: all ranks call the same functions in the same order.
class ExpertParallelLayer {
 public:
  /// `turns`: whether the ranks' devices compute at once or one after the other.
  ExpertParallelLayer(Communicator communicator, MoeDevice& device, std::size_t hidden_size, Turns turns);

  /// Prepares rows and buffers of one (step, layer); not timed. `resident` are the experts that this rank's device
  /// holds for `layer`, ascending.
  void prepare(std::size_t step, std::size_t layer, const TokenRoutes& routes, std::span<const std::int32_t> resident);

  /// Dispatch, compute and combine, timed from a barrier.
  LayerTimes run();

  /// Dispatch and combine with experts that return their input; returns how many values were not what they must be on
  /// this rank, and adds how many were looked at to `checked`.
  std::uint64_t count_wrong(std::uint64_t& checked);

  /// [local token, hidden] after run: sum over the token's experts of their output / number of those experts.
  std::span<const float> outputs() const { return outputs_; }

 private:
  void dispatch();
  void combine(std::span<const float> pair_weight);

  Communicator communicator_;
  MoeDevice& device_;
  std::size_t hidden_size_;
  Turns turns_;
  std::size_t step_ = 0;
  std::size_t layer_ = 0;
  TokenRoutes routes_;
  std::vector<std::uint32_t> tokens_per_slot_;
  std::vector<std::uint32_t> pair_count_;  // [local token] experts that got it
  std::vector<float> pair_weight_;         // [local token] 1 / pair_count
  std::vector<float> home_rows_;           // [local token, hidden]
  std::vector<float> sent_rows_;           // [sent row, hidden]
  std::vector<float> received_rows_;       // [received row, hidden]
  std::vector<float> expert_rows_;         // [expert row, hidden]
  std::vector<float> expert_outputs_;      // [expert row, hidden]
  std::vector<float> outputs_;             // [local token, hidden]
};

}  // namespace gem
