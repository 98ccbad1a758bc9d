// gem-trace synthesize: a step trace from stated parameters.
#include <iostream>

#include "base/error.hpp"
#include "base/text.hpp"
#include "model/moe_model.hpp"
#include "platform/command_line/command_line.hpp"
#include "trace_commands.hpp"
#include "workload/synthesis.hpp"
#include "workload/trace_size.hpp"

namespace gem {
namespace {

struct SynthesizeJob {
  std::string model;
  std::string task = "synthetic";
  std::string phase = "decode";
  std::string output;
  std::size_t layers = 0;
  SynthesisOptions synthesis;
  bool dry_run = false;
  bool quiet = false;
};

bool parse(const Arguments& arguments, SynthesizeJob& job) {
  SynthesisOptions& synthesis = job.synthesis;
  CommandLine line("gem-trace synthesize",
                   "draws a step trace from a stated model (src/workload/synthesis.hpp): Weibull popularity, groups of "
                   "experts that burst together, every count conserved.");
  line.add("model", &job.model, "NAME", "shape of a known model, or FILE.csv of one's own; or else:");
  line.add("experts", &synthesis.expert_count, "N", "routed experts a layer");
  line.add("layers", &job.layers, "N", "MoE layers");
  line.add("top-k", &synthesis.top_k, "N", "experts a token");
  line.add("tokens", &synthesis.tokens_per_step, "N", "tokens a step");
  line.add("steps", &synthesis.steps, "N", "steps");
  line.add("skew", &synthesis.skew, "X",
           "mean load of the busiest expert over the mean of all, as describe prints it; 1 or less: all alike");
  line.add("temporal-share", &synthesis.temporal_share, "F", "share of the experts that burst");
  line.add("burstiness", &synthesis.burstiness, "X",
           "load of such an expert in a burst over its own mean; 1 or less: no bursts");
  line.add("burst-share", &synthesis.burst_share, "F", "share of the steps that it is in a burst");
  line.add("burst-steps", &synthesis.burst_steps, "X", "mean length of a burst, steps");
  line.add("correlation", &synthesis.correlation, "F", "how far the experts of a group (of at most 4) burst together");
  line.add("task", &job.task, "NAME", "name of the task in the file");
  line.add("phase", &job.phase, "PHASE", "decode or prefill, as the file shall say");
  line.add("seed", &synthesis.seed, "N", "random seed");
  line.add("output", &job.output, "FILE", "step trace to write (gem.trace)");
  line.add_flag("dry-run", &job.dry_run, "say what would be made, write nothing");
  line.add_example("gem-trace synthesize --model gpt-oss-20b --tokens 256 --steps 256 --output trace.h5");
  line.add_example("gem-trace synthesize --experts 16 --layers 4 --top-k 2 --skew 1 --burstiness 1 --output even.h5");
  if (!line.parse({arguments.begin() + 1, arguments.end()})) return false;
  job.quiet = line.quiet();
  if (!job.dry_run) require_option(job.output, "output", "the trace file to write");
  if (job.phase != "decode" && job.phase != "prefill")
    throw UsageError("--phase '" + job.phase + "' is unknown; it is decode or prefill");
  return true;
}

/// Takes experts, layers and top-k from the model, or the model's name from none.
void take_shape(SynthesizeJob& job) {
  SynthesisOptions& synthesis = job.synthesis;
  if (job.model.empty()) {
    if (synthesis.expert_count == 0 || job.layers == 0 || synthesis.top_k == 0)
      throw UsageError("the model's shape is missing; give --model NAME, or --experts, --layers and --top-k");
    check_trace_size({synthesis.steps, job.layers, synthesis.expert_count, synthesis.tokens_per_step});
    job.model = "synthetic";
    for (std::size_t layer = 0; layer < job.layers; ++layer)
      synthesis.layer_ids.push_back(static_cast<std::int32_t>(layer));
    return;
  }
  if (synthesis.expert_count > 0 || job.layers > 0 || synthesis.top_k > 0)
    throw UsageError("--model already says the shape; give either it, or --experts, --layers and --top-k");
  const MoeModel model = model_of_option(job.model);
  job.model = model.name;
  synthesis.expert_count = model.expert_count;
  synthesis.top_k = model.top_k;
  synthesis.layer_ids = moe_layer_ids(model);
}

}  // namespace

int run_synthesize(const Arguments& arguments) {
  SynthesizeJob job;
  if (!parse(arguments, job)) return 0;
  take_shape(job);
  LoadTrace trace = synthesize_trace(job.synthesis);
  trace.model = job.model;
  trace.task = job.task;
  trace.phase = job.phase;
  if (job.dry_run) {
    print_shape(trace);
    std::cout << "Dry run: nothing was written\n";
    return 0;
  }
  store_trace(job.output, trace, arguments, job.synthesis.seed);
  if (!job.quiet)
    std::cout << "Next: gem-trace describe --trace " << job.output << "\n      gem-map --profile PROFILE --trace "
              << job.output << " --output MAPPING\n";
  return 0;
}

}  // namespace gem
