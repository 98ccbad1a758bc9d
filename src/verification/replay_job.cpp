#include "verification/replay_job.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <iostream>
#include <numeric>

#include "base/error.hpp"
#include "base/statistics.hpp"
#include "base/text.hpp"
#include "mapping/remapping.hpp"
#include "model/profile_doubts.hpp"
#include "model/shared_time.hpp"
#include "model/weight_type.hpp"
#include "platform/command_line/progress.hpp"
#include "platform/host/host_info.hpp"
#include "profile/summary.hpp"
#include "profile/sweep.hpp"
#include "verification/device_identity.hpp"
#include "verification/mpi_expert_layer.hpp"
#include "verification/nccl_expert_layer.hpp"
#include "verification/token_routes.hpp"
#include "verification/whole_step_setup.hpp"

namespace gem {
namespace {

void check_device_count(const Communicator& ranks, const DeviceOptions& devices, const LatencyProfile& profile) {
  check_device_options(devices);
  if (device_count_of(devices, static_cast<std::size_t>(ranks.size())) == profile.device_count()) return;
  throw UsageError(
      fmt::format("the profile holds {} devices, but this job has {} ranks; start it with one rank a device "
                  "(mpirun -n {})",
                  profile.device_count(), ranks.size(), profile.device_count()));
}

// UsageError where what is asked for can't be replayed on devices of that kind and number.
void check_devices(const Communicator& ranks, const ReplayRequest& request, const ReplayQuestion& question,
                   const DeviceOptions& devices) {
  check_device_count(ranks, devices, question.profile);
  const DeviceKind& kind = device_kind(devices.kind);
  if (request.transport && kind.transport == RowTransport::None)
    throw option_error(option_name(&ReplayRequest::transport), "{}: {} devices exchange nothing; leave it out",
                       devices.kind);
  if (request.transport == RowTransport::Nccl && kind.transport != RowTransport::Nccl)
    throw option_error(option_name(&ReplayRequest::transport), "{0} nccl is for GPUs; choose {0} mpi");
  const OptionName online = option_name(&RunTimeOptions::online_exact);
  if (request.run_time.online_exact && !kind.is_virtual() && !kind.has_outputs)
    throw option_error(online, "{}: {} devices send nothing, so that no expert can be copied; leave it out",
                       devices.kind);
  if (request.run_time.online_exact && kind.is_virtual() && !question.profile.topology.has_links())
    throw option_error(online,
                       "{} takes the links' bandwidths for true on {} devices, but the profile has none; profile "
                       "again with {} and {}",
                       devices.kind, option_name(&TopologyOptions::inside_gb_per_s),
                       option_name(&TopologyOptions::across_gb_per_s));
  if (request.judge_by == JudgedBy::Layer && !kind.has_outputs)
    throw option_error(option_name(&ReplayRequest::judge_by),
                       "{} layer: {} devices exchange nothing, so that there are no whole layers", devices.kind);
}

// Rows travel through host memory: at least what all ranks of a node hold of the largest step (sent, received, in the
// experts' order and their outputs; each token at home and back) must fit, or the kernel ends some process of its
// choice.
void check_exchange_memory(const Communicator& ranks, const LoadTrace& trace, std::size_t hidden_size) {
  double max_rows = 0.0;
  for (std::size_t step = 0; step < trace.step_count(); ++step)
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
      const auto counts = trace.counts.row(step, layer);
      const double pairs = std::accumulate(counts.begin(), counts.end(), 0.0);
      max_rows = std::max(max_rows, 4.0 * pairs + 2.0 * static_cast<double>(token_count_of(counts, trace.top_k)));
    }
  const double on_node = static_cast<double>(ranks.node_place().size) / ranks.size();
  const double needed = on_node * max_rows * static_cast<double>(hidden_size * sizeof(float));
  const auto available = static_cast<double>(available_memory_bytes());
  ranks.on_all([&] {
    if (needed > available)
      throw SystemError(fmt::format(
          "the largest step needs {} of memory for its exchange, but {} is free on {}; replay smaller steps (fewer "
          "tokens), or on more nodes",
          format_bytes(needed), format_bytes(available), host_name()));
  });
}

// Links that copies are predicted to take: the profile's, else those of its pairs on one node.
Topology links_of(const LatencyProfile& profile) {
  if (profile.topology.has_links() || profile.exchange.empty()) return profile.topology;
  std::vector<double> latency_s, bytes_per_s;
  for (std::size_t a = 0; a < profile.device_count(); ++a)
    for (std::size_t b = a + 1; b < profile.device_count(); ++b) {
      latency_s.push_back(profile.exchange.latency_s(a, b));
      bytes_per_s.push_back(profile.exchange.bytes_per_s(a, b));
    }
  Topology one_node{"measured", std::vector<std::int32_t>(profile.device_count(), 0), {}};
  one_node.links.assign(2, {median(latency_s), median(bytes_per_s)});
  return one_node;
}

// What exchanges the rows, null where none are: connecting the ranks takes seconds.
std::unique_ptr<ExpertParallelLayer> make_layer(const Communicator& ranks, const ReplayRequest& request,
                                                const ReplayQuestion& question, MoeDevice& device, const Turns& turns) {
  if (!device.kind().has_outputs || (request.compute_only && request.replay.checked_steps == 0)) return nullptr;
  const std::size_t hidden_size = question.profile.expert.hidden_size;
  if (request.transport.value_or(device.kind().transport) == RowTransport::Nccl)
    return make_nccl_expert_layer(ranks, device, hidden_size, question.trace.top_k, turns, request.patience_s);
  check_exchange_memory(ranks, question.trace, hidden_size);
  return std::make_unique<MpiExpertLayer>(ranks, device, hidden_size, turns);
}

std::unique_ptr<ReplayTarget> make_target(const Communicator& ranks, const ReplayRequest& request,
                                          const ReplayQuestion& question,
                                          const std::vector<std::unique_ptr<MoeDevice>>& local, StepDecoders decoders) {
  // Only of devices on a virtual clock a rank may have none.
  if (local.empty() || local.front()->kind().is_virtual()) return make_clock_target(ranks, local, std::move(decoders));
  const Turns turns(ranks, request.share_gpu == GpuSharing::Turns);
  return make_exchange_target(
      ranks, *local.front(), make_layer(ranks, request, question, *local.front(), turns), turns,
      {question.profile.expert.hidden_size, question.trace.top_k, expert_bytes_of(question.profile),
       request.compute_only || !local.front()->kind().has_outputs},
      std::move(decoders));
}

// [device] relative, as the profile has them.
std::vector<double> relative_speeds(const LatencyProfile& profile) {
  std::vector<double> speeds;
  for (const DeviceSummary& device : summarize(profile)) speeds.push_back(device.relative_speed);
  return speeds;
}

ReplayOptions replay_options(const ReplayRequest& request, const ReplayQuestion& question, const DeviceKind& kind,
                             const std::vector<double>& speeds) {
  ReplayOptions options = request.replay;
  if (!kind.has_outputs) options.checked_steps = 0;
  options.decided = question.decided;
  options.copy_price = {links_of(question.profile), static_cast<double>(expert_bytes_of(question.profile))};
  options.whole_step = replays_whole_steps(request);
  options.speeds = speeds;
  if (!question.profile.shared_tokens.empty())
    options.shared_s = shared_times_s(question.profile, static_cast<double>(question.trace.tokens_per_step) /
                                                            static_cast<double>(question.profile.device_count()));
  options.rules = question.profile.load_rules();
  return options;
}

// Weights that come to a place when an engine goes from `from` to `to`, over the layers of the trace.
std::size_t moved_bytes(const Mapping& from, const Mapping& to, const LoadTrace& trace, std::size_t expert_bytes) {
  const auto old_homes = homes_for(from, trace);
  const auto new_homes = homes_for(to, trace);
  std::size_t moved = 0;
  for (std::size_t layer = 0; layer < new_homes.size(); ++layer)
    for (std::size_t expert = 0; expert < new_homes[layer].expert_count(); ++expert) {
      const auto old_devices = old_homes[layer].of(expert);
      for (const std::int32_t device : new_homes[layer].of(expert))
        moved += std::ranges::find(old_devices, device) == old_devices.end() ? expert_bytes : 0;
    }
  return moved;
}

// [device] mean over the points, NaN where unknown.
std::vector<double> mean_clocks(const LatencyProfile& profile) {
  std::vector<double> clocks_hz;
  for (std::size_t d = 0; d < profile.sm_clock_hz.rows(); ++d) clocks_hz.push_back(mean(profile.sm_clock_hz.row(d)));
  return clocks_hz;
}

// What was made uneven on purpose: by extra time, else by the share of a GPU that each rank had.
std::string device_note(const DeviceOptions& devices, const LatencyProfile& profile) {
  const std::string slowdowns = emulation_note(devices.slowdowns);
  const bool shares = std::ranges::any_of(profile.devices, [](const DeviceDescription& device) {
    return device.name.find("(emulated: ") != std::string::npos;
  });
  return slowdowns.empty() && shares ? "emulated by shares of a GPU" : slowdowns;
}

// What of a report is known from the question alone.
void add_question(const ReplayRequest& request, const ReplayQuestion& question, VerificationReport& report) {
  const std::size_t expert_bytes = expert_bytes_of(question.profile);
  report.profile_sm_clock_hz = mean_clocks(question.profile);
  report.judged = question.names[question.judged];
  report.judged_by = request.judge_by.value_or(report.whole_step          ? JudgedBy::Step
                                               : has_whole_layers(report) ? JudgedBy::Layer
                                                                          : JudgedBy::Straggler);
  report.weight_dtype = question.profile.weight_dtype;
  report.profile_doubts = join_doubts(doubts_of(question.profile));
  report.sample_note = question.sample_note;
  report.first_step = question.first_step;
  report.model_layers = question.model_layers;
  if (request.rest_per_layer_ms) report.rest_per_layer_s = *request.rest_per_layer_ms * 1e-3;
  for (std::size_t m = 0; m < question.mappings.size(); ++m) {
    report.mappings[m].name = question.names[m];
    report.mappings[m].moved_bytes =
        moved_bytes(question.mappings[0], question.mappings[m], question.trace, expert_bytes);
  }
}

void warn_of_other_devices(const ReplayQuestion& question, const std::vector<DeviceDescription>& running) {
  for (std::size_t m = 0; m < question.mappings.size(); ++m) {
    const std::string difference = device_difference(question.mappings[m], running);
    if (!difference.empty())
      std::cerr << fmt::format("warning: mapping '{}' was made for other devices ({}); map again for these\n",
                               question.names[m], difference);
  }
}

}  // namespace

DeviceOptions replay_devices(const ReplayRequest& request, const LatencyProfile& profile) {
  DeviceOptions devices;
  const std::string profiled = profile.device_kind.empty() ? default_device_kind() : profile.device_kind;
  devices.kind = request.device.empty() ? profiled : request.device;
  devices.device_count = is_virtual_kind(devices.kind) ? profile.device_count() : 0;
  devices.expert = profile.expert;
  devices.tile_tokens = profile.tile_tokens;
  for (const TileRegime& regime : profile.regimes)
    devices.tile_rule.push_back({static_cast<std::size_t>(regime.rows_to), regime.tile_tokens});
  devices.weight_type = weight_type_of(profile.weight_dtype);
  devices.share_gpu = request.share_gpu;
  devices.command = request.command;
  devices.command_timeout_s = request.command_timeout_s;
  devices.seed = request.seed;
  for (const DeviceDescription& device : profile.devices) devices.slowdowns.push_back(device.emulated_slowdown);
  if (!request.slowdown.empty()) devices.slowdowns = parse_slowdowns(request.slowdown, profile.device_count());
  return devices;
}

VerificationReport run_replay(const Communicator& ranks, const ReplayRequest& request, const ReplayQuestion& question,
                              const DeviceOptions& devices) {
  ranks.on_all([&] { check_devices(ranks, request, question, devices); });
  const DeviceKind& kind = device_kind(devices.kind);
  DeviceOptions made = devices;
  made.experts_per_device = question.profile.experts_per_device;
  made.top_k = question.trace.top_k;
  made.tokens_per_step = question.trace.tokens_per_step;
  const auto local = make_devices(made, ranks);
  const std::vector<DeviceDescription> running = gather_descriptions(ranks, local);
  const std::string difference = ranks.is_root() ? device_difference(question.profile, running) : "";
  const std::vector<double> speeds = relative_speeds(question.profile);
  StepDecoders decoders;
  std::optional<StepSetting> whole_step;
  if (replays_whole_steps(request)) {
    const std::size_t context = replayed_context(ranks, request, question, kind);
    ranks.on_all([&] {
      whole_step = step_setting(request, question, kind, context);
      decoders = make_decoders(ranks, request, question, local, speeds, context);
    });
  }
  const auto target = make_target(ranks, request, question, local, std::move(decoders));
  if (!difference.empty()) std::cerr << "warning: " << device_warning(difference) << "\n";
  if (ranks.is_root() && difference.empty()) warn_of_other_devices(question, running);
  Progress progress("replaying", request.replay.rounds * question.trace.step_count(),
                    ranks.is_root() && !request.quiet);
  std::vector<double> clock_sums(local.size(), 0.0);
  VerificationReport report =
      replay(ranks, *target, question.trace, question.mappings,
             CostModel(question.profile, {.across_nodes = AcrossNodes::Off}),
             replay_options(request, question, kind, speeds), [&](std::size_t done, std::size_t) {
               progress.update(done);
               for (std::size_t d = 0; d < local.size(); ++d) clock_sums[d] += local[d]->telemetry().sm_clock_hz;
             });
  report.sm_clock_hz = ranks.gather(std::span<const double>(clock_sums));
  const auto samples = static_cast<double>(request.replay.rounds * question.trace.step_count());
  for (double& clock_hz : report.sm_clock_hz) clock_hz /= samples;
  report.whole_step = whole_step;
  report.device_kind = devices.kind;
  report.device_note = device_note(devices, question.profile);
  report.device_difference = difference;
  report.device_speeds = speeds;
  add_question(request, question, report);
  return report;
}

}  // namespace gem
