#pragma once

#include <vector>

#include "device/moe_device.hpp"
#include "platform/mpi/mpi.hpp"
#include "platform/mpi/turns.hpp"
#include "verification/expert_parallel_layer.hpp"

namespace gem {

/// An expert-parallel layer whose rows travel by MPI from and to host memory, with any device that computes.
class MpiExpertLayer : public ExpertParallelLayer {
 public:
  /// `turns`: whether the ranks' devices compute at once or one after the other.
  MpiExpertLayer(Communicator communicator, MoeDevice& device, std::size_t hidden_size, Turns turns);

  void prepare(std::size_t layer, const TokenRoutes& routes, std::span<const std::int32_t> resident) override;
  LayerTimes run() override;
  std::uint64_t count_wrong(std::uint64_t& checked) override;
  double copy_experts(const ExpertTransfers& transfers, std::size_t expert_bytes) override;
  std::vector<float> outputs() override { return outputs_; }

 private:
  void dispatch();
  void combine(std::span<const float> pair_weight);

  Communicator communicator_;
  MoeDevice& device_;
  std::size_t hidden_size_;
  Turns turns_;
  std::size_t layer_ = 0;
  TokenRoutes routes_;
  std::vector<std::uint32_t> tokens_per_slot_;
  std::vector<std::uint32_t> copies_;  // [local token] experts that get it
  std::vector<float> home_rows_;       // [local token, hidden]; grows, its values never change
  std::vector<float> sent_rows_;       // [sent row, hidden]
  std::vector<float> received_rows_;   // [received row, hidden]
  std::vector<float> expert_rows_;     // [expert row, hidden]
  std::vector<float> expert_outputs_;  // [expert row, hidden]
  std::vector<float> outputs_;         // [local token, hidden]
  std::vector<float> sent_experts_, received_experts_;
};

}  // namespace gem
