#include "profile_setup.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <sstream>

#include "base/error.hpp"
#include "base/text.hpp"
#include "files/trace_file.hpp"
#include "model/mapping.hpp"
#include "platform/command_line/command_line.hpp"
#include "profile_check.hpp"

namespace gem {
namespace {

std::string model_table() {
  Table table({{"model", ""},
               {"hidden", ""},
               {"intermediate", ""},
               {"layers", "MoE"},
               {"experts", ""},
               {"top-k", ""},
               {"weights", ""}});
  for (const MoeModel& model : known_models())
    table.add_row({model.name, fmt::format("{}", model.expert.hidden_size),
                   fmt::format("{}", model.expert.intermediate_size), fmt::format("{}", model.moe_layer_count),
                   fmt::format("{}", model.expert_count), fmt::format("{}", model.top_k),
                   model.weight_dtype.substr(0, model.weight_dtype.find(' '))});  // without what else is published
  return table.to_string();
}

}  // namespace

bool parse_profile_options(ProfileOptions& options, const Arguments& arguments) {
  options.devices.kind = default_device_kind();
  options.devices.tile_tokens = 0;
  std::string for_trace;
  CommandLine line("gem-profile",
                   "measures how long every device takes for a load of expert tokens, all devices at the same moment. "
                   "One rank a device.");
  line.add("model", &options.model, "NAME|FILE.csv[:NAME]", "the MoE model; see --list-models");
  line.add("device", &options.devices.kind, "KIND", device_kind_names());
  line.add(
      "command", &options.devices.command, "COMMAND",
      "with --device command: the program that each rank starts as its device, e.g. 'python3 -m gem_kernels.torch'; "
      "src/device/command/README.md has the protocol");
  line.add("command-timeout", &options.devices.command_timeout_s, "S", "seconds that an answer of it may take");
  line.add("devices", &options.devices.device_count, "N", "how many simulated devices; 0: one a rank");
  line.add("slowdown", &options.slowdown, "LIST|FILE.csv",
           "emulated slowdown of each device, e.g. 1.0,1.28 (repeated over 4, 6, ...), or measured runtimes of a real "
           "cluster to pick from");
  line.add("tile-tokens", &options.devices.tile_tokens, "N",
           "rows of a tile of the expert kernel; 0: what suits the mean tokens of an expert on cuda, else 16");
  line.add("dtype", &options.devices.weight_dtype, "TYPE", "bf16, f32 (host, simulated) or fp8 (cuda, simulated)");
  line.add("expert-shape", &options.expert_shape, "HxI", "other sizes of an expert than the model's, to fit a CPU");
  line.add("experts-per-device", &options.experts_per_device, "N", "0: the model's experts over all devices");
  line.add("redundant-experts", &options.redundant_experts, "N",
           "further copies of experts a layer that mappings will have (gem-map --redundant-experts)");
  line.add(
      "max-tokens", &options.max_tokens, "N",
      fmt::format("most rows that one device gets in a step; 0: all that {} tokens can send", default_tokens_per_step));
  line.add("for-trace", &for_trace, "FILE,...",
           "measure just what these workloads of gem-trace can bring to a device; instead of --max-tokens");
  line.add("points-per-doubling", &options.points_per_doubling, "N", "how densely loads are measured");
  line.add("confidence-width", &options.stopping.confidence_width, "W",
           "relative half-width of the median's 95 % interval that ends a point");
  line.add("min-samples", &options.stopping.min_samples, "N", "samples of a point at least");
  line.add("max-samples", &options.stopping.max_samples, "N", "samples of a point at most");
  line.add("max-point-time", &options.stopping.max_time_s, "S", "measured seconds of a point at most");
  line.add("noise", &options.devices.simulation.noise, "S", "relative noise of simulated devices");
  line.add("outliers", &options.devices.simulation.outlier_probability, "P", "share of disturbed simulated samples");
  line.add("share-gpu", &options.share_gpu, "turns", "ranks that share a GPU measure one after the other");
  line.add_flag("exchange", &options.exchange,
                "latency and bandwidth between each two devices too, by NCCL between GPUs, else by MPI");
  line.add("validate", &options.validation_loads, "N",
           "measure N random loads outside the plan (and N of --trace) and compare with what the profile predicts");
  line.add("trace", &options.trace, "FILE", "steps of gem-trace, to draw loads for --validate from");
  line.add("validation-output", &options.validation_output, "FILE.csv", "measured and predicted, load by load");
  line.add("from-table", &options.from_table, "FILE.csv",
           "measure nothing: a profile from latencies that you measured, with columns device, tokens or tiles, "
           "active_experts, and seconds; or AIConfigurator's MoE table");
  line.add("table-columns", &options.table_columns, "NAME=COLUMN,...",
           "what the table calls these, step_tokens, milliseconds or microseconds; e.g. "
           "tokens=batch_size,milliseconds=ms");
  line.add("seed", &options.seed, "N", "order of the points, weights, noise");
  line.add("output", &options.output, "FILE", "the profile to write");
  line.add_flag("naive", &options.naive, "measure every number of tokens, spread evenly, instead of tiles; to compare");
  line.add_flag("check", &options.check,
                "say whether the devices differ in speed, by how much, whether it repeats, and what that is worth; a few "
                "minutes, no file");
  line.add("compare", &options.compare, "A.h5,B.h5", "say so of profiles of the same devices that are there; ends then");
  line.add_flag("resume", &options.resume, "go on with a profile that was interrupted");
  line.add_flag("dry-run", &options.dry_run, "say what would be measured, and end");
  line.add_flag("list-models", &options.list_models, "list the models known by name, and end");
  line.add_exit_code(75, "stopped at SIGUSR1 with all finished work saved (--resume)");
  line.add_example("mpirun -n 4 gem-profile --model Mixtral-8x7B --output profile.h5");
  line.add_example("mpirun -n 8 gem-profile --check --model Mixtral-8x7B");
  line.add_example(
      "mpirun -n 2 gem-profile --model gpt-oss-20b --device host --expert-shape 512x256 --slowdown 1.0,1.28");
  line.add_example("gem-profile --model DeepSeek-V3 --device simulated --devices 64 --slowdown cluster.csv");
  if (!line.parse(arguments)) return false;
  if (options.list_models) {
    std::cout << model_table();
    return false;
  }
  if (!options.compare.empty()) {
    std::cout << compare_profiles(split(options.compare, ','));
    return false;
  }
  require_option(options.model, "model", "a name (see --list-models) or a CSV file");
  if (options.validation_loads == 0 && !(options.trace.empty() && options.validation_output.empty()))
    throw UsageError("--trace and --validation-output are for --validate N, which is missing");
  if (!for_trace.empty()) options.for_trace = split(for_trace, ',');
  if (std::ranges::any_of(options.for_trace, &std::string::empty))
    throw UsageError("--for-trace: '" + for_trace + "' has an empty name; separate files by single commas");
  if (!options.for_trace.empty() && (options.max_tokens > 0 || options.naive))
    throw UsageError("--for-trace says what is measured, so --max-tokens and --naive don't go with it");
  if (options.from_table.empty() && !options.table_columns.empty())
    throw UsageError("--table-columns is for --from-table FILE.csv, which is missing");
  if (!options.from_table.empty() && (options.resume || options.exchange || options.naive ||
                                      options.validation_loads > 0 || !options.for_trace.empty()))
    throw UsageError(
        "--from-table measures nothing: --resume, --exchange, --naive, --validate and --for-trace don't go "
        "with it");
  options.quiet = line.quiet();
  check_profile_request(options);
  return true;
}

void read_workloads(ProfileOptions& options) {
  for (const std::string& file : options.for_trace) options.workloads.push_back(read_trace(file));
}

TabulatedProfile read_latency_table(const ProfileOptions& options) {
  LatencyTableOptions table;
  table.model = model_of_option(options.model);
  table.device_count = options.devices.device_count;
  table.experts_per_device = options.experts_per_device;
  if (table.experts_per_device == 0) {
    if (table.device_count == 0)
      throw UsageError("--from-table: give --experts-per-device N, or --devices N where one device stands for all");
    check_divisible(table.model.expert_count, table.device_count);
    table.experts_per_device = table.model.expert_count / table.device_count;
  }
  table.slowdowns = parse_slowdowns(options.slowdown, std::max<std::size_t>(1, table.device_count));
  if (options.devices.tile_tokens > 0) table.tile_tokens = options.devices.tile_tokens;
  table.dtype = options.devices.weight_dtype;
  table.columns = options.table_columns;
  std::ifstream file(options.from_table);
  if (!file) throw UsageError("--from-table: '" + options.from_table + "' can't be opened");
  std::ostringstream text;
  text << file.rdbuf();
  return profile_from_table(text.str(), options.from_table, table);
}

ValidationLoads draw_validation_loads(const ProfileOptions& options, const ProfileSetup& setup) {
  ValidationLoads loads;
  const std::size_t slots = setup.plan.experts_per_device;
  add_random_loads(loads, options.validation_loads, slots, random_loads_of(setup.plan), options.seed);
  if (!options.trace.empty())
    add_trace_loads(loads, options.validation_loads, slots, setup.max_tokens, read_trace(options.trace), options.seed);
  return loads;
}

std::string point_table(const LatencyProfile& plan) {
  Table table({{"point", ""}, {"active", "experts"}, {"tiles", ""}, {"tokens", ""}});
  for (std::size_t p = 0; p < plan.points.size(); ++p)
    table.add_row({fmt::format("{}", p), fmt::format("{}", plan.points[p].active_experts),
                   fmt::format("{}", plan.points[p].tiles), fmt::format("{}", plan.points[p].tokens)});
  return table.to_string();
}

}  // namespace gem
