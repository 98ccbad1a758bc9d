// gem-trace split: one trace into two, by steps.
#include <fmt/core.h>
#include <iostream>

#include "base/error.hpp"
#include "base/text.hpp"
#include "files/trace_file.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/file_system/whole_file.hpp"
#include "trace_commands.hpp"

namespace gem {
namespace {

struct SplitJob {
  std::string trace;
  std::size_t train_steps = 0;
  std::string output_train;
  std::string output_test;
  bool dry_run = false;
  bool quiet = false;
};

bool parse(const Arguments& arguments, SplitJob& job) {
  CommandLine line(
      "gem-trace split",
      "cuts a trace into its first steps and the later ones. Both come from the same requests, so the part "
      "in the files stays what it was; for requests never seen use batch --part.");
  line.add("trace", &job.trace, "FILE", "step trace (gem.trace)");
  line.add("train-steps", &job.train_steps, "N", "steps of the first file; the second one gets the rest");
  line.add("output-train", &job.output_train, "FILE", "first steps, to search on");
  line.add("output-test", &job.output_test, "FILE", "later steps, to judge by");
  line.add_flag("dry-run", &job.dry_run, "say what would be made, write nothing");
  line.add_example("gem-trace split --trace trace.h5 --train-steps 128 --output-train first.h5 --output-test later.h5");
  if (!line.parse({arguments.begin() + 1, arguments.end()})) return false;
  job.quiet = line.quiet();
  require_option(job.trace, "trace", "the gem.trace file to split");
  if (job.dry_run) return true;
  require_option(job.output_train, "output-train", "the file for the first steps");
  require_option(job.output_test, "output-test", "the file for the later steps");
  keep_input(job.trace, job.output_train);
  keep_input(job.trace, job.output_test);
  if (job.output_train == job.output_test)
    throw UsageError("--output-train and --output-test are the same file; give two names");
  return true;
}

}  // namespace

int run_split(const Arguments& arguments) {
  SplitJob job;
  if (!parse(arguments, job)) return 0;
  const LoadTrace trace = read_trace(job.trace);
  if (job.train_steps == 0 || job.train_steps >= trace.step_count())
    throw UsageError(fmt::format("--train-steps {} must leave both files a step; {} has {}, so give 1 to {}",
                                 job.train_steps, job.trace, trace.step_count(), trace.step_count() - 1));
  const LoadTrace train = steps_of(trace, 0, job.train_steps);
  const LoadTrace test = steps_of(trace, job.train_steps, trace.step_count() - job.train_steps);
  if (job.dry_run) {
    print_shape(train);
    print_shape(test);
    std::cout << "Dry run: nothing was written\n";
    return 0;
  }
  store_trace(job.output_train, train, arguments, 0);
  store_trace(job.output_test, test, arguments, 0);
  if (!job.quiet)
    std::cout << "Next: gem-map --profile PROFILE --trace " << job.output_train << " --test-trace " << job.output_test
              << " --output MAPPING\n";
  return 0;
}

}  // namespace gem
