#include "verification/nccl_expert_layer.hpp"

#include <fmt/core.h>
#include <limits>

#include "base/error.hpp"
#include "base/option.hpp"
#include "device/cuda/gpu_rows.hpp"
#include "device/cuda/gpu_timer.hpp"
#include "platform/gpu/nccl.hpp"

namespace gem {
namespace {

class NcclExpertLayer : public ExpertParallelLayer {
 public:
  NcclExpertLayer(const Communicator& communicator, ComputesOnGpu& device, std::size_t hidden_size, std::size_t top_k,
                  Turns turns, double patience_s)
      : communicator_(communicator),
        device_(device),
        hidden_size_(hidden_size),
        top_k_(top_k),
        turns_(turns),
        nccl_(communicator, patience_s) {}

  void prepare(std::size_t layer, const TokenRoutes& routes, std::span<const std::int32_t> resident) override {
    layer_ = layer;
    routes_ = routes;
    tokens_per_slot_ = tokens_per_slot(routes_, resident);
    copies_ = copies_per_token(routes_);
    fill_home_rows();
    // Where each copy of a token goes among the sent rows, [local token, top_k], -1 where there is none.
    std::vector<std::int32_t> send_map(copies_.size() * top_k_, -1);
    std::vector<std::size_t> used(copies_.size(), 0);
    for (const std::uint32_t row : routes_.sum_order) {
      const std::size_t local = routes_.send_tokens[row];
      send_map[local * top_k_ + used[local]++] = static_cast<std::int32_t>(row);
    }
    const std::vector<std::int32_t> receive_map(routes_.expert_row_of_received.begin(),
                                                routes_.expert_row_of_received.end());
    send_map_.upload(send_map, stream_.handle());
    receive_map_.upload(receive_map, stream_.handle());
    unit_weights_.upload(std::vector<float>(receive_map.size(), 1.0f), stream_.handle());
    upload_weights(mean_weight);
    sent_.reserve(routes_.send_tokens.size(), hidden_size_);
    received_.reserve(receive_map.size(), hidden_size_);
    expert_rows_.reserve(device_.room_for(receive_map.size()), hidden_size_);
    expert_outputs_.reserve(device_.room_for(receive_map.size()), hidden_size_);
    outputs_.reserve(copies_.size(), hidden_size_);
    stream_.synchronize();
  }

  LayerTimes run() override {
    LayerTimes times;
    device_.wait();
    times.dispatch_s = seconds_of([&] { dispatch(); });
    turns_.run([&] {
      times.compute_s = device_.compute_rows(layer_, tokens_per_slot_, expert_rows_.data(), expert_outputs_.data());
    });
    // Waiting for slower ranks must not count as exchange: the second begins when all ranks have enqueued it.
    times.combine_s = seconds_of([&] { combine(); });
    // From the parts, because the compute's timer holds the stream and flushes the cache before it begins.
    times.layer_s = turns_.one_at_a_time()
                        ? std::numeric_limits<double>::quiet_NaN()
                        : communicator_.max(times.dispatch_s + times.compute_s) + communicator_.max(times.combine_s);
    return times;
  }

  std::uint64_t count_wrong(std::uint64_t& checked) override {
    std::uint64_t wrong = 0;
    const auto compare = [&](float found, float expected) {
      wrong += found != expected;  // NaN differs from everything
      ++checked;
    };
    for (GpuRows* rows : {&received_, &expert_rows_, &sent_}) rows->poison(stream_);
    dispatch();
    nccl_.wait(stream_);
    std::vector<float> found = expert_rows_.download(routes_.expert_row_tokens.size(), stream_);
    for (std::size_t i = 0; i < found.size(); ++i)
      compare(found[i], token_value(routes_.expert_row_tokens[i / hidden_size_], i % hidden_size_));

    // Weights of 1 keep sums of few multiples of 1/8 exact: each token must come back as often as it was sent.
    upload_weights([](std::uint32_t) { return 1.0f; });
    expert_outputs_.upload(found, stream_);
    sent_.poison(stream_);
    combine();
    nccl_.wait(stream_);
    found = outputs_.download(copies_.size(), stream_);
    for (std::size_t i = 0; i < found.size(); ++i) {
      const std::size_t local = i / hidden_size_;
      compare(found[i], static_cast<float>(copies_[local]) * token_value(routes_.home_tokens[local], i % hidden_size_));
    }
    upload_weights(mean_weight);
    return wrong;
  }

  double copy_experts(const ExpertTransfers& transfers, std::size_t expert_bytes) override {
    sent_experts_.reserve(transfers.sent.size() * expert_bytes);
    received_experts_.reserve(transfers.received.size() * expert_bytes);
    for (std::size_t i = 0; i < transfers.sent.size(); ++i)
      check_cuda(cudaMemsetAsync(sent_experts_.data() + i * expert_bytes, expert_byte(transfers.sent[i]), expert_bytes,
                                 stream_.handle()),
                 "filling an expert that is copied");
    if (!transfers.received.empty())
      check_cuda(
          cudaMemsetAsync(received_experts_.data(), 0, transfers.received.size() * expert_bytes, stream_.handle()),
          "clearing room for copied experts");
    const double seconds = seconds_of([&] {
      nccl_.exchange_rows(sent_experts_.data(), transfers.send_counts, received_experts_.data(),
                          transfers.receive_counts, expert_bytes, stream_);
    });
    check_copies(transfers.received, expert_bytes);
    return transfers.sent.empty() && transfers.received.empty() ? 0.0 : seconds;
  }

  std::vector<float> outputs() override { return outputs_.download(copies_.size(), stream_); }

 private:
  // All ranks begin at the same moment, with all of it enqueued: NCCL starts a thread for each group of a communicator
  // that doesn't block, which takes as long as a small exchange.
  template <class Enqueue>
  double seconds_of(Enqueue enqueue) {
    hold_.begin(stream_);
    begin_.record(stream_);
    enqueue();
    end_.record(stream_);
    communicator_.barrier();
    hold_.end();
    nccl_.wait(stream_);
    return end_.seconds_since(begin_);
  }

  // The tokens that live on this rank; the buffer grows, its values never change.
  void fill_home_rows() {
    const std::size_t count = routes_.home_tokens.size();
    if (count <= home_count_) return;
    std::vector<float> rows(count * hidden_size_);
    for (std::size_t i = 0; i < rows.size(); ++i)
      rows[i] = token_value(routes_.home_tokens[i / hidden_size_], i % hidden_size_);
    home_.reserve(count, hidden_size_);
    home_.upload(rows, stream_);
    home_count_ = count;
  }

  // The first and the last byte of each.
  void check_copies(const std::vector<std::int32_t>& received, std::size_t expert_bytes) {
    for (std::size_t i = 0; i < received.size(); ++i)
      for (const std::size_t at : {i * expert_bytes, (i + 1) * expert_bytes - 1}) {
        unsigned char byte = 0;
        check_cuda(cudaMemcpy(&byte, received_experts_.data() + at, 1, cudaMemcpyDeviceToHost), "looking at a copy");
        if (byte != expert_byte(received[i]))
          throw SystemError(fmt::format("expert {} was copied, but other bytes arrived", received[i]));
      }
  }

  static float mean_weight(std::uint32_t copies) { return copies > 0 ? 1.0f / static_cast<float>(copies) : 0.0f; }

  template <class WeightOfCopies>
  void upload_weights(WeightOfCopies weight_of) {
    std::vector<float> weights;
    for (const std::uint32_t copies : copies_) weights.insert(weights.end(), top_k_, weight_of(copies));
    weights_.upload(weights, stream_.handle());
  }

  void dispatch() {
    scatter_rows(home_, send_map_, copies_.size(), top_k_, sent_, stream_);
    nccl_.exchange_rows(sent_.data(), routes_.send_counts, received_.data(), routes_.receive_counts, row_bytes(),
                        stream_);
    scatter_rows(received_, receive_map_, routes_.expert_row_of_received.size(), 1, expert_rows_, stream_);
  }

  void combine() {
    gather_rows(expert_outputs_, receive_map_, unit_weights_, routes_.expert_row_of_received.size(), 1, received_,
                stream_);
    nccl_.exchange_rows(received_.data(), routes_.receive_counts, sent_.data(), routes_.send_counts, row_bytes(),
                        stream_);
    gather_rows(sent_, send_map_, weights_, copies_.size(), top_k_, outputs_, stream_);
  }

  std::size_t row_bytes() const { return hidden_size_ * sizeof(std::uint16_t); }

  Communicator communicator_;
  ComputesOnGpu& device_;
  std::size_t hidden_size_;
  std::size_t top_k_;
  Turns turns_;
  NcclCommunicator nccl_;
  CudaStream stream_;
  StreamHold hold_;
  CudaEvent begin_, end_;
  std::size_t layer_ = 0;
  TokenRoutes routes_;
  std::vector<std::uint32_t> tokens_per_slot_;
  std::vector<std::uint32_t> copies_;  // [local token] experts that get it
  DeviceBuffer<std::int32_t> send_map_, receive_map_;
  DeviceBuffer<float> weights_, unit_weights_;
  std::size_t home_count_ = 0;
  DeviceBuffer<unsigned char> sent_experts_, received_experts_;
  GpuRows home_, sent_, received_, expert_rows_, expert_outputs_, outputs_;
};

}  // namespace

std::unique_ptr<ExpertParallelLayer> make_nccl_expert_layer(const Communicator& communicator, MoeDevice& device,
                                                            std::size_t hidden_size, std::size_t top_k, Turns turns,
                                                            double patience_s) {
  ComputesOnGpu* gpu = device.on_gpu();
  communicator.on_all([&] {  // one sentence, not one a rank
    if (gpu == nullptr) throw UsageError(fmt::format("{0} nccl is for GPUs; choose {0} mpi", spelled("transport")));
  });
  return std::make_unique<NcclExpertLayer>(communicator, *gpu, hidden_size, top_k, turns, patience_s);
}

}  // namespace gem
