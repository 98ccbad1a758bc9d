#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "verification/replay.hpp"

namespace gem {
namespace {

class ClockTarget : public ReplayTarget {
 public:
  ClockTarget(Communicator communicator, const std::vector<std::unique_ptr<MoeDevice>>& devices, StepDecoders decoders)
      : devices_(devices), decoders_(std::move(decoders)) {
    const std::vector<std::int32_t> counts = communicator.all_gather(static_cast<std::int32_t>(devices.size()));
    const auto rank = static_cast<std::ptrdiff_t>(communicator.rank());
    first_device_ = std::accumulate(counts.begin(), counts.begin() + rank, 0);
    device_count_ = static_cast<std::size_t>(std::accumulate(counts.begin(), counts.end(), 0));
  }

  std::size_t device_count() const override { return device_count_; }
  std::size_t local_device_count() const override { return devices_.size(); }

  double place(const std::vector<std::vector<ExpertHomes>>& homes) override {
    slot_count_ = homes.front().front().expert_count();
    // Every expert has a slot on every device; a placement decides which slots get tokens.
    for (std::size_t layer = 0; layer < homes.front().size(); ++layer) {
      std::vector<ExpertId> all;
      for (std::size_t expert = 0; expert < homes.front()[layer].expert_count(); ++expert)
        all.push_back({static_cast<std::int32_t>(expert)});
      for (const auto& device : devices_) device->place_experts(layer, all);
    }
    return std::numeric_limits<double>::quiet_NaN();
  }

  void run(std::size_t layer, std::span<const std::uint32_t> counts, const ExpertHomes& homes,
           std::span<LayerTimes> times) override {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    std::vector<std::uint32_t> tokens(counts.size());
    ++run_count_;
    for (std::size_t d = 0; d < devices_.size(); ++d) {
      for (std::size_t expert = 0; expert < counts.size(); ++expert)
        tokens[expert] = homes.tokens_on(first_device_ + static_cast<std::int32_t>(d), expert, counts[expert]);
      devices_[d]->begin_measurement(run_count_);
      times[d] = {nan, devices_[d]->time_layer(layer, tokens), nan, nan, {}};
      decoders_.time(d, layer, attention_parts, times[d].parts);
      decoders_.time(d, layer, shared_part, times[d].parts);
    }
  }

  void copy_experts(std::size_t layer, std::span<const ExpertShare> shares, std::span<const double> there_s,
                    std::span<CopyRun> copies) override {
    for (std::size_t d = 0; d < devices_.size(); ++d) {
      const std::int32_t device = first_device_ + static_cast<std::int32_t>(d);
      std::vector<std::uint32_t> tokens(slot_count_, 0);
      for (const ExpertShare& share : shares)
        if (share.device == device && share.from < 0) tokens[static_cast<std::size_t>(share.expert)] += share.tokens;
      copies[d] = {there_s[static_cast<std::size_t>(device)], devices_[d]->time_layer(layer, tokens)};
    }
  }

  void run_tail(std::span<LayerTimes> times) override {
    for (std::size_t d = 0; d < devices_.size(); ++d) decoders_.time(d, 0, tail_parts, times[d].parts);
  }

  void check(std::size_t, std::span<const std::uint32_t>, const std::vector<ExpertHomes>&,
             std::vector<MappingReplay>&) override {}  // nothing travels

 private:
  const std::vector<std::unique_ptr<MoeDevice>>& devices_;
  StepDecoders decoders_;
  std::size_t slot_count_ = 0;
  std::uint64_t run_count_ = 0;
  std::int32_t first_device_ = 0;
  std::size_t device_count_ = 0;
};

}  // namespace

std::unique_ptr<ReplayTarget> make_clock_target(Communicator communicator,
                                                const std::vector<std::unique_ptr<MoeDevice>>& devices,
                                                StepDecoders decoders) {
  return std::make_unique<ClockTarget>(communicator, devices, std::move(decoders));
}

}  // namespace gem
