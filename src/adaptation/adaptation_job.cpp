#include "adaptation/adaptation_job.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

#include "adaptation/follow_devices.hpp"
#include "base/statistics.hpp"
#include "base/text.hpp"
#include "device/device_factory.hpp"
#include "mapping/remapping.hpp"
#include "verification/mpi_expert_layer.hpp"
#include "verification/nccl_expert_layer.hpp"
#include "verification/replay_job.hpp"
#include "verification/report.hpp"

namespace gem {
namespace {

constexpr std::size_t timed_moves = 5;

// [policy, ...] on rank 0: the row of each policy from the rank that ran it.
template <class T>
void collect_rows(const Communicator& ranks, Matrix<T>& rows) {
  const std::vector<T> all = ranks.gather(std::span<const T>(rows.values()));
  if (!ranks.is_root()) return;
  for (std::size_t p = 0; p < rows.rows(); ++p) {
    const std::size_t rank = p % static_cast<std::size_t>(ranks.size());
    const auto from = all.begin() + static_cast<std::ptrdiff_t>((rank * rows.rows() + p) * rows.columns());
    std::copy_n(from, rows.columns(), rows.row(p).begin());
  }
}

// Only the rank of the judged policy knows what it believed.
void collect_believed(const Communicator& ranks, AdaptationReport& report) {
  const auto policy = std::ranges::find(report.policies, judged_policy) - report.policies.begin();
  const std::vector<double> all = ranks.gather(std::span<const double>(report.believed_slowdown.values()));
  const std::size_t count = report.believed_slowdown.values().size();
  if (ranks.is_root())
    std::copy_n(all.begin() + policy % ranks.size() * static_cast<std::ptrdiff_t>(count), count,
                report.believed_slowdown.values().begin());
}

AdaptationReport run_simulated(const Communicator& ranks, const AdaptationRequest& request,
                               const LatencyProfile& profile, const Drift& drift,
                               const std::function<void(std::size_t done)>& done) {
  AdaptationReport report = follow(profile, drift, request.policies, request.run, done,
                                   {static_cast<std::size_t>(ranks.rank()), static_cast<std::size_t>(ranks.size())});
  collect_rows(ranks, report.step_s);
  collect_rows(ranks, report.pause_s);
  collect_rows(ranks, report.moved);
  collect_believed(ranks, report);
  return report;
}

DeviceOptions devices_of(const AdaptationRequest& request, const LatencyProfile& profile, std::size_t layers) {
  ReplayRequest replay;
  replay.device = request.device;
  replay.share_gpu = request.share_gpu;
  replay.seed = request.policies.seed;
  DeviceOptions devices = replay_devices(replay, profile);
  devices.weight_layers = layers;
  return devices;
}

// Seconds until one expert has gone from rank 0 to rank 1, the median of some; 0 for one rank.
double time_move(const Communicator& ranks, MoeDevice& device, ExpertMover& mover) {
  if (ranks.size() == 1) return 0.0;
  const std::vector<ExpertId> experts{ExpertId{0}};
  ranks.on_all([&] {
    device.place_experts(0, experts);
    device.moves_experts()->reserve_spares(1);
  });
  std::vector<double> seconds;
  for (std::size_t i = 0; i <= timed_moves; ++i) {
    ranks.barrier();
    const auto begin = std::chrono::steady_clock::now();
    mover.begin(0, {0, {{0, 0, 1, 0}}, true});
    mover.wait();
    ranks.barrier();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    if (i > 0) seconds.push_back(ranks.max(elapsed.count()));  // the first connects the ranks
  }
  return median(seconds);
}

// Which devices were made slower on purpose.
std::string device_note(const DeviceOptions& devices, const Drift& drift) {
  const bool drifts = std::ranges::any_of(drift.slowdown.values(), [](double slowdown) { return slowdown != 1.0; });
  std::string note = emulation_note(devices.slowdowns);
  if (drifts) note += note.empty() ? "emulated drift of speed" : ", emulated drift";
  return note;
}

AdaptationReport run_live(const Communicator& ranks, AdaptationRequest request, const LatencyProfile& profile,
                          const Drift& drift, std::optional<double> move_s,
                          const std::function<void(std::size_t done)>& done) {
  const DeviceOptions options = devices_of(request, profile, drift.trace.layer_count());
  const auto rank = static_cast<std::size_t>(ranks.rank());
  ranks.on_all([&] {
    check_device_options(options);
    if (profile.device_count() != static_cast<std::size_t>(ranks.size()))
      throw UsageError(fmt::format(
          "the profile holds {} devices, but this job has {}; start it with one rank a device (mpirun -n "
          "{})",
          profile.device_count(), counted(static_cast<std::size_t>(ranks.size()), "rank"), profile.device_count()));
  });
  const auto devices = make_devices(options, ranks);
  MoeDevice& device = *devices.front();
  const bool by_nccl = request.transport.value_or(device.kind().transport) == RowTransport::Nccl;
  const Turns turns(ranks, request.share_gpu == GpuSharing::Turns);
  const std::size_t hidden_size = profile.expert.hidden_size;
  const auto layer =
      by_nccl ? make_nccl_expert_layer(ranks, device, hidden_size, drift.trace.top_k, turns, request.patience_s)
              : std::make_unique<MpiExpertLayer>(ranks, device, hidden_size, turns);
  const auto mover =
      by_nccl ? make_nccl_expert_mover(ranks, device, request.patience_s) : make_mpi_expert_mover(ranks, device);
  request.policies.move_s = move_s ? *move_s : time_move(ranks, device, *mover);
  AdaptationReport report = follow_on_devices(ranks, {device, *layer, *mover, slowdown_of(options, rank)}, profile,
                                              drift, request.policies, request.run, done);
  report.device_kind = options.kind;
  report.device_note = device_note(options, drift);
  report.output_tolerance = output_tolerance(profile.weight_dtype);
  return report;
}

}  // namespace

void describe(OptionList& options, AdaptationRequest& request) {
  options.group("Devices");
  options
      .add("device", request.device, "KIND",
           "what runs the experts: simulated ones take what their profile says, and moves are priced; host and cuda "
           "ones, one a rank, compute and exchange, and weights really move")
      .one_of(device_kind_words());
  options
      .add("transport", request.transport,
           "how rows and weights travel between devices that compute: mpi is through host memory")
      .without("nccl on GPUs, else mpi");
  options.add("share-gpu", request.share_gpu, "ranks that share a GPU work one after the other; needs {transport} mpi");
  options
      .add("noise", request.run.noise, "SIGMA",
           "scatter of a simulated device's times, standard deviation of the logarithm")
      .range(0, 1);
  options
      .add("patience", request.patience_s, "SECONDS",
           "how long ranks wait for one that doesn't answer, before the job ends")
      .above(0, 86400)
      .not_in_results();
  options.group("Policies");
  options
      .add("train-steps", request.policies.train_steps, "N",
           "steps at the run's beginning that the first placements are searched on; all policies are judged on the "
           "rest")
      .range(16, 1e6);
  options.add("window", request.policies.window, "N", "last steps that triggered gem looks at").range(32, 1e6);
  options.add("interval", request.policies.interval, "N", "steps between two looks of triggered gem").range(1, 1e6);
  options
      .add("horizon", request.policies.horizon_steps, "STEPS",
           "triggered gem moves what pays within so many steps; the oracle looks as far ahead, up to the next change")
      .above(0, 1e12);
  options.add("max-moves", request.policies.max_moves, "N", "experts of a layer that triggered gem moves at a time")
      .range(1, 1e6);
  options
      .add("moves-per-step", request.moves_a_step, "N",
           "experts that triggered gem moves a step; what is left waits, and a layer changes when it has all")
      .range(0, 1e6)
      .without("any number");
  options
      .add("move-bytes-per-step", request.move_bytes, "BYTES", "the same in bytes of weights, of all devices together")
      .range(0, 1e15)
      .without("any number");
  options.add("move", request.moving,
              "when experts of triggered gem really move: while steps pause, or during a step, a layer's at a time; "
              "what has not arrived when the step ends is waited for");
  options.add("engine-window", request.policies.engine_window, "N", "last steps that the periodic policies look at")
      .range(1, 1e6);
  options.add("engine-interval", request.policies.engine_interval, "N", "steps between two of their re-mappings")
      .range(1, 1e6);
}

bool moves_weights(const AdaptationRequest& request) {
  const DeviceKind& kind = device_kind(request.device);
  if (kind.is_virtual()) {
    if (request.moving != Moving::Pause)
      throw option_error(option_name(&AdaptationRequest::moving),
                         "{} {}: weights of {} devices don't really move; leave it out", word_of(request.moving),
                         kind.name);
    if (request.transport || request.share_gpu)
      throw option_error(option_name(&AdaptationRequest::device),
                         "{}: {} devices exchange nothing; leave {} and {} out", kind.name,
                         option_name(&AdaptationRequest::transport), option_name(&AdaptationRequest::share_gpu));
    return false;
  }
  if (!kind.moves_experts)
    throw option_error(
        option_name(&AdaptationRequest::device),
        "{}: these devices don't hand out their weights, which must move; choose host, cuda or simulated", kind.name);
  if (request.share_gpu && request.transport != RowTransport::Mpi && kind.transport == RowTransport::Nccl)
    throw option_error(option_name(&AdaptationRequest::share_gpu), "{} needs {} mpi: NCCL has one rank a GPU",
                       option_name(&AdaptationRequest::transport));
  return true;
}

void apply_moving(AdaptationRequest& request, const LatencyProfile& profile) {
  request.run.moving = request.moving;
  if (request.moves_a_step > 0) request.run.moves_a_step = request.moves_a_step;
  if (request.move_bytes == 0) return;
  const std::size_t expert_bytes = expert_bytes_of(profile);
  if (expert_bytes == 0 || request.move_bytes < expert_bytes)
    throw option_error(
        option_name(&AdaptationRequest::move_bytes), "{} {}: an expert has {}, and one must fit; give more, or {}",
        request.move_bytes,
        expert_bytes == 0 ? "bytes that the profile doesn't tell" : fmt::format("{} bytes", expert_bytes),
        option_name(&AdaptationRequest::moves_a_step));
  request.run.moves_a_step = std::min(request.run.moves_a_step, request.move_bytes / expert_bytes);
}

AdaptationReport run_adaptation(const Communicator& ranks, const AdaptationRequest& request,
                                const LatencyProfile& profile, const Drift& drift, std::optional<double> move_s,
                                const std::function<void(std::size_t done)>& done) {
  AdaptationRequest job = request;
  AdaptationReport report;
  if (moves_weights(request)) {
    report = run_live(ranks, job, profile, drift, move_s, done);
  } else {
    job.policies.move_s = *move_s;
    report = run_simulated(ranks, job, profile, drift, done);
  }
  report.model = drift.trace.model;
  report.expert_bytes = expert_bytes_of(profile);
  return report;
}

}  // namespace gem
