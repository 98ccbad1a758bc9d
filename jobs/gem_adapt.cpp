// gem-adapt: follows a run in which loads and devices drift, under several policies of re-mapping.
#include <fmt/core.h>
#include <unistd.h>
#include <iostream>
#include <optional>

#include "adaptation/follow.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "files/adaptation_file.hpp"
#include "files/profile_file.hpp"
#include "files/trace_file.hpp"
#include "mapping/remapping.hpp"
#include "mapping/sample.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/json_output.hpp"
#include "platform/command_line/program.hpp"
#include "platform/command_line/progress.hpp"
#include "platform/command_line/terminal.hpp"
#include "platform/file_system/input_file.hpp"
#include "platform/file_system/named_files.hpp"
#include "platform/file_system/whole_file.hpp"

namespace gem {
namespace {

struct Options {
  std::string profile, output = "adaptation.h5", slowdowns;
  std::vector<std::string> traces;
  TaskOrder order = TaskOrder::InTurn;
  std::size_t period = 512, steps = 0;
  std::optional<double> move_s{};
  AdaptationOptions policies{};
  FollowOptions run{};
  std::size_t moves_a_step = 0;
  bool allow_model_mismatch = false, dry_run = false, quiet = false;
};

void describe(OptionList& options, Options& job) {
  options.group("Files");
  options.add_file("profile", job.profile, "FILE", "latencies of the devices, from gem-profile").required();
  options
      .add_files("trace", job.traces, "FILE",
                 "steps of a task, from gem-trace; several, all of one model, for tasks that change")
      .required();
  options
      .add_file("slowdown-changes", job.slowdowns, "FILE.csv",
                "how devices drift: lines 'step,device,slowdown', from that step on the device takes so many times "
                "as long as its profile says")
      .without("no device does");
  options.add_file("output", job.output, "FILE", "report to write");
  options.group("The run");
  options.add("task-order", job.order,
              "how the traces follow each other: each once (in-turn), each for a period again and again "
              "(alternating), or from all of the first to all of the last little by little (mixed)");
  options.add("period", job.period, "N", "steps of a task before the next, alternating").range(1, 1e9);
  options.add("steps", job.steps, "N", "steps of the run; traces begin anew where they end")
      .range(0, 1e7)
      .without("as many as the traces have together");
  options.add("noise", job.run.noise, "SIGMA", "scatter of a measured time, standard deviation of its logarithm")
      .range(0, 1);
  options.group("Policies");
  options
      .add(
          "train-steps", job.policies.train_steps, "N",
          "steps at the run's beginning that the first placements are searched on; all policies are judged on the rest")
      .range(16, 1e6);
  options.add("window", job.policies.window, "N", "last steps that triggered gem looks at").range(32, 1e6);
  options.add("interval", job.policies.interval, "N", "steps between two looks of triggered gem").range(1, 1e6);
  options
      .add("horizon", job.policies.horizon_steps, "STEPS",
           "triggered gem moves what pays within so many steps; the oracle looks as far ahead, up to the next change")
      .above(0, 1e12);
  options.add("max-moves", job.policies.max_moves, "N", "experts of a layer that triggered gem moves at a time")
      .range(1, 1e6);
  options
      .add("moves-per-step", job.moves_a_step, "N",
           "experts that triggered gem moves before a step; what is left waits, a layer's go together")
      .range(0, 1e6)
      .without("any number");
  options.add("engine-window", job.policies.engine_window, "N", "last steps that the periodic policies look at")
      .range(1, 1e6);
  options.add("engine-interval", job.policies.engine_interval, "N", "steps between two of their re-mappings")
      .range(1, 1e6);
  describe_move_time(options, job.move_s);
  options.group("Common");
  options.add("allow-model-mismatch", job.allow_model_mismatch,
              "go on although profile and traces name different models");
  options.add("seed", job.policies.seed, "N", "seed of all random choices: searches, noise, bootstrap");
  options.add("dry-run", job.dry_run, "say what would be run, and end");
}

bool parse(const Arguments& arguments, Options& job) {
  CommandLine line("gem-adapt",
                   "runs a long trace whose tasks change, on devices whose speed drifts, under several policies of "
                   "re-mapping: static, periodic as engines do it, triggered by what is seen, and an oracle. Devices "
                   "are simulated from their profile, moves are priced.");
  line.add(job);
  line.add_exit_code(1, "triggered gem is significantly slower than static gem");
  for (const char* task : {"mmlu", "gpqa"})
    line.add_example(fmt::format(
        "gem-trace batch --routing jobs/data/routing/gpt-oss-20b.{0}.h5 --batch-size 256 --steps 512 --output {0}.h5",
        task));
  line.add_example(
      "gem-adapt --profile jobs/data/profiles/h100-four-shares.gpt-oss-20b.tile128.h5 --trace mmlu.h5 --trace gpqa.h5 "
      "--move-time 1e-3");
  if (!line.parse(arguments)) return false;
  job.quiet = line.quiet();
  if (job.moves_a_step > 0) job.run.moves_a_step = job.moves_a_step;
  job.run.seed = job.policies.seed;
  return true;
}

std::vector<SlowdownChange> read_slowdowns(const std::string& path, std::size_t device_count) {
  if (path.empty()) return {};
  return parse_slowdown_changes(read_whole_text(path, std::uint64_t{64} << 20), path, device_count);
}

// Traces in their order, each of the profile's model.
std::vector<LoadTrace> read_traces(const Options& job, const LatencyProfile& profile) {
  std::vector<LoadTrace> traces;
  for (const std::string& path : job.traces) {
    traces.push_back(read_trace(path));
    check_judged_on(traces.back());
    if (!job.allow_model_mismatch && to_lower(traces.back().model) != to_lower(profile.model))
      throw option_error(option_name(&Options::allow_model_mismatch),
                         "{} is of model '{}', the profile of '{}'; give traces of the profile's model, or use {} if "
                         "the experts have the same shape",
                         path, traces.back().model, profile.model, option_name(&Options::allow_model_mismatch));
  }
  if (traces.front().expert_count() % profile.device_count() != 0)
    throw UsageError(
        fmt::format("{} experts don't divide over {} devices, which gem-adapt needs; give a profile of as "
                    "many devices as divide them",
                    traces.front().expert_count(), profile.device_count()));
  return traces;
}

std::string tasks_of(const std::vector<LoadTrace>& traces, TaskOrder order) {
  std::vector<std::string> tasks;
  for (const LoadTrace& trace : traces) tasks.push_back(trace.task);
  return join(tasks, ", ") + (traces.size() > 1 ? " (" + word_of(order) + ")" : "");
}

int run(const Arguments& arguments) {
  Options job;
  if (!parse(arguments, job)) return static_cast<int>(ExitCode::Good);
  std::vector<NamedFile> inputs = named_files("--trace", job.traces);
  inputs.insert(inputs.end(), {{"--profile", job.profile}, {"--slowdown-changes", job.slowdowns}});
  keep_apart(inputs, {{{"--output", job.output}}});
  const LatencyProfile profile = read_profile(job.profile);
  const std::vector<LoadTrace> traces = read_traces(job, profile);
  const std::optional<double> move_s = move_seconds(job.move_s, profile);
  if (!move_s)
    throw option_error(option_name(&Options::move_s),
                       "{} is needed: the profile doesn't say how fast its devices send each other bytes");
  job.policies.move_s = *move_s;
  std::size_t steps = job.steps;
  if (steps == 0)
    for (const LoadTrace& trace : traces) steps += trace.step_count();
  const std::size_t least = job.policies.train_steps + job.policies.window;
  if (steps <= least)
    throw option_error(option_name(&Options::steps),
                       "{}: a run of {} steps is too short for {} to search on and a window of {}; give more", steps,
                       job.policies.train_steps, job.policies.window);
  const Drift drift = make_drift(traces, job.order, job.period, steps,
                                 read_slowdowns(job.slowdowns, profile.device_count()), profile.device_count());
  const std::string plan = wrap(
      fmt::format("Run: {}, {}, {} steps of which {} are searched on, {} layers x {} experts on {} devices (simulated "
                  "from their profile, noise {:g}); a move takes {}, nothing runs meanwhile; {} changes",
                  drift.trace.model, tasks_of(traces, job.order), steps, job.policies.train_steps,
                  drift.trace.layer_count(), drift.trace.expert_count(), profile.device_count(), job.run.noise,
                  format_seconds(*move_s), drift.changes.size()));
  std::cout << plan << "\n";
  if (job.dry_run) {
    print_json(JsonRecord().add("dry_run", true).add("plan", plan));
    return static_cast<int>(ExitCode::Good);
  }
  expect_writable(job.output);
  set_termination_message("gem-adapt: ended from outside; nothing was written, " + job.output +
                          " is as it was: start again");
  Progress progress("steps", steps - job.policies.train_steps, !job.quiet);
  AdaptationReport report =
      follow(profile, drift, job.policies, job.run, [&](std::size_t done) { progress.update(done); });
  report.model = drift.trace.model;
  report.tasks = tasks_of(traces, job.order);
  report.expert_bytes = expert_bytes_of(profile);
  const AdaptationFindings findings = findings_of(report, job.policies.seed);
  write_adaptation(job.output, report, provenance_now(command_line_text(arguments), report.model, job.policies.seed));
  std::cout << "\n" << with_coloured_verdict(findings.text, STDOUT_FILENO);
  print_json(findings_record(report, findings).add("output", job.output));
  if (!job.quiet) std::cout << "Report: " << job.output << "\n";
  return static_cast<int>(findings.is_worse ? ExitCode::NegativeVerdict : ExitCode::Good);
}

}  // namespace
}  // namespace gem

int main(int argc, char** argv) {
  return gem::run_serial_program(argc, argv, gem::run);
}
