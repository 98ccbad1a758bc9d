#include "adaptation/expert_mover.hpp"

#include <vector>

namespace gem {

void connect_ranks(const Communicator& ranks, MoeDevice& device, ExpertMover& mover) {
  if (ranks.size() == 1) return;
  const std::vector<ExpertId> experts{ExpertId{0}};
  ranks.on_all([&] {
    device.place_experts(0, experts);
    device.moves_experts()->reserve_spares(1);
  });
  for (int distance = 1; distance < ranks.size(); ++distance) {
    MoveBatch round;  // each rank sends one and gets one
    for (int from = 0; from < ranks.size(); ++from)
      round.transfers.push_back({experts.front().value, from, (from + distance) % ranks.size(), 0});
    mover.begin(0, round);
    mover.wait();
    ranks.barrier();
  }
}

}  // namespace gem
