#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "cost/cost_model.hpp"
#include "device/moe_device.hpp"
#include "model/expert_copies.hpp"
#include "model/load_trace.hpp"
#include "model/mapping.hpp"
#include "platform/mpi/mpi.hpp"
#include "platform/mpi/turns.hpp"
#include "verification/expert_parallel_layer.hpp"
#include "verification/report.hpp"
#include "verification/step_decoders.hpp"
#include "verification/step_homes.hpp"

namespace gem {

struct ReplayOptions {
  std::size_t rounds = 3;         ///< each (step, layer, mapping, device) is measured so often; the median counts
  std::size_t checked_steps = 2;  ///< steps whose data and outputs are checked before anything is timed
  std::uint64_t seed = 1;         ///< order of the mappings within a step
  bool whole_step = false;        ///< what isn't MoE layers is replayed, too, and the force-balanced steps
  std::vector<RunTimeOptions> decided{};  ///< [mapping], or empty: what isn't as the mapping says
  CopyPrice copy_price{};                 ///< of experts that are copied in steps
  // For the force-balanced steps; needed for whole steps alone.
  std::vector<double> speeds{};    ///< [device] relative
  std::vector<double> shared_s{};  ///< [device] of its shared experts in a layer; empty where unknown or none
  LoadRules rules{LoadRule{}};     ///< tiles of the experts' kernel
};

/// What experts that are copied in a step take a device.
struct CopyRun {
  double there_s = 0.0;  ///< until its own are there and away
  double home_s = 0.0;   ///< compute of the experts that it has at home alone
};

/// What a replay runs on. All ranks call the same functions in the same order.
class ReplayTarget {
 public:
  virtual ~ReplayTarget() = default;
  /// Devices of the whole job, and of this rank.
  virtual std::size_t device_count() const = 0;
  virtual std::size_t local_device_count() const = 0;
  /// Makes resident what any of the mappings needs and no more; only what isn't there yet is made. Returns the seconds
  /// that the slowest device took, NaN on a virtual clock. homes: [mapping][layer].
  virtual double place(const std::vector<std::vector<ExpertHomes>>& homes) = 0;
  /// Runs one layer of one step under one placement; writes the times of this rank's devices.
  virtual void run(std::size_t layer, std::span<const std::uint32_t> counts, const ExpertHomes& homes,
                   std::span<LayerTimes> times) = 0;
  /// Copies experts as the shares of a step say, and computes what is at home alone: what it takes each of this rank's
  /// devices. `there_s` [device] as predicted, which devices on a virtual clock take for true. After `run` of the same
  /// layer.
  virtual void copy_experts(std::size_t layer, std::span<const ExpertShare> shares, std::span<const double> there_s,
                            std::span<CopyRun> copies) = 0;
  /// Runs what follows the last layer of a step, see tail_parts; the times' parts alone are written.
  virtual void run_tail(std::span<LayerTimes> times) = 0;
  /// Checks the data path of one layer of one step under each placement into the mappings' replays (on rank 0).
  virtual void check(std::size_t layer, std::span<const std::uint32_t> counts, const std::vector<ExpertHomes>& homes,
                     std::vector<MappingReplay>& replays) = 0;
};

struct ExchangeOptions {
  std::size_t hidden_size = 0;
  std::size_t top_k = 0;
  std::size_t expert_bytes = 0;
  bool compute_only = false;  ///< the exchange is checked, but only the experts' compute is run and timed
};

/// Real arithmetic and exchange, one device a rank; `layer` runs on `device`, and may be null where only compute is
/// timed and nothing checked. `turns` orders what is run compute-only.
std::unique_ptr<ReplayTarget> make_exchange_target(Communicator communicator, MoeDevice& device,
                                                   std::unique_ptr<ExpertParallelLayer> layer, Turns turns,
                                                   const ExchangeOptions& options, StepDecoders decoders = {});

/// Devices on a virtual clock, any number a rank: device i of rank r has number (devices of lower ranks) + i.
std::unique_ptr<ReplayTarget> make_clock_target(Communicator communicator,
                                                const std::vector<std::unique_ptr<MoeDevice>>& devices,
                                                StepDecoders decoders = {});

/// Called after each step of each round: how many of how many are done.
using ReplayProgress = std::function<void(std::size_t done, std::size_t total)>;

/// Replays every step of `trace` under every mapping, interleaved in random order step by step, so that drift hits all
/// alike; layers follow each other as in serving. Mappings must cover the trace's layers (matched by layer id).
/// The report is complete on rank 0; its notes are left to the caller. What devices take is predicted by
/// `model`.
VerificationReport replay(const Communicator& communicator, ReplayTarget& target, const LoadTrace& trace,
                          const std::vector<Mapping>& mappings, const CostModel& model, const ReplayOptions& options,
                          const ReplayProgress& progress);

/// [layer] the mapping's homes for each layer of the trace; DataError naming the layer that the mapping lacks.
std::vector<ExpertHomes> homes_for(const Mapping& mapping, const LoadTrace& trace);

}  // namespace gem
