// gem-adapt: follows a run in which loads and devices drift, under several policies of re-mapping.
#include <fmt/core.h>
#include <unistd.h>
#include <iostream>
#include <optional>

#include "adaptation/adaptation_job.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "files/adaptation_file.hpp"
#include "files/profile_file.hpp"
#include "files/trace_file.hpp"
#include "mapping/remapping.hpp"
#include "mapping/sample.hpp"
#include "model/profile_doubts.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/program.hpp"
#include "platform/command_line/progress.hpp"
#include "platform/command_line/result_output.hpp"
#include "platform/command_line/terminal.hpp"
#include "platform/file_system/input_file.hpp"
#include "platform/file_system/whole_file.hpp"
#include "verification/selection.hpp"

namespace gem {
namespace {

struct Options : AdaptationRequest {
  std::string profile, output = "adaptation.h5", slowdowns;
  std::vector<std::string> traces;
  TaskOrder order = TaskOrder::InTurn;
  std::size_t period = 512, steps = 0, layer_count = 0;
  std::optional<double> move_s{};
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
                "as long as its profile says; of devices that compute it is emulated by extra time")
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
  options
      .add("layer-count", job.layer_count, "N",
           "run N layers, the first, the last and evenly between: every policy has weights of its own on each device")
      .range(0, 65536)
      .without("all layers");
  describe(options, static_cast<AdaptationRequest&>(job));
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
                   "re-mapping: static, periodic as engines do it, triggered by what is seen, and an oracle. "
                   "Simulated devices take what their profile says, and moves are priced; on host and cuda devices, "
                   "one rank a device, experts are computed and their weights really move.");
  line.add(job);
  line.add_exit_code(1, "triggered gem is significantly slower than static gem, or outputs are wrong");
  for (const char* task : {"mmlu", "gpqa"})
    line.add_example(fmt::format(
        "gem-trace batch --routing jobs/data/routing/gpt-oss-20b.{0}.h5 --batch-size 256 --steps 512 --output {0}.h5",
        task));
  line.add_example(
      "gem-adapt --profile jobs/data/profiles/h100-four-shares.gpt-oss-20b.tile128.h5 --trace mmlu.h5 --trace gpqa.h5 "
      "--move-time 1e-3");
  line.add_example(
      "mpirun -n 4 gem-adapt --device cuda --profile profile.h5 --trace mmlu.h5 --trace gpqa.h5 --layer-count 6 --move "
      "during");
  if (!line.parse(arguments)) return false;
  job.quiet = line.quiet();
  job.run.seed = job.policies.seed;
  moves_weights(job);
  set_patience({job.patience_s, job.quiet});
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
    LoadTrace trace = read_trace(path);
    check_judged_on(trace);
    traces.push_back(job.layer_count == 0 ? std::move(trace)
                                          : layers_of(trace, spread_layers(trace.layer_ids, job.layer_count)));
    if (!job.allow_model_mismatch && to_lower(traces.back().model) != to_lower(profile.model))
      throw option_error(option_name(&Options::allow_model_mismatch),
                         "{} is of model '{}', the profile of '{}'; give traces of the profile's model, or use {} if "
                         "the experts have the same shape",
                         path, traces.back().model, profile.model, option_name(&Options::allow_model_mismatch));
  }
  for (std::size_t layer = 0; layer < traces.front().layer_count(); ++layer)
    if (const std::size_t experts = traces.front().experts_in(layer); experts % profile.device_count() != 0)
      throw UsageError(
          fmt::format("{} experts don't divide over {} devices, which gem-adapt needs; give a profile of as "
                      "many devices as divide them",
                      experts, profile.device_count()));
  return traces;
}

std::string tasks_of(const std::vector<LoadTrace>& traces, TaskOrder order) {
  std::vector<std::string> tasks;
  for (const LoadTrace& trace : traces) tasks.push_back(trace.task);
  return join(tasks, ", ") + (traces.size() > 1 ? " (" + word_of(order) + ")" : "");
}

// What is run, read and checked; the same on every rank.
struct Question {
  LatencyProfile profile;
  std::string tasks;
  Drift drift;
  std::optional<double> move_s;  // none: measured before the run
};

Question read_question(Options& job) {
  Question question;
  question.profile = read_profile(job.profile);
  const std::vector<LoadTrace> traces = read_traces(job, question.profile);
  question.tasks = tasks_of(traces, job.order);
  question.move_s = move_seconds(job.move_s, question.profile);
  if (!question.move_s && !moves_weights(job))
    throw option_error(option_name(&Options::move_s),
                       "{} is needed: the profile doesn't say how fast its devices send each other bytes");
  apply_moving(job, question.profile);
  std::size_t steps = job.steps;
  if (steps == 0)
    for (const LoadTrace& trace : traces) steps += trace.step_count();
  const std::size_t least = job.policies.train_steps + job.policies.window;
  if (steps <= least)
    throw option_error(option_name(&Options::steps),
                       "{}: a run of {} steps is too short for {} to search on and a window of {}; give more", steps,
                       job.policies.train_steps, job.policies.window);
  const std::size_t devices = question.profile.device_count();
  question.drift = make_drift(traces, job.order, job.period, steps, read_slowdowns(job.slowdowns, devices), devices);
  return question;
}

std::string plan_of(const Options& job, const Question& question) {
  const Drift& drift = question.drift;
  const bool live = moves_weights(job);
  const std::string devices =
      live ? fmt::format("{} devices that compute; weights really move, {}", job.device,
                         job.moving == Moving::During ? "while steps go on" : "nothing runs meanwhile")
           : fmt::format("devices (simulated from their profile, noise {:g})", job.run.noise);
  const std::string price = question.move_s ? format_seconds(*question.move_s) : "what is measured before the run";
  return fmt::format(
      "Run: {}, {}, {} steps of which {} are searched on, {} layers x {} experts on {} {}; a move "
      "{} {}{}; {} changes",
      drift.trace.model, question.tasks, drift.trace.step_count(), job.policies.train_steps, drift.trace.layer_count(),
      experts_text(drift.trace.experts_of_layer, drift.trace.expert_count()), question.profile.device_count(), devices,
      live ? "is priced at" : "takes", price, live ? "" : ", nothing runs meanwhile", drift.changes.size());
}

bool write_and_print(const Options& job, const AdaptationReport& report, const std::string& doubts,
                     const std::string& command) {
  const AdaptationFindings findings = findings_of(report, job.policies.seed);
  write_adaptation(job.output, report, provenance_now(command, report.model, job.policies.seed));
  std::cout << "\n" << with_coloured_verdict(findings.text, STDOUT_FILENO);
  print_result(findings_record(report, findings).add("profile_doubts", doubts).add("output", job.output));
  if (!job.quiet) std::cout << "Report: " << job.output << "\n";
  return !findings.is_worse;
}

int run(const Communicator& world, Options& job, const Arguments& arguments) {
  Question question;
  world.on_all([&] { question = read_question(job); });
  const std::string plan = plan_of(job, question);
  const std::vector<ProfileDoubt> doubts = doubts_of(question.profile);
  if (world.is_root()) std::cout << warning_lines(doubts) << plan << "\n" << std::flush;
  if (job.dry_run && world.is_root())
    print_result(JsonRecord().add("dry_run", true).add("plan", plan).add("profile_doubts", join_doubts(doubts)));
  if (job.dry_run) return static_cast<int>(ExitCode::Good);
  world.on_root([&] {
    expect_writable(job.output);
    set_termination_message("gem-adapt: ended from outside; nothing was written, " + job.output +
                            " is as it was: start again");
  });
  Progress progress("steps", question.drift.trace.step_count() - job.policies.train_steps,
                    world.is_root() && !job.quiet);
  AdaptationReport report = run_adaptation(world, job, question.profile, question.drift, question.move_s,
                                           [&](std::size_t done) { progress.update(done); });
  report.tasks = question.tasks;
  bool is_good = false;
  world.on_root([&] { is_good = write_and_print(job, report, join_doubts(doubts), command_line_text(arguments)); });
  is_good = world.broadcast(is_good ? 1 : 0) == 1;
  return static_cast<int>(is_good ? ExitCode::Good : ExitCode::NegativeVerdict);
}

}  // namespace
}  // namespace gem

int main(int argc, char** argv) {
  gem::Options options;
  return gem::run_mpi_program(
      argc, argv, [&](const gem::Arguments& arguments) { return gem::parse(arguments, options); },
      [&](const gem::Communicator& world, const gem::Arguments& arguments) {
        return gem::run(world, options, arguments);
      });
}
