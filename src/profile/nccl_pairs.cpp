#include <cstddef>
#include <cstdint>
#include <vector>

#include "device/cuda/gpu_timer.hpp"
#include "platform/gpu/cuda.hpp"
#include "platform/gpu/nccl.hpp"
#include "profile/pair_exchange.hpp"

namespace gem {
namespace {

class NcclPairs : public PairTransport {
 public:
  NcclPairs(const Communicator& ranks, double patience_s)
      : ranks_(ranks), nccl_(ranks, patience_s), rows_(static_cast<std::size_t>(ranks.size())) {}

  const char* name() const override { return "nccl"; }

  double swap(int peer, std::size_t bytes) override {
    sent_.reserve(bytes);
    received_.reserve(bytes);
    std::vector<std::int32_t> rows(rows_, 0);
    rows[static_cast<std::size_t>(peer)] = 1;
    hold_.begin(stream_);
    begin_.record(stream_);
    nccl_.exchange_rows(sent_.data(), rows, received_.data(), rows, bytes, stream_);
    end_.record(stream_);
    std::byte mine{}, peers{};
    ranks_.swap(peer, {&mine, 1}, {&peers, 1});  // both have enqueued it
    hold_.end();
    nccl_.wait(stream_);
    return end_.seconds_since(begin_);
  }

 private:
  Communicator ranks_;
  NcclCommunicator nccl_;
  std::size_t rows_;
  CudaStream stream_;
  StreamHold hold_;
  CudaEvent begin_, end_;
  DeviceBuffer<std::uint8_t> sent_, received_;
};

}  // namespace

std::unique_ptr<PairTransport> make_nccl_pairs(const Communicator& ranks, double patience_s) {
  return std::make_unique<NcclPairs>(ranks, patience_s);
}

}  // namespace gem
