#include <deque>

#include "adaptation/expert_mover.hpp"
#include "platform/mpi/transfers.hpp"

namespace gem {
namespace {

class MpiExpertMover : public ExpertMover {
 public:
  MpiExpertMover(const Communicator& ranks, MoeDevice& device)
      : device_(*device.moves_experts()), rank_(ranks.rank()), transfers_(ranks) {}

  void begin(std::size_t device_layer, const MoveBatch& batch) override {
    for (const ExpertTransfer& transfer : batch.transfers) {
      if (transfer.from == rank_) {
        std::vector<std::byte>& bytes = buffers_.emplace_back(device_.expert_bytes());
        device_.read_expert(device_layer, ExpertId{transfer.expert}, bytes);
        transfers_.send(transfer.to, bytes);
      } else if (transfer.to == rank_) {
        arrivals_.push_back({transfer.place, std::vector<std::byte>(device_.expert_bytes())});
        transfers_.receive(transfer.from, arrivals_.back().bytes);
      }
    }
  }

  void advance() override { transfers_.advance(); }

  void wait() override {
    transfers_.wait();
    for (const Arrival& arrival : arrivals_) device_.write_spare(arrival.place, arrival.bytes);
    arrivals_.clear();
    buffers_.clear();
  }

 private:
  struct Arrival {
    std::size_t place;
    std::vector<std::byte> bytes;
  };

  MovesExperts& device_;
  int rank_;
  // Deques: what is being sent must not move.
  std::deque<std::vector<std::byte>> buffers_;
  std::deque<Arrival> arrivals_;
  Transfers transfers_;
};

}  // namespace

std::unique_ptr<ExpertMover> make_mpi_expert_mover(const Communicator& ranks, MoeDevice& device) {
  return std::make_unique<MpiExpertMover>(ranks, device);
}

}  // namespace gem
