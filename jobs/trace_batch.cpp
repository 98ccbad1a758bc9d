// gem-trace batch: token-level routing -> step trace.
#include <fmt/core.h>
#include <iostream>

#include "base/quoting.hpp"
#include "base/text.hpp"
#include "files/routing_file.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/result_output.hpp"
#include "trace_commands.hpp"
#include "workload/batching.hpp"
#include "workload/pair_counting.hpp"

namespace gem {
namespace {

struct BatchJob {
  std::string routing;
  std::string output;
  BatchingOptions batching;
  bool pairs = false;
  bool dry_run = false;
  bool quiet = false;
};

void describe(OptionList& options, BatchJob& job) {
  options.group("Files");
  options.add_file("routing", job.routing, "FILE", "token-level routing (gem.routing)").required();
  options.add_file("output", job.output, "FILE", "step trace to write (gem.trace)").required_to_write();
  describe(options, job.batching);
  options.add("part", job.batching.part, "requests to use: train or test, which have no request in common, or all");
  options.add("pairs", job.pairs,
              "keep, beside counts, which experts tokens use together (8 bytes for each two experts of a layer), which "
              "gem-map needs where a token is sent to a node once");
  options.group("Common");
  options.add("dry-run", job.dry_run, "say what would be made, write nothing");
}

bool parse(const Arguments& arguments, BatchJob& job) {
  CommandLine line("gem-trace batch",
                   "batches token-level routing into a step trace; which requests share a step is simulated.");
  line.add(job);
  const std::string routing = "gem-trace batch --routing jobs/data/routing/gpt-oss-20b.mmlu.h5 ";
  line.add_example(routing + "--batch-size 256 --steps 128 --part train --output train.h5");
  line.add_example(routing + "--batch-size 256 --steps 128 --part test --output test.h5");
  line.add_example(routing + "--phase prefill --chunk-tokens 4096 --steps 128 --output prefill.h5");
  if (!line.parse({arguments.begin() + 1, arguments.end()})) return false;
  job.quiet = line.quiet();
  return true;
}

void print_next(const BatchJob& job) {
  const std::string& trace = job.output;
  const bool is_test = job.batching.part == RequestPart::Test, is_train = job.batching.part == RequestPart::Train;
  std::vector<std::vector<std::string>> commands{{"gem-trace", "describe", "--trace", trace}};
  std::vector<std::string> map{"gem-map", "--profile", "PROFILE", "--trace", is_test ? "TRAIN" : trace};
  if (is_test || is_train) map.insert(map.end(), {"--test-trace", is_test ? trace : "TEST"});
  map.insert(map.end(), {"--output", "MAPPING"});
  commands.push_back(map);
  if (is_test) commands.push_back({"gem-verify", "--profile", "PROFILE", "--trace", trace, "--mapping", "MAPPING"});
  std::cout << next_commands(commands);
  if (is_train) std::cout << "TEST is what the same command makes with --part test.\n";
}

}  // namespace

int run_batch(const Arguments& arguments) {
  BatchJob job;
  if (!parse(arguments, job)) return 0;
  const Routing routing = read_routing(job.routing);
  const LoadTrace trace = batch_routing(routing, job.batching);

  const std::vector<std::size_t> requests =
      requests_of_part(routing, job.batching.part, job.batching.split, job.batching.split_seed);
  const double tokens = static_cast<double>(token_count(routing, requests));
  const double uses = static_cast<double>(trace.step_count() * trace.tokens_per_step) / tokens;
  const JsonRecord of_requests =
      JsonRecord().add("requests", requests.size()).add("request_tokens", tokens).add("mean_uses", uses);
  std::cout << fmt::format("Requests: {} of {} (part {}), {:.0f} tokens, used {:.2f} times on average\n",
                           requests.size(), routing.request_count(), word_of(job.batching.part), tokens, uses);
  if (job.dry_run) {
    print_shape(trace);
    std::cout << "Dry run: nothing was written\n";
    print_result(JsonRecord().add("dry_run", true).add_all(of_requests).add_all(shape_record(trace)));
    return 0;
  }
  print_result(store_trace(job.output, trace, arguments, job.batching.seed,
                           job.pairs ? count_pairs(routing, requests) : ExpertPairs{})
                   .add_all(of_requests));
  if (!job.quiet) print_next(job);
  return 0;
}

}  // namespace gem
