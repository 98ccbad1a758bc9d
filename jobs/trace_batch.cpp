// gem-trace batch: token-level routing -> step trace.
#include <fmt/core.h>
#include <iostream>

#include "base/text.hpp"
#include "files/routing_file.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/file_system/whole_file.hpp"
#include "trace_commands.hpp"
#include "workload/batching.hpp"

namespace gem {
namespace {

struct BatchJob {
  std::string routing;
  std::string output;
  BatchingOptions batching;
  bool dry_run = false;
  bool quiet = false;
};

bool parse(const Arguments& arguments, BatchJob& job) {
  CommandLine line("gem-trace batch",
                   "batches token-level routing into a step trace; which requests share a step is simulated.");
  line.add("routing", &job.routing, "FILE", "token-level routing (gem.routing)");
  line.add("output", &job.output, "FILE", "step trace to write (gem.trace)");
  line.add("phase", &job.batching.phase, "PHASE", "decode or prefill, whatever the routing file says");
  line.add("batch-size", &job.batching.batch_size, "N",
           "decode: slots of continuous batching, so tokens a step; a request leaves when done, the next one enters "
           "at once; 0: 256");
  line.add("chunk-tokens", &job.batching.chunk_tokens, "N",
           "prefill: tokens a step, cut from requests laid one after the other; 0: 512");
  line.add("steps", &job.batching.steps, "N",
           "steps to make, all of them full; requests are drawn again, in shuffled passes, as often as needed; 0: as "
           "many as one pass fills");
  line.add("part", &job.batching.part, "PART",
           "requests to use: train or test, which have no request in common, or all");
  line.add("split", &job.batching.split, "F", "the train part's share of the tokens");
  line.add("split-seed", &job.batching.split_seed, "N",
           "which requests are the train part; keep it the same for train and test");
  line.add("seed", &job.batching.seed, "N", "order of the requests and start of the slots");
  line.add_flag("dry-run", &job.dry_run, "say what would be made, write nothing");
  line.add_example("gem-trace batch --routing routing.h5 --batch-size 256 --steps 128 --part train --output train.h5");
  line.add_example("gem-trace batch --routing routing.h5 --batch-size 256 --steps 128 --part test --output test.h5");
  line.add_example("gem-trace batch --routing routing.h5 --phase prefill --chunk-tokens 4096 --output prefill.h5");
  if (!line.parse({arguments.begin() + 1, arguments.end()})) return false;
  job.quiet = line.quiet();
  require_option(job.routing, "routing", "the gem.routing file to batch");
  if (!job.dry_run) {
    require_option(job.output, "output", "the trace file to write");
    keep_input(job.routing, job.output);
  }
  return true;
}

void print_next(const BatchJob& job) {
  std::cout << "Next: gem-trace describe --trace " << job.output;
  if (job.batching.part == "test") {
    std::cout << "\n      gem-map --profile PROFILE --trace TRAIN --test-trace " << job.output << " --output MAPPING"
              << "\n      gem-verify --profile PROFILE --trace " << job.output << " --mapping MAPPING\n";
    return;
  }
  if (job.batching.part == "train") std::cout << "\n      the same command with --part test, for steps to judge by";
  std::cout << "\n      gem-map --profile PROFILE --trace " << job.output
            << (job.batching.part == "train" ? " --test-trace TEST" : "") << " --output MAPPING\n";
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
  std::cout << fmt::format("Requests: {} of {} (part {}), {:.0f} tokens, used {:.2f} times on average\n",
                           requests.size(), routing.request_count(), job.batching.part, tokens,
                           static_cast<double>(trace.step_count() * trace.tokens_per_step) / tokens);
  if (job.dry_run) {
    print_shape(trace);
    std::cout << "Dry run: nothing was written\n";
    return 0;
  }
  store_trace(job.output, trace, arguments, job.batching.seed);
  if (!job.quiet) print_next(job);
  return 0;
}

}  // namespace gem
