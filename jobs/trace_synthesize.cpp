// gem-trace synthesize: a step trace from stated parameters.
#include <iostream>

#include "base/error.hpp"
#include "base/quoting.hpp"
#include "base/text.hpp"
#include "model/moe_model.hpp"
#include "model/trace_words.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/result_output.hpp"
#include "trace_commands.hpp"
#include "workload/synthesis.hpp"
#include "workload/trace_size.hpp"

namespace gem {
namespace {

struct SynthesizeJob {
  std::string model;
  std::string task = "synthetic";
  Phase phase = Phase::Decode;
  std::string output;
  std::size_t layers = 0;
  SynthesisOptions synthesis;
  bool dry_run = false;
  bool quiet = false;
};

void describe(OptionList& options, SynthesizeJob& job) {
  SynthesisOptions& synthesis = job.synthesis;
  options.group("Files");
  options.add_file("output", job.output, "FILE", "step trace to write (gem.trace)").required_to_write();
  options.group("Size");
  options.add("model", job.model, "NAME|FILE.csv[:NAME]",
              "a known model's shape or one's own; or else {experts}, {layers} and {top-k}");
  options.add("experts", synthesis.expert_count, "N", "routed experts a layer").range(0, 65536).without("the model's");
  options.add("layers", job.layers, "N", "MoE layers").range(0, 65536).without("the model's");
  options.add("top-k", synthesis.top_k, "N", "experts a token").range(0, 65536).without("the model's");
  options.add("tokens", synthesis.tokens_per_step, "N", "tokens a step").range(1, most_tokens_of_step);
  options.add("steps", synthesis.steps, "N", "steps").range(1, 1e8);
  describe(options, synthesis);
  options.group("Names in the file");
  options.add("task", job.task, "NAME", "name of the task");
  options.add("phase", job.phase, "what the file shall say");
  options.group("Common");
  options.add("dry-run", job.dry_run, "say what would be made, write nothing");
}

bool parse(const Arguments& arguments, SynthesizeJob& job) {
  CommandLine line("gem-trace synthesize",
                   "draws a step trace from a stated model (src/workload/synthesis.hpp): Weibull popularity, groups of "
                   "experts that burst together, every count conserved.");
  line.add(job);
  line.add_example("gem-trace synthesize --model gpt-oss-20b --tokens 256 --steps 256 --output trace.h5");
  line.add_example("gem-trace synthesize --experts 16 --layers 4 --top-k 2 --skew 1 --burstiness 1 --output even.h5");
  if (!line.parse({arguments.begin() + 1, arguments.end()})) return false;
  job.quiet = line.quiet();
  return true;
}

/// Takes experts, layers and top-k from the model, or the model's name from none.
void take_shape(SynthesizeJob& job) {
  SynthesisOptions& synthesis = job.synthesis;
  const OptionName option = option_name(&SynthesizeJob::model);
  const std::string sizes = "--experts, --layers and --top-k";
  if (job.model.empty()) {
    if (synthesis.expert_count == 0 || job.layers == 0 || synthesis.top_k == 0)
      throw option_error(option, "the model's shape is missing; give {} NAME, or {}", sizes);
    check_trace_size({synthesis.steps, job.layers, synthesis.expert_count, synthesis.tokens_per_step});
    job.model = "synthetic";
    for (std::size_t layer = 0; layer < job.layers; ++layer)
      synthesis.layer_ids.push_back(static_cast<std::int32_t>(layer));
    return;
  }
  if (synthesis.expert_count > 0 || job.layers > 0 || synthesis.top_k > 0)
    throw option_error(option, "{} already says the shape; give either it, or {}", sizes);
  const MoeModel model = blaming(option, [&] { return model_of_option(job.model); });
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
  trace.phase = word_of(job.phase);
  if (job.dry_run) {
    print_shape(trace);
    std::cout << "Dry run: nothing was written\n";
    print_result(JsonRecord().add("dry_run", true).add_all(shape_record(trace)));
    return 0;
  }
  print_result(store_trace(job.output, trace, arguments, job.synthesis.seed));
  if (!job.quiet)
    std::cout << next_commands({{"gem-trace", "describe", "--trace", job.output},
                                {"gem-map", "--profile", "PROFILE", "--trace", job.output, "--output", "MAPPING"}});
  return 0;
}

}  // namespace gem
