#include <algorithm>
#include <cmath>
#include <limits>

#include "device/device_kind.hpp"
#include "verification/mpi_expert_layer.hpp"
#include "verification/replay.hpp"

namespace gem {
namespace {

class ExchangeTarget : public ReplayTarget {
 public:
  ExchangeTarget(Communicator communicator, MoeDevice& device, std::unique_ptr<ExpertParallelLayer> layer, Turns turns,
                 const ExchangeOptions& options, StepDecoders decoders)
      : communicator_(communicator),
        device_(device),
        layer_(std::move(layer)),
        turns_(turns),
        options_(options),
        decoders_(std::move(decoders)) {}

  std::size_t device_count() const override { return static_cast<std::size_t>(communicator_.size()); }
  std::size_t local_device_count() const override { return 1; }

  double place(const std::vector<std::vector<ExpertHomes>>& homes) override {
    resident_.assign(homes.front().size(), {});
    double own_s = 0.0;
    communicator_.on_all([&] {
      for (std::size_t layer = 0; layer < resident_.size(); ++layer) {
        const std::size_t experts = homes.front()[layer].expert_count();
        for (std::size_t expert = 0; expert < experts; ++expert)
          if (std::ranges::any_of(homes, [&](const std::vector<ExpertHomes>& mapping) {
                const auto devices = mapping[layer].of(expert);
                return std::ranges::find(devices, communicator_.rank()) != devices.end();
              }))
            resident_[layer].push_back(static_cast<std::int32_t>(expert));
        own_s += place_layer(layer, resident_[layer]);
      }
    });
    // Where nothing is handed out, nothing is loaded either.
    return device_.kind().has_outputs ? communicator_.max(own_s) : std::numeric_limits<double>::quiet_NaN();
  }

  void run(std::size_t layer, std::span<const std::uint32_t> counts, const ExpertHomes& homes,
           std::span<LayerTimes> times) override {
    const TokenRoutes rank_routes = routes(counts, homes);
    if (options_.compute_only) {
      times[0] = time_compute(layer, rank_routes);
    } else {
      layer_->prepare(layer, rank_routes, resident_[layer]);
      device_.keep_busy(layer, tokens_per_slot(rank_routes, resident_[layer]), busy_launches_);
      StepPartTimes parts{};
      time_parts(layer, attention_parts, parts);
      times[0] = layer_->run();
      time_parts(layer, shared_part, parts);
      times[0].parts = parts;
    }
    // The next load is about as long.
    if (times[0].compute_s > 0.0) busy_launches_ = static_cast<std::size_t>(std::ceil(min_busy_s / times[0].compute_s));
  }

  void copy_experts(std::size_t layer, std::span<const ExpertShare> shares, std::span<const double>,
                    std::span<CopyRun> copies) override {
    const auto rank = static_cast<std::size_t>(communicator_.rank());
    const auto ranks = static_cast<std::size_t>(communicator_.size());
    copies[0].there_s = layer_->copy_experts(transfers_of(shares, rank, ranks), options_.expert_bytes);
    std::vector<std::uint32_t> tokens(resident_[layer].size(), 0);
    for (const ExpertShare& share : at_home(shares))
      if (share.device == communicator_.rank())
        tokens[static_cast<std::size_t>(std::ranges::lower_bound(resident_[layer], share.expert) -
                                        resident_[layer].begin())] += share.tokens;
    turns_.run([&] { copies[0].home_s = row_count(tokens) > 0 ? device_.time_layer(layer, tokens) : 0.0; });
  }

  void run_tail(std::span<LayerTimes> times) override { time_parts(0, tail_parts, times[0].parts); }

  void check(std::size_t layer, std::span<const std::uint32_t> counts, const std::vector<ExpertHomes>& homes,
             std::vector<MappingReplay>& replays) override {
    const std::vector<float> reference = one_rank_outputs(layer, counts);
    for (std::size_t m = 0; m < replays.size(); ++m) {
      const TokenRoutes rank_routes = routes(counts, homes[m]);
      layer_->prepare(layer, rank_routes, resident_[layer]);
      std::uint64_t checked = 0;
      const std::uint64_t wrong = layer_->count_wrong(checked);
      replays[m].wrong_values += communicator_.sum(wrong);
      replays[m].checked_values += communicator_.sum(checked);
      layer_->run();
      replays[m].output_error = std::fmax(replays[m].output_error, relative_error(rank_routes, reference));
    }
  }

 private:
  TokenRoutes routes(std::span<const std::uint32_t> counts, const ExpertHomes& homes) const {
    return routes_of(counts, homes, options_.top_k, static_cast<std::size_t>(communicator_.size()),
                     static_cast<std::size_t>(communicator_.rank()));
  }

  // All devices at once, or in turns.
  void time_parts(std::size_t layer, std::span<const StepPart> parts, StepPartTimes& times) {
    if (decoders_.devices.empty()) return;
    if (!turns_.one_at_a_time()) communicator_.barrier();
    turns_.run([&] { decoders_.time(0, layer, parts, times); });
  }

  LayerTimes time_compute(std::size_t layer, const TokenRoutes& rank_routes) {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    LayerTimes times{nan, nan, nan, nan, {}};
    communicator_.barrier();
    const std::vector<std::uint32_t> tokens = tokens_per_slot(rank_routes, resident_[layer]);
    turns_.run([&] {
      device_.keep_busy(layer, tokens, busy_launches_);
      decoders_.time(0, layer, attention_parts, times.parts);
      times.compute_s = device_.time_layer(layer, tokens);
      decoders_.time(0, layer, shared_part, times.parts);
    });
    return times;
  }

  double place_layer(std::size_t layer, const std::vector<std::int32_t>& experts) {
    std::vector<ExpertId> ids;
    for (std::int32_t expert : experts) ids.push_back({expert});
    return device_.place_experts(layer, ids).elapsed_s;
  }

  // [token, hidden] of all tokens, computed by rank 0's device alone; known to all ranks.
  std::vector<float> one_rank_outputs(std::size_t layer, std::span<const std::uint32_t> counts) {
    std::vector<float> outputs;
    communicator_.on_root([&] {
      std::vector<std::int32_t> all(counts.size());
      for (std::size_t expert = 0; expert < all.size(); ++expert) all[expert] = static_cast<std::int32_t>(expert);
      place_layer(layer, all);
      const std::vector<std::int32_t> one_home(counts.size(), 0);
      MpiExpertLayer alone(Communicator::self(), device_, options_.hidden_size, Turns(Communicator::self(), false));
      alone.prepare(layer, routes_of(counts, ExpertHomes(one_home), options_.top_k, 1, 0), all);
      alone.run();
      outputs = alone.outputs();
      place_layer(layer, resident_[layer]);
    });
    communicator_.broadcast(outputs);
    return outputs;
  }

  // ||out - reference|| / ||reference|| over all tokens of all ranks; infinite if anything is not a number.
  double relative_error(const TokenRoutes& rank_routes, const std::vector<float>& reference) const {
    double difference = 0.0;
    double norm = 0.0;
    const std::vector<float> outputs = layer_->outputs();
    for (std::size_t local = 0; local < rank_routes.home_tokens.size(); ++local)
      for (std::size_t column = 0; column < options_.hidden_size; ++column) {
        const double expected = reference[rank_routes.home_tokens[local] * options_.hidden_size + column];
        const double found = outputs[local * options_.hidden_size + column];
        difference += (found - expected) * (found - expected);
        norm += expected * expected;
      }
    difference = communicator_.sum(difference);
    norm = communicator_.sum(norm);
    if (difference == 0.0) return 0.0;  // a layer without tokens has no norm
    const double error = std::sqrt(difference / norm);
    return std::isfinite(error) ? error : std::numeric_limits<double>::infinity();
  }

  // Work before each timed load, as a GPU has it under the layers before; otherwise it rests while others measure, and
  // its clock rises.
  static constexpr double min_busy_s = 1e-3;

  Communicator communicator_;
  MoeDevice& device_;
  std::unique_ptr<ExpertParallelLayer> layer_;
  Turns turns_;
  ExchangeOptions options_;
  StepDecoders decoders_;
  std::size_t busy_launches_ = 1;
  std::vector<std::vector<std::int32_t>> resident_;  // [layer] experts on this rank, ascending
};

}  // namespace

std::unique_ptr<ReplayTarget> make_exchange_target(Communicator communicator, MoeDevice& device,
                                                   std::unique_ptr<ExpertParallelLayer> layer, Turns turns,
                                                   const ExchangeOptions& options, StepDecoders decoders) {
  return std::make_unique<ExchangeTarget>(communicator, device, std::move(layer), turns, options, std::move(decoders));
}

}  // namespace gem
