#include "profile_setup.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <iostream>

#include "base/error.hpp"
#include "base/table.hpp"
#include "base/text.hpp"
#include "base/text_file.hpp"
#include "files/trace_file.hpp"
#include "model/mapping.hpp"
#include "platform/command_line/command_line.hpp"
#include "profile/summary.hpp"
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
               {"weights", "", 1}});
  for (const MoeModel& model : known_models())
    table.add_row({model.name, fmt::format("{}", model.expert.hidden_size),
                   fmt::format("{}", model.expert.intermediate_size), fmt::format("{}", model.moe_layer_count),
                   fmt::format("{}", model.expert_count), fmt::format("{}", model.top_k),
                   model.weight_dtype.substr(0, model.weight_dtype.find(' '))});  // without what else is published
  return table.to_string();
}

JsonRecord model_record() {
  std::vector<JsonRecord> models;
  for (const MoeModel& model : known_models())
    models.push_back(JsonRecord()
                         .add("model", model.name)
                         .add("hidden_size", model.expert.hidden_size)
                         .add("intermediate_size", model.expert.intermediate_size)
                         .add("moe_layers", model.moe_layer_count)
                         .add("experts", model.expert_count)
                         .add("top_k", model.top_k)
                         .add("weight_dtype", model.weight_dtype));
  return JsonRecord().add("models", models);
}

void check(const ProfileOptions& options) {
  if (options.validation_loads == 0 && !(options.trace.empty() && options.validation_output.empty()))
    throw option_error(option_name(&ProfileOptions::validation_loads), "{} and {} are for {} N, which is missing",
                       option_name(&ProfileOptions::trace), option_name(&ProfileOptions::validation_output));
  const OptionName for_trace = option_name(&ProfileOptions::for_trace);
  const std::vector<std::string> files = workload_files(options);
  if (std::ranges::any_of(files, &std::string::empty))
    throw option_error(for_trace, "{}: '{}' has an empty name; separate files by single commas", options.for_trace);
  if (!files.empty() && (options.max_tokens > 0 || options.naive))
    throw option_error(for_trace, "{} says what is measured, so {} and {} don't go with it",
                       option_name(&ProfileOptions::max_tokens), option_name(&ProfileOptions::naive));
  const OptionName from_table = option_name(&ProfileOptions::from_table);
  if (options.from_table.empty() && !options.table_columns.empty())
    throw option_error(option_name(&ProfileOptions::table_columns), "{} is for {} FILE.csv, which is missing",
                       from_table);
  if (!options.from_table.empty() &&
      (options.resume || options.exchange || options.naive || options.validation_loads > 0 || !files.empty()))
    throw option_error(from_table, "{} measures nothing: {}, {}, {}, {} and {} don't go with it",
                       option_name(&ProfileOptions::resume), option_name(&ProfileOptions::exchange),
                       option_name(&ProfileOptions::naive), option_name(&ProfileOptions::validation_loads), for_trace);
  check_profile_request(options);
}

}  // namespace

void describe(OptionList& options, ProfileOptions& job) {
  describe(options, static_cast<ProfileRequest&>(job));
  options.group("What is measured");
  options.add("for-trace", job.for_trace, "FILE,...",
              "measure only the loads that a device can get in these traces of gem-trace; instead of {max-tokens}");
  options.group("Validation");
  options
      .add("validate", job.validation_loads, "N",
           "measure N random loads outside the plan (and N of {trace}) and compare with what the profile predicts")
      .range(0, 1e6)
      .without("none");
  options.add_file("trace", job.trace, "FILE", "steps of gem-trace, to draw loads for {validate} from");
  options.add_file("validation-output", job.validation_output, "FILE.csv", "measured and predicted, load by load");
  options.group("From what others measured");
  options.add_file("from-table", job.from_table, "FILE.csv",
                   "measure nothing: a profile from latencies that you measured, with columns device, tokens or tiles, "
                   "active_experts, and seconds; or AIConfigurator's MoE table");
  options.add("table-columns", job.table_columns, "NAME=COLUMN,...",
              "what the table calls these, step_tokens, milliseconds or microseconds; e.g. "
              "tokens=batch_size,milliseconds=ms");
  options.group("Whether the devices differ");
  options.add("check", job.check,
              "say whether the devices differ in speed, by how much, whether it repeats, and what that is worth; a few "
              "minutes, no file");
  options
      .add("compare", job.compare, "A.h5,B.h5",
           "say the same of profiles of the same devices that were measured before, and end")
      .suffices();
  options.group("Common");
  options.add_file("output", job.output, "FILE", "profile to write");
  options.add("resume", job.resume, "go on with a profile that was interrupted");
  options.add("dry-run", job.dry_run, "say what would be measured, and end");
}

bool parse_profile_options(ProfileOptions& options, const Arguments& arguments) {
  options.devices.kind = default_device_kind();
  options.devices.tile_tokens = 0;
  CommandLine line("gem-profile",
                   "measures how long every device takes for a load of expert tokens, all devices at the same moment. "
                   "Start one MPI rank for each device.");
  line.add(options);
  line.add_answer("list-models", "list the models known by name, and end", model_table, model_record);
  line.add_patience();
  line.add_exit_code(75, "stopped at SIGUSR1 with all finished work saved (--resume)");
  line.add_example("mpirun -n 4 gem-profile --model Mixtral-8x7B --output profile.h5");
  line.add_example("mpirun -n 8 gem-profile --check --model Mixtral-8x7B");
  line.add_example(
      "mpirun -n 2 gem-profile --model gpt-oss-20b --device host --dtype f32 --expert-shape 256x256 "
      "--slowdown 1.0,1.28");
  line.add_example(
      "gem-profile --model DeepSeek-V3 --device simulated --devices 64 --slowdown jobs/data/variability/"
      "longhorn-v100-sgemm.csv");
  if (!line.parse(arguments)) return false;
  if (!options.compare.empty()) {
    compare_profiles(split(options.compare, ','));
    return false;
  }
  options.quiet = line.quiet();
  check(options);
  return true;
}

std::vector<std::string> workload_files(const ProfileOptions& options) {
  return options.for_trace.empty() ? std::vector<std::string>() : split(options.for_trace, ',');
}

void read_workloads(ProfileOptions& options) {
  for (const std::string& file : workload_files(options)) options.workloads.push_back(read_trace(file));
}

TabulatedProfile read_latency_table(const ProfileOptions& options) {
  LatencyTableOptions table;
  table.model = model_of_option(options.model);
  table.device_count = options.devices.device_count;
  table.experts_per_device = options.experts_per_device;
  if (table.experts_per_device == 0) {
    if (table.device_count == 0)
      throw option_error(option_name(&ProfileOptions::from_table),
                         "{}: give {} N, or {} N where one device stands for all",
                         option_name(&ProfileOptions::experts_per_device), option_name(&DeviceOptions::device_count));
    check_device_count(table.model.expert_count, table.device_count);
    table.experts_per_device = max_slots(table.model.expert_count, table.device_count);
  }
  table.slowdowns = parse_slowdowns(options.devices.slowdown, std::max<std::size_t>(1, table.device_count));
  if (options.devices.tile_tokens > 0) table.tile_tokens = options.devices.tile_tokens;
  table.weight_type = options.devices.asked_weight_type.value_or(
      known_weight_type(served_weights(table.model.weight_dtype)).value_or(WeightType::Bf16));
  table.columns = options.table_columns;
  TabulatedProfile result = profile_from_table(read_needed_text(options.from_table), options.from_table, table);
  result.profile.topology = stated_topology(options.topology, {}, result.profile.device_count());
  return result;
}

ValidationLoads draw_validation_loads(const ProfileOptions& options, const ProfileSetup& setup) {
  ValidationLoads loads;
  const std::size_t slots = setup.plan.experts_per_device;
  // Of a profile for workloads within what they need: nothing is measured for others.
  LoadDistribution random = random_loads_of(setup.plan);
  random.least_tokens = std::clamp(setup.range.least_tokens, random.least_tokens, random.most_tokens);
  random.least_active = setup.range.least_active;
  add_random_loads(loads, options.validation_loads, slots, random, options.seed);
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

JsonRecord plan_record(const LatencyProfile& plan) {
  std::vector<JsonRecord> points;
  for (const LoadPoint& point : plan.points)
    points.push_back(
        JsonRecord().add("active_experts", point.active_experts).add("tiles", point.tiles).add("tokens", point.tokens));
  JsonRecord record;
  record.add("dry_run", true).add("model", plan.model).add("tile_tokens", plan.tile_tokens).add("plan", points);
  if (!plan.regimes.empty()) record.add("regimes", regime_records(plan));
  return record;
}

}  // namespace gem
