#include "verification/replay_job.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <iostream>
#include <numeric>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/statistics.hpp"
#include "base/text.hpp"
#include "mapping/baselines.hpp"
#include "mapping/methods.hpp"
#include "mapping/remapping.hpp"
#include "mapping/sample.hpp"
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
#include "verification/selection.hpp"
#include "verification/token_routes.hpp"
#include "verification/whole_step_setup.hpp"

namespace gem {
namespace {

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

// Profile, trace and mappings tell one model, where they name it.
void check_models(const LatencyProfile& profile, const LoadTrace& trace, const std::vector<Mapping>& mappings) {
  const auto check = [&](const std::string& what, const std::string& model) {
    if (model.empty() || trace.model.empty() || to_lower(model) == to_lower(trace.model)) return;
    throw UsageError(
        fmt::format("{} is of model '{}', the trace of '{}'; make both of one, or use {} if the experts have the same "
                    "shape",
                    what, model, trace.model, option_name(&ReplayRequest::allow_model_mismatch)));
  };
  check("the profile", profile.model);
  for (const Mapping& mapping : mappings) check("mapping '" + mapping.method + "'", mapping.model);
}

void check_device_count(const Communicator& ranks, const DeviceOptions& devices, const LatencyProfile& profile) {
  check_device_options(devices);
  if (device_count_of(devices, static_cast<std::size_t>(ranks.size())) == profile.device_count()) return;
  throw UsageError(
      fmt::format("the profile holds {} devices, but this job has {} ranks; start it with one rank a device "
                  "(mpirun -n {})",
                  profile.device_count(), ranks.size(), profile.device_count()));
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

// What to know of few steps.
std::string step_notes(const ReplayRequest& request, std::size_t steps) {
  constexpr std::size_t fewest = 8;
  std::string notes;
  if (steps < request.steps)
    notes += fmt::format("note: {} steps are all that the trace has to replay, not {} ({})\n", steps, request.steps,
                         option_name(&ReplayRequest::steps));
  if (steps < fewest)
    notes += fmt::format("warning: an interval over {} steps says little; replay {} or more\n", steps, fewest);
  return notes;
}

// What is said of devices that work but hand out no rows.
std::string compute_note(const ReplayRequest& request, const std::string& kind_name) {
  const DeviceKind* kind = find_device_kind(kind_name);
  if (kind == nullptr || kind->is_virtual() || kind->has_outputs) return "";
  return wrap("compute alone: " + kind_name +
              " devices hand out no rows, so that nothing is exchanged and no output checked") +
         "\n" + (request.command.empty() ? "" : wrap("each rank starts: " + request.command) + "\n");
}

// Index of the mapping of that name; of none, the last that the default method made, else the last.
std::size_t judged_of(const std::string& judge, const std::vector<std::string>& methods,
                      const std::vector<std::string>& names) {
  const std::vector<std::string>& searched = judge.empty() ? methods : names;
  const std::string wanted = judge.empty() ? method_name(default_method()) : judge;
  for (std::size_t m = names.size() - 1; m > 0; --m)
    if (searched[m] == wanted) return m;
  if (judge.empty()) return names.size() - 1;
  throw option_error(option_name(&ReplayRequest::judge), "{}: no mapping given is named '{}'; there is {}", judge,
                     join(std::span(names).subspan(1), " and "));
}

// What of mappings is decided in every step, as mappings of their own: copies that share tokens otherwise, and experts
// copied from linear and from the last mapping.
void add_decided(const ReplayRequest& request, ReplayQuestion& question) {
  const RunTimeOptions& asked = request.run_time;
  const std::size_t given = question.mappings.size();
  const auto add = [&](std::size_t m, const std::string& name, const RunTimeOptions& decided) {
    question.mappings.push_back(question.mappings[m]);
    question.mappings.back().method = name;
    question.names.push_back(name);
    question.decided.push_back(decided);
  };
  if (asked.split != CopySplit::Even) {
    for (std::size_t m = 1; m < given; ++m)
      if (question.mappings[m].redundant_count() > 0)
        add(m, question.names[m] + "+" + word_of(asked.split), {.split = asked.split});
    if (question.mappings.size() == given)
      throw option_error(option_name(&RunTimeOptions::split),
                         "{} {} is of copies, of which no mapping has any; give one with copies", word_of(asked.split));
  }
  if (!asked.online_exact) return;
  const OptionName online = option_name(&RunTimeOptions::online_exact);
  if (request.compute_only)
    throw option_error(online, "{} copies experts as rows travel, which {} leaves out; leave out one of them",
                       option_name(&ReplayRequest::compute_only));
  const RunTimeOptions decided{.online_exact = true, .quota = asked.quota};
  add(0, "online-exact", decided);
  if (given > 1) add(given - 1, question.names[given - 1] + "+online", decided);
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

}  // namespace

void describe(OptionList& options, ReplayRequest& request) {
  options.group("What is replayed");
  options.add({"steps", "verify_steps"}, request.steps, "N", "how many steps to replay").range(1, 1e6);
  options.add("first-step", request.first_step, "N", "first step to replay")
      .without("the first that was not searched on");
  options.add({"layers", "verify_layers"}, request.layer_ids, "LIST", "decoder layers to replay, e.g. 0,11,23")
      .without("all");
  options
      .add("layer-count", request.layer_count, "N",
           "replay N layers, the first, the last and evenly between, instead of {layers}")
      .range(0, 65536)
      .without("as {layers} says");
  options.add("rounds", request.replay.rounds, "N", "measurements of each step; the median counts").range(1, 10000);
  options.add("checked-steps", request.replay.checked_steps, "N", "steps whose data and outputs are checked first");
  options.add("compute-only", request.compute_only,
              "time the experts' compute without the exchange, which is only checked");
  options.add("transport", request.transport, "how rows travel: mpi is through host memory")
      .without("nccl on GPUs, else mpi");
  options
      .add("patience", request.patience_s, "SECONDS",
           "how long ranks wait for one that doesn't answer, before the job ends")
      .above(0, 86400)
      .not_in_results();
  options.add("allow-model-mismatch", request.allow_model_mismatch,
              "replay a trace of one model with a profile or mapping of another");
  options.add("strict", request.strict, "refuse a doubtful profile (exit code 3) instead of warning of it")
      .not_in_results();
  options.group("Verdict");
  options.add("judge", request.judge, "NAME", "mapping that the verdict is about").without("gem, else the last");
  options
      .add("judge-by", request.judge_by,
           "what the verdict is about: the slowest device's compute, whole layers with the exchange, or whole steps")
      .without("step with {whole-step}, layer where whole layers are timed, else straggler");
  options
      .add("rest-per-layer", request.rest_per_layer_ms, "MILLISECONDS",
           "time of a layer beside its routed experts (attention, shared experts, others): adds an estimate of the "
           "whole model's step")
      .range(0, 1e6);
  options.group("Whole steps");
  options.add("whole-step", request.whole_step,
              "replay whole decoder steps: attention over a cache, all other products, shared experts and head, too; "
              "says the time per output token");
  options.add("model", request.model, "NAME|FILE.csv", "model whose decoder layers these are").without("the trace's");
  options.add("batch", request.batch, "N", "sequences of a step on all devices together")
      .range(1, 1e6)
      .without("the trace's tokens a step");
  options
      .add("context", request.context, "TOKENS",
           "tokens in the cache of each sequence; of prefill, those that a device's chunk follows; 0: attention itself "
           "is left out")
      .range(0, 1e6);
  options
      .add("output-tokens", request.output_tokens, "N",
           "also the time per token over the output of a request: N steps in order; 0: not")
      .range(0, 1e6);
  options.add_file("rest", request.rest_file, "FILE.csv",
                   "measured operators (part,tokens,seconds) to compose whole steps from instead of running them, each "
                   "device as slow as its profile; implies {whole-step}");
  options
      .add("exchange-fixed-time", request.exchange_fixed_us, "MICROSECONDS",
           "where the exchange isn't timed: what dispatch and combine of a layer take whatever is sent")
      .range(0, 1e9)
      .without("what the profile's law of the exchange says, if it has one; else not counted");
  options
      .add("exchange-row-time", request.exchange_row_ns, "NANOSECONDS",
           "likewise for each row of the device that gets most")
      .range(0, 1e9)
      .without("likewise");
  options.group("Devices");
  options.add("device", request.device, "KIND", "what runs the experts")
      .one_of(device_kind_words())
      .without("as in the profile");
  options.add("command", request.command, "COMMAND",
              "of {device} command: the program that each rank starts as its device, as for gem-profile");
  options.add("command-timeout", request.command_timeout_s, "SECONDS", "time that an answer of it may take")
      .above(0, 1e6)
      .not_in_results();
  options.add_numbers_or_file("slowdown", request.slowdown, "LIST|FILE.csv", "emulated slowdown of each device")
      .without("as in the profile");
  options.add("share-gpu", request.share_gpu, "ranks that share a GPU work one after the other");
  options.add("seed", request.seed, "N", "seed of all random choices: order of the mappings, weights, bootstrap");
}

void check_replay_request(const ReplayRequest& request) {
  check_options(request);
  if (request.layer_count > 0 && !request.layer_ids.empty())
    throw option_error(option_name(&ReplayRequest::layer_count), "{} and {} exclude each other; give one of them",
                       option_name(&ReplayRequest::layer_ids));
  if (request.judge_by == JudgedBy::Layer && (request.compute_only || request.share_gpu))
    throw option_error(option_name(&ReplayRequest::judge_by), "{} layer needs whole layers, which {} and {} leave out",
                       option_name(&ReplayRequest::compute_only), option_name(&ReplayRequest::share_gpu));
  check_whole_step_options(request);
}

ReplayQuestion make_replay_question(const ReplayRequest& request, const LatencyProfile& profile, const LoadTrace& whole,
                                    const std::vector<Mapping>& mappings) {
  check_judged_on(whole);
  if (!request.allow_model_mismatch) check_models(profile, whole, mappings);
  if (const std::vector<ProfileDoubt> doubts = doubts_of(profile); request.strict && !doubts.empty())
    throw DataError("the profile is doubtful: " + join_doubts(doubts) + "; without " + on_command_line("strict") +
                    " this is a warning");
  ReplayQuestion question;
  question.profile = profile;
  question.model_layers = whole.layer_count();
  const std::size_t redundant_experts = mappings.empty() ? 0 : mappings.front().redundant_count();
  question.mappings.push_back(linear_mapping(whole, profile.device_count(), redundant_experts));
  question.mappings[0].method = method_name(reference_method());
  std::vector<std::string> methods{question.mappings[0].method}, files(request.mapping_files.empty() ? 0 : 1);
  for (std::size_t m = 0; m < mappings.size(); ++m) {
    if (made_by(mappings[m], reference_method())) continue;
    question.mappings.push_back(mappings[m]);
    methods.push_back(mappings[m].method);
    if (!files.empty()) files.push_back(request.mapping_files[m]);
  }
  question.names = distinct_names(methods, files);
  question.decided.resize(question.names.size());
  add_decided(request, question);
  methods.resize(question.names.size());  // those that are decided in steps are judged by name alone
  question.judged = judged_of(request.judge, methods, question.names);
  question.first_step = request.first_step ? *request.first_step : first_unseen_step(question.mappings, whole);
  if (question.first_step >= whole.step_count())
    throw option_error(option_name(&ReplayRequest::first_step), "{} {}: the trace has {} steps", question.first_step,
                       whole.step_count());
  const std::size_t count = std::min(request.steps, whole.step_count() - question.first_step);
  const std::vector<std::int32_t> layer_ids =
      request.layer_count > 0 ? spread_layers(whole.layer_ids, request.layer_count) : request.layer_ids;
  question.trace = blaming(option_name(&ReplayRequest::layer_ids),
                           [&] { return layers_of(steps_of(whole, question.first_step, count), layer_ids); });
  if (std::ranges::all_of(question.trace.counts.values(), [](std::uint32_t tokens) { return tokens == 0; }))
    throw DataError(
        fmt::format("the trace has no token in steps {} to {}, so that nothing can be replayed; choose others",
                    question.first_step, question.first_step + count - 1));
  for (const Mapping& mapping : question.mappings) homes_for(mapping, question.trace);  // refuses what doesn't fit
  if (replays_whole_steps(request)) check_whole_steps(request, question);
  question.sample_note = sample_note(sample_of(question.mappings[question.judged], whole, question.first_step));
  return question;
}

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

std::string describe_replay(const ReplayRequest& request, const ReplayQuestion& question,
                            const std::string& device_kind) {
  return fmt::format("Replay: {}, task {} ({}),\n    steps {} to {}, {} layers, {} tokens a step, {}\non {}\n",
                     question.trace.model, question.trace.task, question.sample_note, question.first_step,
                     question.first_step + question.trace.step_count() - 1, question.trace.layer_count(),
                     question.trace.tokens_per_step, counted(request.replay.rounds, "round"),
                     counted(question.profile.device_count(), device_kind + " device")) +
         compute_note(request, device_kind) + program_line(question.profile.program, "profile measured through") +
         wrap("mappings: " + join(question.names)) + "\n" + step_notes(request, question.trace.step_count()) +
         contradiction_warning(question.trace);
}

namespace {

void warn_of_other_devices(const ReplayQuestion& question, const std::vector<DeviceDescription>& running) {
  for (std::size_t m = 0; m < question.mappings.size(); ++m) {
    const std::string difference = device_difference(question.mappings[m], running);
    if (!difference.empty())
      std::cerr << fmt::format("warning: mapping '{}' was made for other devices ({}); map again for these\n",
                               question.names[m], difference);
  }
}

}  // namespace

VerificationReport run_replay(const Communicator& ranks, const ReplayRequest& request, const ReplayQuestion& question,
                              const DeviceOptions& devices) {
  ranks.on_all([&] {
    check_device_count(ranks, devices, question.profile);
    if (request.transport && device_kind(devices.kind).transport == RowTransport::None)
      throw option_error(option_name(&ReplayRequest::transport), "{}: {} devices exchange nothing; leave it out",
                         devices.kind);
    if (request.transport == RowTransport::Nccl && device_kind(devices.kind).transport != RowTransport::Nccl)
      throw option_error(option_name(&ReplayRequest::transport), "{0} nccl is for GPUs; choose {0} mpi");
    const OptionName online = option_name(&RunTimeOptions::online_exact);
    if (request.run_time.online_exact && !device_kind(devices.kind).is_virtual() &&
        !device_kind(devices.kind).has_outputs)
      throw option_error(online, "{}: {} devices send nothing, so that no expert can be copied; leave it out",
                         devices.kind);
    if (request.run_time.online_exact && device_kind(devices.kind).is_virtual() &&
        !question.profile.topology.has_links())
      throw option_error(online,
                         "{} takes the links' bandwidths for true on {} devices, but the profile has none; profile "
                         "again with {} and {}",
                         devices.kind, option_name(&TopologyOptions::inside_gb_per_s),
                         option_name(&TopologyOptions::across_gb_per_s));
    if (request.judge_by == JudgedBy::Layer && !device_kind(devices.kind).has_outputs)
      throw option_error(option_name(&ReplayRequest::judge_by),
                         "{} layer: {} devices exchange nothing, so that there are no whole layers", devices.kind);
  });
  const DeviceKind& kind = device_kind(devices.kind);
  DeviceOptions made = devices;
  made.experts_per_device = question.profile.experts_per_device;
  made.top_k = question.trace.top_k;
  made.tokens_per_step = question.trace.tokens_per_step;
  const auto local = make_devices(made, ranks);
  const std::vector<DeviceDescription> running = gather_descriptions(ranks, local);
  const std::string difference = ranks.is_root() ? device_difference(question.profile, running) : "";
  std::vector<double> speeds;
  for (const DeviceSummary& device : summarize(question.profile)) speeds.push_back(device.relative_speed);
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
  const std::size_t expert_bytes = expert_bytes_of(question.profile);
  ReplayOptions options = request.replay;
  if (!kind.has_outputs) options.checked_steps = 0;
  options.decided = question.decided;
  options.copy_price = {links_of(question.profile), static_cast<double>(expert_bytes)};
  options.whole_step = whole_step.has_value();
  options.speeds = speeds;
  if (!question.profile.shared_tokens.empty())
    options.shared_s = shared_times_s(question.profile, static_cast<double>(question.trace.tokens_per_step) /
                                                            static_cast<double>(question.profile.device_count()));
  options.rules = question.profile.load_rules();
  VerificationReport report = replay(ranks, *target, question.trace, question.mappings,
                                     CostModel(question.profile, {.across_nodes = AcrossNodes::Off}), options,
                                     [&](std::size_t done, std::size_t) {
                                       progress.update(done);
                                       for (std::size_t d = 0; d < local.size(); ++d)
                                         clock_sums[d] += local[d]->telemetry().sm_clock_hz;
                                     });
  report.sm_clock_hz = ranks.gather(std::span<const double>(clock_sums));
  const auto samples = static_cast<double>(request.replay.rounds * question.trace.step_count());
  for (double& clock_hz : report.sm_clock_hz) clock_hz /= samples;
  report.profile_sm_clock_hz = mean_clocks(question.profile);
  report.judged = question.names[question.judged];
  report.whole_step = whole_step;
  report.judged_by = request.judge_by.value_or(whole_step                 ? JudgedBy::Step
                                               : has_whole_layers(report) ? JudgedBy::Layer
                                                                          : JudgedBy::Straggler);
  report.weight_dtype = question.profile.weight_dtype;
  report.device_kind = devices.kind;
  report.device_note = device_note(devices, question.profile);
  report.device_difference = difference;
  report.profile_doubts = join_doubts(doubts_of(question.profile));
  report.sample_note = question.sample_note;
  report.first_step = question.first_step;
  report.model_layers = question.model_layers;
  if (request.rest_per_layer_ms) report.rest_per_layer_s = *request.rest_per_layer_ms * 1e-3;
  report.device_speeds = speeds;
  for (std::size_t m = 0; m < question.mappings.size(); ++m) {
    report.mappings[m].name = question.names[m];
    report.mappings[m].moved_bytes =
        moved_bytes(question.mappings[0], question.mappings[m], question.trace, expert_bytes);
  }
  return report;
}

}  // namespace gem
