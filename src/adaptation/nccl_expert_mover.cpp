#include "adaptation/expert_mover.hpp"
#include "platform/gpu/nccl.hpp"

namespace gem {
namespace {

class NcclExpertMover : public ExpertMover {
 public:
  NcclExpertMover(const Communicator& ranks, MoeDevice& device, double patience_s)
      : device_(*device.on_gpu()), rank_(ranks.rank()), nccl_(ranks, patience_s) {}

  void begin(std::size_t device_layer, const MoveBatch& batch) override {
    std::vector<NcclCommunicator::Piece> sent, received;
    for (const ExpertTransfer& transfer : batch.transfers) {
      if (transfer.from == rank_)
        for (const auto piece : device_.expert_pieces(device_layer, ExpertId{transfer.expert}))
          sent.push_back({transfer.to, piece});
      else if (transfer.to == rank_)
        for (const auto piece : device_.spare_pieces(transfer.place)) received.push_back({transfer.from, piece});
    }
    nccl_.exchange_pieces(sent, received, stream_);
  }

  void wait() override { nccl_.wait(stream_); }

 private:
  ComputesOnGpu& device_;
  int rank_;
  NcclCommunicator nccl_;
  CudaStream stream_;
};

}  // namespace

std::unique_ptr<ExpertMover> make_nccl_expert_mover(const Communicator& ranks, MoeDevice& device, double patience_s) {
  return std::make_unique<NcclExpertMover>(ranks, device, patience_s);
}

}  // namespace gem
