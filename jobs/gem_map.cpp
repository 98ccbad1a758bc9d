// gem-map: finds which device should hold which experts.
#include <fmt/core.h>
#include <iostream>

#include "base/error.hpp"
#include "base/text.hpp"
#include "files/mapping_file.hpp"
#include "files/profile_file.hpp"
#include "files/trace_file.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/program.hpp"
#include "platform/file_system/whole_file.hpp"
#include "search/mapping_answer.hpp"
#include "search/mapping_request.hpp"
#include "search/search_plan.hpp"

namespace gem {
namespace {

struct Options : MappingRequest {
  std::string profile, trace, test_trace, output, method = "gem";
  double time_limit_s = 0.0;
  Selection selection;
  bool certify = false, dry_run = false, quiet = false;
};

bool parse(const Arguments& arguments, Options& options) {
  CommandLine line("gem-map",
                   "finds, for every MoE layer, which device should hold which experts, so that the slowest "
                   "device of each step is as fast as can be. Runs on any number of ranks; the mapping does "
                   "not depend on how many.");
  line.add("profile", &options.profile, "FILE", "latencies of the devices, from gem-profile");
  line.add("trace", &options.trace, "FILE", "routing statistics to search on, from gem-trace");
  line.add("test-trace", &options.test_trace, "FILE",
           "score the mappings on this trace too, best of disjoint requests");
  line.add("train-steps", &options.selection.train_steps, "N",
           "search on the first N steps; without --test-trace the rest are scored (0: all steps)");
  line.add("output", &options.output, "FILE", "mapping file to write");
  line.add("method", &options.method, "NAME", "what to write: linear, round-robin, eplb, speed-aware, paper or gem");
  line.add("objective", &options.objective, "NAME", "what gem makes least: the mean step, or p99, the slowest steps");
  line.add(
      "exchange-row-time", &options.exchange_row_ns, "NANOSECONDS",
      "make whole layers fast: count, beside the slowest device's compute, so much of dispatch and combine for each "
      "row of the device that gets most, as gem-verify finds it (0: compute alone)");
  line.add("effort", &options.effort, "NAME", "fast, default or thorough: sets starts and iterations");
  line.add("starts", &options.starts, "N", "assignments that each layer's search starts from (0: by effort)");
  line.add("iterations", &options.iterations, "N", "disturbances of each start (0: by effort)");
  line.add("mixed-steps", &options.mixed_steps, "N",
           "search on at least N steps: one half the trace's own, the other mixtures of two of them, because a mapping "
           "fits few steps too well (0: the trace's own only)");
  line.add("time-limit", &options.time_limit_s, "SECONDS",
           "stop the search after this time (0: none); the mapping then depends on the machine's speed and is not "
           "repeatable");
  line.add("seed", &options.seed, "N", "of all random choices");
  line.add_flag("certify", &options.certify, "bound and gap of each layer, with proofs of optimality for few experts");
  line.add("devices", &options.selection.devices, "N", "use the first N devices of the profile (0: all)");
  line.add_flag("equal-devices", &options.selection.equal_devices,
                "give every device the mean latency: what if they were equal?");
  line.add(
      "redundant-experts", &options.redundant_experts, "N",
      "further copies of experts a layer, a multiple of the devices: the copies of an expert share its tokens; gem "
      "chooses by search who gets them, eplb and speed-aware by mean load (0: none)");
  line.add("expert-groups", &options.expert_groups, "N",
           "keep the model's N groups of consecutive experts together (DeepSeek-V2 and V3: 8), so that gem-deploy "
           "permute can deploy the mapping in a checkpoint; 1: any mapping");
  line.add("features", &options.features, "NAME", "search on latency over tiles and active experts, or over tokens");
  line.add_flag("allow-model-mismatch", &options.selection.allow_model_mismatch,
                "map although profile and trace name different models");
  line.add_flag("dry-run", &options.dry_run, "say what would be searched and how long it may take");
  line.add_example("gem-map --profile profile.h5 --trace train.h5 --test-trace test.h5 --output mapping.h5");
  line.add_example(
      "mpirun -n 16 gem-map --profile profile.h5 --trace trace.h5 --train-steps 128 --effort thorough "
      "--output mapping.h5");
  if (!line.parse(arguments)) return false;
  options.quiet = line.quiet();
  require_option(options.profile, "profile", "latencies of the devices, as gem-profile writes them");
  require_option(options.trace, "trace", "routing statistics, as gem-trace writes them");
  if (options.time_limit_s < 0.0)
    throw UsageError(fmt::format("--time-limit: {:g} s is below 0", options.time_limit_s));
  if (!options.dry_run) require_option(options.output, "output", "the mapping file to write");
  return true;
}

// What replays the mapping on all of the profile's devices; of steps that were all searched on, others are wanted.
std::string next_hint(const Arguments& arguments, const Options& options, const MappingQuestion& question) {
  std::vector<std::string> command{program_beside(arguments, "gem-verify"), "--profile", options.profile, "--trace"};
  const bool held_out = question.test && question.relation != HeldOut::InSample;
  command.push_back(!held_out ? "TEST" : options.test_trace.empty() ? options.trace : options.test_trace);
  command.insert(command.end(), {"--mapping", options.output});
  if (question.profile.device_kind != "simulated") {
    if (question.exchange_row_s > 0.0) command.insert(command.end(), {"--judge-by", "layer"});
    const std::string ranks = fmt::format("{}", question.profile.device_count());
    command.insert(command.begin(), {"mpirun", "-n", ranks});
  }
  return "Next: " + command_line_text(command) + "\n";
}

int run(const Communicator& world, const Arguments& arguments, const Options& options) {
  MappingQuestion question = make_question(options, parse_method(options.method));
  question.certify = options.certify;
  question.search.time_limit_s = options.time_limit_s;
  question.search.show_progress = !options.quiet;
  world.on_root([&] {
    if (!options.dry_run) {
      for (const std::string& input : {options.profile, options.trace, options.test_trace})
        keep_input(input, options.output);
      expect_writable(options.output);
    }
    question.profile = read_profile(options.profile);
    question.train = read_trace(options.trace);
    if (!options.test_trace.empty()) question.test = read_trace(options.test_trace);
    prepare(question, options.selection);
  });
  share(world, question);

  if (options.dry_run) {
    const std::string plan = describe_search_plan(world, question);
    if (world.is_root()) std::cout << plan;
    return static_cast<int>(ExitCode::Good);
  }
  const MappingAnswer answer = find_mapping(world, question);
  world.on_root([&] {
    write_mapping(options.output, answer.mapping,
                  provenance_now(command_line_text(arguments), question.train.model, options.seed));
    std::cout << answer.report;
    if (options.quiet) return;
    std::cout << "Written: " << options.output << " (method " << options.method << ")\n"
              << drawing_hint(arguments, {options.profile, options.trace, options.test_trace, options.output});
    if (question.method != Method::Linear && options.selection.devices == 0)
      std::cout << next_hint(arguments, options, question);
  });
  return static_cast<int>(ExitCode::Good);
}

}  // namespace
}  // namespace gem

int main(int argc, char** argv) {
  gem::Options options;
  return gem::run_mpi_program(
      argc, argv, [&](const gem::Arguments& arguments) { return gem::parse(arguments, options); },
      [&](const gem::Communicator& world, const gem::Arguments& arguments) {
        return gem::run(world, arguments, options);
      });
}
