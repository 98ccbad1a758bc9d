// gem-trace split: one trace into two, by steps.
#include <fmt/core.h>
#include <iostream>
#include <optional>

#include "base/error.hpp"
#include "base/quoting.hpp"
#include "base/text.hpp"
#include "files/trace_file.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/result_output.hpp"
#include "trace_commands.hpp"

namespace gem {
namespace {

struct SplitJob {
  std::string trace;
  std::optional<std::size_t> train_steps;
  std::string output_train;
  std::string output_test;
  bool dry_run = false;
  bool quiet = false;
};

void describe(OptionList& options, SplitJob& job) {
  options.group("Files");
  options.add_file("trace", job.trace, "FILE", "step trace (gem.trace)").required();
  options.add("train-steps", job.train_steps, "N", "steps of the first file; the second one gets the rest").required();
  options.add_file("output-train", job.output_train, "FILE", "first steps, to search on").required_to_write();
  options.add_file("output-test", job.output_test, "FILE", "later steps, to judge by").required_to_write();
  options.group("Common");
  options.add("dry-run", job.dry_run, "say what would be made, write nothing");
}

bool parse(const Arguments& arguments, SplitJob& job) {
  CommandLine line(
      "gem-trace split",
      "cuts a trace into its first steps and the later ones. Both come from the same requests, so the part "
      "in the files stays what it was; for requests never seen use batch --part.");
  line.add(job);
  line.add_example("gem-trace synthesize --model gpt-oss-20b --output trace.h5");
  line.add_example("gem-trace split --trace trace.h5 --train-steps 128 --output-train first.h5 --output-test later.h5");
  if (!line.parse({arguments.begin() + 1, arguments.end()})) return false;
  job.quiet = line.quiet();
  return true;
}

}  // namespace

int run_split(const Arguments& arguments) {
  SplitJob job;
  if (!parse(arguments, job)) return 0;
  if (!read_pairs(job.trace).empty())
    std::cout << "Note: which experts tokens use together is of all steps, and left out of\nboth files\n";
  const std::size_t train_steps = *job.train_steps, steps = count_steps(job.trace);
  if (train_steps == 0 || train_steps >= steps)
    throw option_error(option_name(&SplitJob::train_steps),
                       "{} {} must leave both files a step; {} has {}, so give 1 to {}", train_steps, job.trace, steps,
                       steps - 1);
  // A trace may be larger than the memory: one part at a time, and both are looked at before the first is written.
  const auto train = [&] { return read_steps(job.trace, 0, train_steps); };
  const auto test = [&] { return read_steps(job.trace, train_steps, steps - train_steps); };
  if (job.dry_run) {
    const auto show = [](const LoadTrace& part) {
      print_shape(part);
      return shape_record(part);
    };
    const JsonRecord shown_train = show(train()), shown_test = show(test());
    std::cout << "Dry run: nothing was written\n";
    print_result(JsonRecord().add("dry_run", true).add("train", shown_train).add("test", shown_test));
    return 0;
  }
  test();
  const JsonRecord stored_train = store_trace(job.output_train, train(), arguments, 0),
                   stored_test = store_trace(job.output_test, test(), arguments, 0);
  print_result(JsonRecord().add("train", stored_train).add("test", stored_test));
  if (!job.quiet)
    std::cout << next_commands({{"gem-map", "--profile", "PROFILE", "--trace", job.output_train, "--test-trace",
                                 job.output_test, "--output", "MAPPING"}});
  return 0;
}

}  // namespace gem
