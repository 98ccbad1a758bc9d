#include "profile/profile_request.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "device/device_estimate.hpp"
#include "model/mapping.hpp"
#include "model/moe_model.hpp"
#include "model/trace_words.hpp"
#include "profile/load_rule_fit.hpp"
#include "profile/tile_probe.hpp"

namespace gem {
namespace {

ExpertShape parse_shape(const std::string& text) {
  const std::vector<std::string> parts = split(text, 'x');
  const OptionName option = option_name(&ProfileRequest::expert_shape);
  if (parts.size() != 2) throw option_error(option, "{}: '{}' is not HIDDENxINTERMEDIATE, e.g. 512x256", text);
  const auto size = [&](const std::string& part) {
    const std::int64_t value = parse_integer(part, spelled(option));
    if (value < 1 || value > (1 << 20)) throw option_error(option, "{}: {} is out of range (1 to {})", part, 1 << 20);
    return static_cast<std::size_t>(value);
  };
  return {size(parts[0]), size(parts[1])};
}

std::size_t experts_of_device(const ProfileRequest& request, const MoeModel& model, std::size_t device_count) {
  if (request.experts_per_device > model.expert_count)
    throw option_error(option_name(&ProfileRequest::experts_per_device), "{}: {}, but {} has {} experts a layer",
                       request.experts_per_device, model.name, model.expert_count);
  if (request.experts_per_device > 0) return request.experts_per_device;
  if (request.redundant_experts == 0) check_device_count(model.expert_count, device_count);
  const std::size_t slots = model.expert_count + request.redundant_experts;
  if (request.redundant_experts > 0 && slots % device_count != 0)
    throw option_error(option_name(&ProfileRequest::redundant_experts),
                       "{}: {} experts and {} copies do not divide over {} devices; give {}", model.expert_count,
                       request.redundant_experts, device_count, copies_that_divide(model.expert_count, device_count));
  return max_slots(slots, device_count);
}

// The tiles of the rule that the loads meet; nothing where all have one.
std::vector<TileRegime> regimes_of(const ProfileRequest& request, const ProfileSetup& setup) {
  std::vector<TileRegime> regimes;
  if (request.naive || request.devices.tile_tokens > 0) return regimes;
  const std::vector<TileStep>& rule = setup.devices.tile_rule;
  const auto fewest = static_cast<std::int64_t>(setup.range.least_tokens),
             most = static_cast<std::int64_t>(setup.max_tokens);
  std::int64_t rows_from = 1;
  for (std::size_t i = 0; i < rule.size(); ++i) {
    const std::int64_t rows_to = i + 1 < rule.size() ? static_cast<std::int64_t>(rule[i].up_to_rows) : greatest_load;
    if (rows_to >= fewest && rows_from <= most) regimes.push_back({rows_from, rows_to, rule[i].tile_tokens, 0});
    rows_from = rows_to + 1;
  }
  if (regimes.size() == 1) regimes.clear();
  return regimes;
}

// Adds the points of each regime; those of the tile that `mean_rows` of a device meet are the plan's own, too.
void plan_regimes(const ProfileRequest& request, const ProfileSetup& setup, double mean_rows, PlanOptions options,
                  LatencyProfile& plan) {
  plan.regimes = regimes_of(request, setup);
  if (plan.regimes.empty()) return;
  const auto fewest = static_cast<std::int64_t>(setup.range.least_tokens),
             most = static_cast<std::int64_t>(setup.max_tokens);
  options.least_tiles = 1;  // rows say it
  for (TileRegime& regime : plan.regimes) {
    options.tile_tokens = regime.tile_tokens;
    options.least_tokens = static_cast<std::size_t>(std::max(regime.rows_from, fewest));
    options.max_tokens = static_cast<std::size_t>(std::min(regime.rows_to, most));
    if (options.last_tile_rows > 0) options.last_tile_rows = mean_last_tile_rows(request.workloads, regime.tile_tokens);
    const std::vector<LoadPoint> points = make_plan(options);
    regime.point_count = points.size();
    plan.regime_points.insert(plan.regime_points.end(), points.begin(), points.end());
  }
  const std::size_t own = plan.load_rules().regime_of(static_cast<std::int64_t>(std::ceil(mean_rows)));
  plan.tile_tokens = plan.regimes[own].tile_tokens;
  const auto first = plan.regime_points.begin() + static_cast<std::ptrdiff_t>(first_point_of(plan, own));
  plan.points.assign(first, first + static_cast<std::ptrdiff_t>(plan.regimes[own].point_count));
}

LatencyProfile plan_of(const ProfileRequest& request, const ProfileSetup& setup, const MoeModel& model,
                       std::size_t experts, double tokens_per_expert) {
  LatencyProfile plan;
  plan.model = model.name;
  plan.device_kind = setup.devices.kind;
  plan.weight_dtype = word_of(setup.devices.weight_type);
  plan.expert = setup.devices.expert;
  plan.tile_tokens = setup.devices.tile_tokens;
  plan.experts_per_device = experts;
  if (setup.pace == Pace::Serving) plan.pace = word_of(setup.pace);
  PlanOptions points;
  points.experts_per_device = experts;
  points.tile_tokens = plan.tile_tokens;
  points.max_tokens = setup.max_tokens;
  points.least_active = setup.range.least_active;
  points.least_tiles = setup.range.least_tiles;
  points.points_per_doubling = request.points_per_doubling;
  const DeviceKind& kind = device_kind(setup.devices.kind);
  points.dense_tiles = kind.measuring.dense_tiles;
  if (!kind.measuring.last_tiles_filled)
    points.last_tile_rows = mean_last_tile_rows(request.workloads, plan.tile_tokens);
  plan.rule.last_tile_rows =
      static_cast<std::uint32_t>(points.last_tile_rows > 0 ? points.last_tile_rows : plan.tile_tokens);
  points.tiles_per_wave = kind.tiles_per_wave(setup.devices);
  points.seed = request.seed;
  if (setup.max_tokens > static_cast<std::size_t>(greatest_load) / 2)  // whole tiles are more
    throw option_error(option_name(&ProfileRequest::max_tokens),
                       "{}: {} tokens on a device are more than the {} of a profile", setup.max_tokens,
                       greatest_load / 2);
  plan.points = request.naive ? make_naive_plan(points) : make_plan(points);
  plan_regimes(request, setup, tokens_per_expert * static_cast<double>(experts), points, plan);
  return plan;
}

// Launches of a quarter of the most tokens, on all experts, until half of the most are done, and for long enough that
// the host's work between samples hides behind them.
void keep_busy(const ProfileSetup& setup, MeasurementOptions& measurement) {
  constexpr double least_busy_s = 3e-4;
  const std::size_t experts = setup.plan.experts_per_device, tile = setup.devices.tile_tokens;
  const std::size_t tokens = (setup.max_tokens / 4 + experts - 1) / experts;
  measurement.busy_tokens.assign(experts, static_cast<std::uint32_t>(tokens));
  measurement.busy_rows = setup.max_tokens / 2;
  const double layer_s = DeviceEstimate(setup.devices).layer_s(experts * ((tokens + tile - 1) / tile), experts);
  measurement.least_busy_launches = static_cast<std::size_t>(std::ceil(least_busy_s / layer_s));
}

// Devices that the model's experts are spread over: those that hold a part of them are as many as hold all, even where
// fewer are measured.
std::size_t serving_devices(const ProfileSetup& setup, const MoeModel& model) {
  return std::max(setup.device_count, model.expert_count / std::max<std::size_t>(1, setup.plan.experts_per_device));
}

// The mean layer of a step: its rows on the device's experts, one more on the first where they don't divide, and
// attention of the device's own tokens; in prefill its products alone where the devices don't run it.
PacedStep paced_step(const ProfileRequest& request, const ProfileSetup& setup, const MoeModel& model) {
  const std::size_t tokens = setup.devices.tokens_per_step, experts = setup.plan.experts_per_device;
  const std::size_t devices = serving_devices(setup, model);
  const std::size_t rows = std::max<std::size_t>(1, tokens * model.top_k / devices);
  PacedStep step;
  step.idle_share = request.idle_share;
  for (std::size_t slot = 0; slot < experts; ++slot)
    step.tokens.push_back(static_cast<std::uint32_t>(rows / experts + (slot < rows % experts ? 1 : 0)));
  if (model.decoder.query_heads == 0) return step;
  const bool prefill = !request.workloads.empty() && says(request.workloads.front().phase, Phase::Prefill);
  // A cache of a million tokens is gigabytes already, and long enough to read to be a step's attention.
  constexpr std::size_t most_cached_tokens = std::size_t{1} << 20;
  const bool runs = !prefill || device_kind(setup.devices.kind).runs_prefill_attention();
  std::size_t own_tokens = std::max<std::size_t>(1, tokens / devices);
  if (!prefill && request.context > 0)
    own_tokens = std::clamp<std::size_t>(most_cached_tokens / request.context, 1, own_tokens);
  step.attention = DecoderWork{model, own_tokens, runs ? request.context : 0, request.seed};
  step.attention->prefill = prefill;
  return step;
}

SweepOptions sweep_of(const ProfileRequest& request, const ProfileSetup& setup, const MoeModel& model) {
  SweepOptions sweep;
  sweep.measurement.stopping = request.stopping;
  sweep.measurement.layer_count = cold_layer_count(setup.devices, setup.plan.experts_per_device, model.moe_layer_count);
  sweep.measurement.take_turns = request.devices.share_gpu == GpuSharing::Turns;
  const MeasuringHabits& habits = device_kind(setup.devices.kind).measuring;
  sweep.measurement.device_warm_up_s = habits.warm_up_s;
  const double loads_in_time = std::min(habits.block_time_s / request.stopping.max_time_s, 1e6);
  sweep.measurement.block_loads = std::max(habits.block_loads, static_cast<std::size_t>(loads_in_time));
  sweep.uneven_ways = request.naive ? 0 : habits.uneven_ways;
  sweep.seed = request.seed;
  if (habits.load_rule_is_fitted && setup.plan.regimes.empty()) {
    sweep.trial_count = 48;
    sweep.rule_loads = serving_loads(setup.plan, request.workloads, 96, request.seed);
    std::ranges::move(trial_loads(setup.plan, request.workloads, sweep.trial_count, request.seed),
                      std::back_inserter(sweep.rule_loads));
  }
  if (setup.pace == Pace::Serving)
    sweep.measurement.paced = paced_step(request, setup, model);
  else if (habits.kept_busy)
    keep_busy(setup, sweep.measurement);
  sweep.show_progress = !request.quiet;
  return sweep;
}
// Tokens of a step as the workloads have it, else as the request says.
std::size_t tokens_per_step_of(const ProfileRequest& request) {
  std::size_t tokens = request.workloads.empty() ? request.tokens_per_step : 0;
  for (const LoadTrace& workload : request.workloads) tokens = std::max(tokens, workload.tokens_per_step);
  return tokens;
}

// Steps to measure exchange and shared experts in: those of the workloads, and smaller ones by factors of four.
std::vector<std::int64_t> steps_to_measure(const ProfileRequest& request) {
  constexpr std::size_t sizes = 4, fewest = 16;
  std::vector<std::int64_t> tokens;
  for (const LoadTrace& workload : request.workloads)
    tokens.push_back(static_cast<std::int64_t>(std::max<std::size_t>(1, workload.tokens_per_step)));
  std::size_t size = tokens_per_step_of(request);
  if (request.max_tokens > 0) size = std::min(size, request.max_tokens);  // of a device: all tokens have no more rows
  for (std::size_t i = 0; i < sizes && size >= fewest; ++i, size /= 4)
    tokens.push_back(static_cast<std::int64_t>(size));
  std::ranges::sort(tokens);
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  return tokens;
}

bool runs_whole_steps(const DeviceKind& kind) {
  return kind.is_virtual() || kind.transport != RowTransport::None;
}

// Unless told, where what else is measured is for whole steps, too. Of experts in other sizes the shared ones are
// unknown.
bool measures_shared_experts(const ProfileRequest& request, Pace pace, const MoeModel& model) {
  if (model.shared_expert_count == 0 || model.shared_intermediate_size == 0) return false;
  if (request.shared_time) return *request.shared_time == SharedTime::Measure;
  return request.expert_shape.empty() && runs_whole_steps(device_kind(request.devices.kind)) &&
         (request.exchange || pace == Pace::Serving);
}

double mean_tokens_per_expert(const std::vector<LoadTrace>& workloads) {
  double tokens = 0.0, cells = 0.0;
  for (const LoadTrace& workload : workloads) {
    const auto& counts = workload.counts.values();
    tokens += static_cast<double>(row_count(counts));
    cells += static_cast<double>(counts.size());
  }
  return tokens / cells;
}

}  // namespace

bool paced_unless_told(const DeviceOptions& devices) {
  return device_kind(devices.kind).measuring.kept_busy && !devices.share_gpu;
}

void describe(OptionList& options, ProfileRequest& request) {
  describe(options, request.devices);
  options.group("What is measured");
  options.add("model", request.model, "NAME|FILE.csv[:NAME]", "the MoE model; see {list-models}").required();
  options.add("expert-shape", request.expert_shape, "HxI", "other sizes of an expert than the model's, to fit a CPU");
  options.add("experts-per-device", request.experts_per_device, "N", "routed experts that a device holds of a layer")
      .range(0, 65536)
      .without("the model's experts over all devices");
  options
      .add("redundant-experts", request.redundant_experts, "N",
           "further copies of experts a layer that mappings will have, a multiple of the devices")
      .range(0, 65536)
      .without("none");
  options
      .add("max-tokens", request.max_tokens, "N",
           "measure up to so many rows on a device: the most that it can get in a step")
      .range(0, static_cast<double>(greatest_load))
      .without(fmt::format("all that {} tokens, or a batch's steps, can send", request.tokens_per_step));
  options.add("points-per-doubling", request.points_per_doubling, "N", "how densely loads are measured").range(1, 64);
  options.add(
      "exchange", request.exchange,
      "measure the exchange of tokens, too: latency and bandwidth between each two devices, and what dispatch and "
      "combine of a layer take by tokens a step and rows of the device that gets the most; by NCCL between "
      "GPUs, else by MPI; of simulated devices from {inside-bandwidth}");
  describe(options, request.topology);
  options.group("What is measured");
  options
      .add("shared-time", request.shared_time,
           "whether the time of the model's shared experts is measured, which each device runs for its own tokens "
           "beside its routed ones, and which gem-map then counts ({shared-experts})")
      .without("measured where {exchange} is, or at {pace} serving");
  options
      .add("pace", request.pace,
           "what devices do between samples. busy: GPUs run experts without a pause; serving: the mean step, with "
           "the attention of their share where the model's is known, and pauses, so that clocks are those of serving")
      .without("serving on cuda devices, unless ranks share one or the model's attention is unknown; else busy");
  options
      .add("idle-share", request.idle_share, "SHARE",
           "part of a step in which a device waits, for others or for rows, at {pace} serving")
      .range(0, 0.9);
  options.add("context", request.context, "TOKENS", "tokens in the cache of each sequence, at {pace} serving")
      .range(1, 1e6);
  options.add("naive", request.naive, "measure every number of tokens, spread evenly, instead of tiles; to compare");
  options.add("seed", request.seed, "N", "seed of all random choices: order of the points, weights, noise");
  describe(options, request.stopping);
}

void check_profile_request(const ProfileRequest& request) {
  const DeviceKind& kind = device_kind(request.devices.kind);
  if (request.exchange && kind.transport == RowTransport::None && !kind.is_virtual())
    throw option_error(option_name(&ProfileRequest::exchange),
                       "{}: {} devices exchange nothing; measure it on cuda or host devices", kind.name);
  if (request.shared_time == SharedTime::Measure) {
    const OptionName option = option_name(&ProfileRequest::shared_time);
    if (!runs_whole_steps(kind))
      throw option_error(option, "{} measure: {} devices run routed experts alone; measure it on cuda or host devices",
                         kind.name);
    if (!request.expert_shape.empty())
      throw option_error(
          option,
          "{} measure: of experts in other sizes ({}) the shared ones aren't known; give a CSV file with "
          "a model of that shape ({})",
          option_name(&ProfileRequest::expert_shape), option_name(&ProfileRequest::model));
  }
  check_stopping_rule(request.stopping);
}

Pace pace_of(const ProfileRequest& request, const MoeModel& model) {
  if (request.pace) return *request.pace;
  return paced_unless_told(request.devices) && model.decoder.query_heads > 0 ? Pace::Serving : Pace::Busy;
}

ProfileSetup set_up_profile(const ProfileRequest& request, std::size_t rank_count) {
  const MoeModel model = blaming(option_name(&ProfileRequest::model), [&] { return model_of_option(request.model); });
  ProfileSetup setup;
  setup.pace = pace_of(request, model);
  setup.device_count = device_count_of(request.devices, rank_count);
  setup.exchange = request.exchange;
  if (setup.exchange && std::max(rank_count, setup.device_count) < 2)
    throw option_error(option_name(&ProfileRequest::exchange),
                       "{}: one rank has nobody to exchange with; start two or more (mpirun -n 2 ...)");
  const std::size_t experts = experts_of_device(request, model, setup.device_count);
  const std::size_t most_rows_of_token = most_rows_of(1, model.top_k, experts);
  setup.max_tokens = request.max_tokens > 0 ? request.max_tokens : request.tokens_per_step * most_rows_of_token;
  double tokens_per_expert = static_cast<double>(setup.max_tokens) / static_cast<double>(most_rows_of_token) *
                             static_cast<double>(model.top_k) / static_cast<double>(model.expert_count);
  if (!request.workloads.empty()) tokens_per_expert = mean_tokens_per_expert(request.workloads);

  setup.served_dtype = model.weight_dtype;
  setup.devices = request.devices;
  setup.devices.expert = request.expert_shape.empty() ? model.expert : parse_shape(request.expert_shape);
  setup.devices.seed = request.seed;
  setup.devices.slowdowns = parse_slowdowns(request.devices.slowdown, setup.device_count);
  setup.devices.experts_per_device = experts;
  setup.devices.top_k = model.top_k;
  setup.devices.tokens_per_step = tokens_per_step_of(request);
  choose_weights(setup.devices, model);
  if (setup.devices.tile_rule.empty()) setup.devices.tile_rule = parse_tile_rule(request.devices.tile_rule_text);
  if (setup.devices.tile_tokens == 0) setup.devices.tile_tokens = default_tile_tokens(setup.devices, tokens_per_expert);
  check_device_options(setup.devices);
  for (const LoadTrace& workload : request.workloads) {
    if (workload.expert_count() != model.expert_count)
      throw UsageError(fmt::format("task '{}' of {} has {} experts a layer, but {} has {}; name a trace of it",
                                   workload.task, workload.model, workload.expert_count(), model.name,
                                   model.expert_count));
    const LoadRange range = range_of_loads(workload, experts, setup.devices.tile_tokens);
    setup.range = &workload == request.workloads.data() ? range : united(setup.range, range);
    setup.max_tokens = setup.range.most_tokens;
  }

  setup.plan = plan_of(request, setup, model, experts, tokens_per_expert);
  setup.devices.tile_tokens = setup.plan.tile_tokens;
  setup.plan.topology = stated_topology(request.topology, {}, setup.device_count);
  if (setup.exchange && device_kind(setup.devices.kind).is_virtual() && !setup.plan.topology.has_links())
    throw option_error(option_name(&ProfileRequest::exchange),
                       "{}: {} devices exchange nothing; state how fast their links are ({})", setup.devices.kind,
                       option_name(&TopologyOptions::inside_gb_per_s));
  if (setup.exchange) setup.exchange_tokens = steps_to_measure(request);
  if (measures_shared_experts(request, setup.pace, model))
    setup.shared = shared_sweep_of(model, request.seed, steps_to_measure(request), serving_devices(setup, model));
  setup.sweep = sweep_of(request, setup, model);
  return setup;
}

bool asks_devices_for_tiles(const ProfileRequest& request) {
  if (request.devices.tile_tokens > 0) return false;
  const std::string& text = request.devices.tile_rule_text;
  return text == probed_tile_rule ||
         (device_kind(request.devices.kind).tells_tiles && (text.empty() || text == told_tile_rule));
}

}  // namespace gem
