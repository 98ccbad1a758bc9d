// gem-trace import: what serving engines record -> step trace, or token-level routing.
#include <fmt/core.h>
#include <algorithm>
#include <iostream>

#include "base/error.hpp"
#include "base/quoting.hpp"
#include "base/text.hpp"
#include "files/routing_file.hpp"
#include "interchange/import.hpp"
#include "model/moe_model.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/result_output.hpp"
#include "platform/file_system/named_files.hpp"
#include "trace_commands.hpp"
#include "workload/synthesis.hpp"

namespace gem {
namespace {

struct ImportJob {
  std::vector<std::string> inputs;
  std::string format, output, model, layer_ids, layer_experts, columns;
  ImportOptions options;
  bool dry_run = false;
  bool quiet = false;
};

void describe(OptionList& options, ImportJob& job) {
  std::vector<std::string> formats;
  std::string summaries = "what the input is, if it cannot be told";
  for (const ImportFormat* known : import_formats()) {
    formats.push_back(known->name);
    summaries += "; " + known->name + ": " + known->summary;
  }
  ImportOptions& import = job.options;
  options.group("Files");
  options.add_files("input", job.inputs, "PATH", "file or directory that an engine recorded").required();
  options
      .add_file("output", job.output, "FILE",
                "step trace (gem.trace) or, from routed experts, routing (gem.routing) to write")
      .required_to_write();
  options.add("format", job.format, join(formats, "|"), summaries);
  options.group("The model");
  options.add("model", job.model, "NAME|FILE.csv[:NAME]", "the model: layer numbers, experts, top-k");
  options.add("experts", import.expert_count, "N", "routed experts a layer, without {model}")
      .range(0, 65536)
      .without("as in the data");
  options.add("layer-experts", job.layer_experts, "N,N,...",
              "routed experts of each layer that has any, where layers have different numbers, as 64,64,48 or 2x64,48: "
              "where the data don't tell (arrays as wide as the layer with the most, routed experts)");
  options.add("top-k", import.top_k, "N", "experts a token, without {model} and where the data don't say")
      .range(0, 65536)
      .without("as in the data");
  options.add("layer-ids", job.layer_ids, "A-B", "the model's own numbers of the layers, as 3-60 or 1,3,5");
  options.group("How it was recorded");
  options.add(
      "axes", import.axes, "NAMES",
      "order of a plain array's axes, as layer,step,expert; or layer,rank,slot for loads of each rank's experts");
  options.add("columns", job.columns, "ROLE=NAME,...",
              "what columns of a table, or members of records, hold, where their names don't say it: step=, layer=, "
              "expert=, count=, rank=, or ignore= for one whose lines are added together; without a header the numbers "
              "of the columns from 1; none: the first line holds counts as well");
  options.add("add-repeated", import.add_repeated, "add lines that name the same step, layer and expert");
  options.add("cumulative", import.cumulative,
              "whether steps hold totals since the recorder began, of which differences are taken; ask: where no count "
              "falls from step to step, it must be said");
  options.add("ranks", import.ranks, "N", "ranks that recorded; files of all of them must be given")
      .range(0, 1e6)
      .without("those whose files are given");
  options.add("keep-partial", import.keep_partial,
              "keep steps, layers and ranks that were not recorded by all ranks, as sums of those that did");
  options
      .add(
          "counted-times", import.counted_times, "N",
          "ranks that each counted every token (SGLang's mode stat without attention data parallelism); 1: counts stay "
          "as they are")
      .range(0, 1e6)
      .without("found from the counts");
  options
      .add("fused-shared", import.fused_shared, "N",
           "shared experts that the engine counts as the last ones; they are left out")
      .range(0, 65536);
  options
      .add("zero-experts", import.zero_experts, "N",
           "ids behind the routed experts that compute nothing; they are left out")
      .range(0, 65536);
  options.add("tokens", import.tokens, "N", "scale data without a time axis to so many tokens a step")
      .without("left as they are");
  options.group("Names in the file");
  options.add("task", import.task, "NAME", "what the engine was doing");
  options.add("phase", import.phase, "what the steps are");
  options.group("Common");
  options.add("dry-run", job.dry_run, "say what would be made, write nothing");
}

bool parse(const Arguments& arguments, ImportJob& job) {
  CommandLine line("gem-trace import",
                   "reads what serving engines record of their routing; nothing in it is executed.");
  line.add(job);
  line.add_example("gem-trace import --input expert_distribution_recorder_1.pt --model deepseek-v3 --output trace.h5");
  line.add_example("gem-trace import --input expert_statistic/ --output trace.h5");
  line.add_example(
      "gem-trace import --input routed.npz --format vllm-routed --model qwen3-30b-a3b --output routing.h5");
  if (!line.parse({arguments.begin() + 1, arguments.end()})) return false;
  job.quiet = line.quiet();
  return true;
}

void take_model(ImportJob& job) {
  if (!job.model.empty()) {
    const OptionName option = option_name(&ImportJob::model);
    if (job.options.expert_count > 0 || job.options.top_k > 0)
      throw option_error(option, "{} already says experts and top-k; give either it, or {} and {}",
                         on_command_line("experts"), on_command_line("top-k"));
    const MoeModel model = blaming(option, [&] { return model_of_option(job.model); });
    job.options.model = model.name;
    job.options.expert_count = model.expert_count;
    job.options.top_k = model.top_k;
    job.options.layer_ids = moe_layer_ids(model);
    job.options.decoder_layers = model.layer_count;
  }
  if (!job.layer_experts.empty())
    job.options.layer_experts = parse_layer_experts(job.layer_experts, spelled(option_name(&ImportJob::layer_experts)));
  if (!job.columns.empty()) job.options.columns = parse_columns(job.columns, spelled(option_name(&ImportJob::columns)));
  if (!job.layer_ids.empty())
    job.options.layer_ids = parse_layer_ids(job.layer_ids, spelled(option_name(&ImportJob::layer_ids)));
}

void print_notes(const std::vector<std::string>& notes) {
  for (const std::string& note : notes) std::cout << "Note: " + note << "\n";
}

void import_routing(const ImportJob& job, RecordedRouting recorded, std::vector<std::string> notes,
                    const Arguments& arguments) {
  const Routing routing = routing_of(recorded, job.options, notes);
  std::cout << fmt::format("Read: routed experts; {} requests, {} tokens, {} layers, {} experts, top-{}\n",
                           routing.request_count(), routing.token_count(), routing.layer_count(),
                           experts_text(routing.experts_of_layer, routing.expert_count), routing.top_k);
  print_notes(notes);
  const JsonRecord found = JsonRecord()
                               .add("requests", routing.request_count())
                               .add("tokens", routing.token_count())
                               .add("layers", routing.layer_count())
                               .add("experts", routing.expert_count)
                               .add("top_k", routing.top_k)
                               .add("notes", notes);
  if (job.dry_run) return print_result(JsonRecord().add("dry_run", true).add_all(found));
  write_routing(job.output, routing, provenance_now(command_line_text(arguments), routing.model, 0));
  std::cout << "Routing written to " << job.output << "\n";
  print_result(JsonRecord().add("output", job.output).add_all(found));
  if (!job.quiet) std::cout << next_commands({{"gem-trace", "batch", "--routing", job.output, "--output", "TRACE"}});
}

void import_trace(const ImportJob& job, ImportedCounts imported, std::vector<std::string> notes,
                  const Arguments& arguments) {
  const std::string source = imported.source;
  const LoadTrace trace = trace_of(std::move(imported), job.options, notes);
  std::cout << "Read: " + source << "\n";
  print_notes(notes);
  JsonRecord found;
  found.add("source", source).add("notes", notes);
  if (job.dry_run) {
    print_shape(trace);
    return print_result(JsonRecord().add("dry_run", true).add_all(shape_record(trace)).add_all(found));
  }
  print_result(store_trace(job.output, trace, arguments, 0).add_all(found));
  if (!job.quiet)
    std::cout << next_commands({{"gem-trace", "describe", "--trace", job.output},
                                {"gem-map", "--profile", "PROFILE", "--trace", job.output, "--output", "MAPPING"}});
}

}  // namespace

int run_import(const Arguments& arguments) {
  ImportJob job;
  if (!parse(arguments, job)) return 0;
  take_model(job);
  const ImportSources sources = find_sources(job.inputs, job.format, job.options);
  if (!job.dry_run) {
    std::vector<NamedFile> inputs = named_files("--input", sources.paths);
    inputs.push_back({"--model", model_file_of_option(job.model)});
    keep_apart(inputs, {{{"--output", job.output}}});
  }
  Recording recording = read_recording(sources, job.options);
  if (auto* routing = std::get_if<RecordedRouting>(&recording))
    import_routing(job, std::move(*routing), sources.notes, arguments);
  else
    import_trace(job, std::move(std::get<ImportedCounts>(recording)), sources.notes, arguments);
  if (job.dry_run) std::cout << "Dry run: nothing was written\n";
  return 0;
}

}  // namespace gem
