#include "profile_setup.hpp"

#include <algorithm>
#include <iostream>

#include "base/error.hpp"
#include "base/text.hpp"
#include "device/device_estimate.hpp"
#include "files/trace_file.hpp"
#include "model/mapping.hpp"
#include "platform/command_line.hpp"

namespace gem {
namespace {

constexpr std::size_t default_tokens_per_step = 512;

std::string model_table() {
  Table table({{"model", ""},
               {"hidden", ""},
               {"intermediate", ""},
               {"MoE layers", ""},
               {"experts", ""},
               {"top-k", ""},
               {"weights", ""}});
  for (const MoeModel& model : known_models())
    table.add_row({model.name, format("%zu", model.expert.hidden_size), format("%zu", model.expert.intermediate_size),
                   format("%zu", model.moe_layer_count), format("%zu", model.expert_count), format("%zu", model.top_k),
                   model.weight_dtype});
  return table.to_string();
}

ExpertShape parse_shape(const std::string& text) {
  const std::vector<std::string> parts = split(text, 'x');
  if (parts.size() != 2) throw UsageError("--expert-shape: '" + text + "' is not HIDDENxINTERMEDIATE, e.g. 512x256");
  const auto size = [&](const std::string& part) {
    const std::int64_t value = parse_integer(part, "--expert-shape");
    if (value < 1 || value > (1 << 20)) throw UsageError("--expert-shape: " + part + " is out of range");
    return static_cast<std::size_t>(value);
  };
  return {size(parts[0]), size(parts[1])};
}

std::size_t experts_of_device(const ProfileOptions& options, const MoeModel& model, std::size_t device_count) {
  if (options.experts_per_device > model.expert_count)
    throw UsageError(format("--experts-per-device: %zu, but %s has %zu experts a layer", options.experts_per_device,
                            model.name.c_str(), model.expert_count));
  if (options.experts_per_device > 0) return options.experts_per_device;
  check_divisible(model.expert_count, device_count);
  return model.expert_count / device_count;
}

LatencyProfile plan_of(const ProfileOptions& options, const ProfileSetup& setup, const MoeModel& model,
                       std::size_t experts) {
  LatencyProfile plan;
  plan.model = model.name;
  plan.device_kind = setup.devices.kind;
  plan.weight_dtype = setup.devices.weight_dtype;
  plan.expert = setup.devices.expert;
  plan.tile_tokens = setup.devices.tile_tokens;
  plan.experts_per_device = experts;
  PlanOptions points;
  points.experts_per_device = experts;
  points.tile_tokens = plan.tile_tokens;
  points.max_tokens = setup.max_tokens;
  points.points_per_doubling = options.points_per_doubling;
  points.tiles_per_wave = tiles_per_wave_of(setup.devices);
  points.seed = options.seed;
  plan.points = options.naive ? make_naive_plan(points) : make_plan(points);
  return plan;
}

SweepOptions sweep_of(const ProfileOptions& options, const ProfileSetup& setup, const MoeModel& model) {
  SweepOptions sweep;
  sweep.measurement.stopping = options.stopping;
  sweep.measurement.layer_count = cold_layer_count(setup.devices, setup.plan.experts_per_device, model.moe_layer_count);
  sweep.measurement.take_turns = options.share_gpu == "turns";
  if (setup.devices.kind == "cuda") {
    // A GPU's power limit bites after a second or two of work, and then its clock follows the work of some seconds.
    sweep.measurement.device_warm_up_s = 3.0;
    sweep.measurement.block_loads = 512;
  }
  sweep.show_progress = !options.quiet;
  return sweep;
}

// Seconds of the whole job, if the stopping rule is soon content.
double expected_s(const ProfileOptions& options, const ProfileSetup& setup, const DeviceEstimate& estimate,
                  std::size_t rank_count) {
  const MeasurementOptions& measurement = setup.sweep.measurement;
  // Beside each sample on a GPU: flushing its cache, filling and emptying the stream.
  const double sample_overhead_s = setup.devices.kind == "cuda" ? 2e-4 : 0.0;
  double samples_s = 0.0;
  for (const LoadPoint& point : setup.plan.points) {
    const double layer_s =
        estimate.layer_s(static_cast<std::size_t>(point.tiles), static_cast<std::size_t>(point.active_experts));
    const std::size_t samples = next_round(options.stopping, 0, layer_s) + measurement.warm_up;
    samples_s += static_cast<double>(samples) * (layer_s + sample_overhead_s);
  }
  const double ranks_in_turn = measurement.take_turns ? static_cast<double>(rank_count) : 1.0;
  const auto placed = static_cast<double>(setup.plan.experts_per_device * measurement.layer_count);
  return measurement.device_warm_up_s + samples_s * ranks_in_turn + estimate.placement_s() * placed;
}

}  // namespace

bool parse_profile_options(ProfileOptions& options, const Arguments& arguments) {
  options.devices.kind = default_device_kind();
  options.devices.tile_tokens = 0;
  CommandLine line("gem-profile",
                   "measures how long every device takes for a load of expert tokens, all devices at the same moment. "
                   "One rank a device.");
  line.add("model", &options.model, "NAME|FILE.csv[:NAME]", "the MoE model; see --list-models");
  line.add("device", &options.devices.kind, "KIND", "cuda, host or simulated");
  line.add("devices", &options.devices.device_count, "N", "how many simulated devices; 0: one a rank");
  line.add("slowdown", &options.slowdown, "LIST|FILE.csv",
           "emulated slowdown of each device, e.g. 1.0,1.28, or measured runtimes of a real cluster to pick from");
  line.add("tile-tokens", &options.devices.tile_tokens, "N",
           "rows of a tile of the expert kernel; 0: what suits the mean tokens of an expert on cuda, else 16");
  line.add("dtype", &options.devices.weight_dtype, "TYPE", "bf16, f32 (host, simulated) or fp8 (cuda, simulated)");
  line.add("expert-shape", &options.expert_shape, "HxI", "other sizes of an expert than the model's, to fit a CPU");
  line.add("experts-per-device", &options.experts_per_device, "N", "0: the model's experts over all devices");
  line.add(
      "max-tokens", &options.max_tokens, "N",
      format("most rows that one device gets in a step; 0: all that %zu tokens can send", default_tokens_per_step));
  line.add("points-per-doubling", &options.points_per_doubling, "N", "how densely loads are measured");
  line.add("confidence-width", &options.stopping.confidence_width, "W",
           "relative half-width of the median's 95 % interval that ends a point");
  line.add("min-samples", &options.stopping.min_samples, "N", "samples of a point at least");
  line.add("max-samples", &options.stopping.max_samples, "N", "samples of a point at most");
  line.add("max-point-time", &options.stopping.max_time_s, "S", "measured seconds of a point at most");
  line.add("noise", &options.devices.simulation.noise, "S", "relative noise of simulated devices");
  line.add("outliers", &options.devices.simulation.outlier_probability, "P", "share of disturbed simulated samples");
  line.add("share-gpu", &options.share_gpu, "turns", "ranks that share a GPU measure one after the other");
  line.add("validate", &options.validation_loads, "N",
           "measure N random loads outside the plan (and N of --trace) and compare with what the profile predicts");
  line.add("trace", &options.trace, "FILE", "steps of gem-trace, to draw loads for --validate from");
  line.add("validation-output", &options.validation_output, "FILE.csv", "measured and predicted, load by load");
  line.add("seed", &options.seed, "N", "order of the points, weights, noise");
  line.add("output", &options.output, "FILE", "the profile to write");
  line.add_flag("naive", &options.naive, "measure every number of tokens, spread evenly, instead of tiles; to compare");
  line.add_flag("resume", &options.resume, "go on with a profile that was interrupted");
  line.add_flag("dry-run", &options.dry_run, "say what would be measured, and end");
  line.add_flag("list-models", &options.list_models, "list the models known by name, and end");
  line.add_example("mpirun -n 4 gem-profile --model Mixtral-8x7B --output profile.h5");
  line.add_example(
      "mpirun -n 2 gem-profile --model gpt-oss-20b --device host --expert-shape 512x256 --slowdown 1.0,1.28");
  line.add_example("gem-profile --model DeepSeek-V3 --device simulated --devices 64 --slowdown cluster.csv");
  if (!line.parse(arguments)) return false;
  if (options.list_models) {
    std::cout << model_table();
    return false;
  }
  require_option(options.model, "model", "a name (see --list-models) or a CSV file");
  if (options.validation_loads == 0 && !(options.trace.empty() && options.validation_output.empty()))
    throw UsageError("--trace and --validation-output are for --validate N, which is missing");
  if (!options.share_gpu.empty() && options.share_gpu != "turns")
    throw UsageError("--share-gpu: '" + options.share_gpu + "' is unknown; it can be 'turns'");
  check_stopping_rule(options.stopping);
  options.quiet = line.quiet();
  return true;
}

ProfileSetup set_up_profile(const ProfileOptions& options, std::size_t rank_count) {
  const MoeModel model = model_of_option(options.model);
  ProfileSetup setup;
  setup.device_count = device_count_of(options.devices, rank_count);
  const std::size_t experts = experts_of_device(options, model, setup.device_count);
  const std::size_t most_rows_of_token = most_rows_of(1, model.top_k, experts);
  setup.max_tokens = options.max_tokens > 0 ? options.max_tokens : default_tokens_per_step * most_rows_of_token;

  setup.devices = options.devices;
  setup.devices.expert = options.expert_shape.empty() ? model.expert : parse_shape(options.expert_shape);
  setup.devices.seed = options.seed;
  setup.devices.share_gpu = !options.share_gpu.empty();
  setup.devices.slowdowns = parse_slowdowns(options.slowdown, setup.device_count);
  if (setup.devices.tile_tokens == 0) {
    const double step_tokens = static_cast<double>(setup.max_tokens) / static_cast<double>(most_rows_of_token);
    setup.devices.tile_tokens = default_tile_tokens(
        setup.devices.kind, step_tokens * static_cast<double>(model.top_k) / static_cast<double>(model.expert_count));
  }
  check_device_options(setup.devices);

  setup.plan = plan_of(options, setup, model, experts);
  setup.sweep = sweep_of(options, setup, model);
  return setup;
}

std::string describe_plan(const ProfileOptions& options, const ProfileSetup& setup, std::size_t rank_count) {
  const LatencyProfile& plan = setup.plan;
  const auto most_tiles = std::ranges::max(plan.points, {}, &LoadPoint::tiles).tiles;
  std::string text = format(
      "Profile: %s, experts %zux%zu %s%s, tiles of %zu tokens, %zu experts a device\n"
      "%zu points up to %lld tiles on %zu %s devices, %zu ranks\n",
      plan.model.c_str(), plan.expert.hidden_size, plan.expert.intermediate_size, plan.weight_dtype.c_str(),
      options.expert_shape.empty() ? "" : " (not the model's own)", plan.tile_tokens, plan.experts_per_device,
      plan.points.size(), static_cast<long long>(most_tiles), setup.device_count, setup.devices.kind.c_str(),
      rank_count);
  if (setup.device_count == 1)
    text += "note: one device alone; gem-map needs a profile with as many devices as it maps to\n";
  if (setup.devices.kind == "simulated")
    return text + "simulated: a stated model on a virtual clock, nothing is measured\n";

  const DeviceEstimate estimate(setup.devices);
  const std::size_t experts = plan.experts_per_device * setup.sweep.measurement.layer_count;
  return text + format("expected: %s, longer where latencies are noisy; %s of weights a rank (%zu experts)\n",
                       format_duration(expected_s(options, setup, estimate, rank_count)).c_str(),
                       format_bytes(static_cast<double>(experts * estimate.expert_bytes())).c_str(), experts);
}

ValidationLoads draw_validation_loads(const ProfileOptions& options, const ProfileSetup& setup) {
  ValidationLoads loads;
  const std::size_t slots = setup.plan.experts_per_device;
  add_random_loads(loads, options.validation_loads, slots, setup.max_tokens, options.seed);
  if (!options.trace.empty())
    add_trace_loads(loads, options.validation_loads, slots, setup.max_tokens, read_trace(options.trace), options.seed);
  return loads;
}

std::string point_table(const LatencyProfile& plan) {
  Table table({{"point", ""}, {"active", "experts"}, {"tiles", ""}, {"tokens", ""}});
  for (std::size_t p = 0; p < plan.points.size(); ++p)
    table.add_row({format("%zu", p), format("%lld", static_cast<long long>(plan.points[p].active_experts)),
                   format("%lld", static_cast<long long>(plan.points[p].tiles)),
                   format("%lld", static_cast<long long>(plan.points[p].tokens))});
  return table.to_string();
}

}  // namespace gem
