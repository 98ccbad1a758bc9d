// gem-deploy import: a map of experts that an engine uses -> mapping.
#include <fmt/core.h>
#include <iostream>

#include "base/error.hpp"
#include "base/text.hpp"
#include "deploy_commands.hpp"
#include "files/mapping_file.hpp"
#include "interchange/engine_import.hpp"
#include "interchange/import.hpp"
#include "model/moe_model.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/result_output.hpp"
#include "workload/synthesis.hpp"

namespace gem {
namespace {

struct MapImportJob {
  std::string input, engine, output, model, layer_ids;
  ImportedMapShape shape;
  bool dry_run = false;
  bool quiet = false;
};

void describe(OptionList& options, MapImportJob& job) {
  std::vector<std::string> engines, summaries;
  for (const EngineFormat* engine : engine_formats()) {
    engines.push_back(engine->name);
    summaries.push_back(engine->name + ": " + engine->summary);
  }
  options.group("Files");
  options.add_file("input", job.input, "FILE", "the engine's file, or a .pt file that SGLang recorded").required();
  options.add_file("output", job.output, "FILE", "mapping (gem.mapping) to write").required_to_write();
  options.add("engine", job.engine, join(engines, "|"),
              "whose file it is, if it cannot be told; " + join(summaries, "; "));
  options.group("What the file doesn't say");
  options.add("devices", job.shape.device_count, "N", "expert-parallel ranks")
      .range(0, 65536)
      .without("as in the file");
  options.add("model", job.model, "NAME|FILE.csv[:NAME]", "the model: its layers and experts");
  options.add("experts", job.shape.expert_count, "N", "routed experts a layer, without {model}")
      .range(0, 65536)
      .without("as in the file");
  options.add("layer-ids", job.layer_ids, "A-B", "the model's own numbers of the file's layers, as 3-60 or 1,3,5");
  options.add("name", job.shape.name, "NAME", "what the mapping is called in tables");
  options.group("Common");
  options.add("dry-run", job.dry_run, "say what would be written, write nothing");
}

bool parse(const Arguments& arguments, MapImportJob& job) {
  CommandLine line("gem-deploy import",
                   "reads a map of experts that an engine uses, to be scored, replayed, or compared with.");
  line.add(job);
  line.add_example("gem-deploy import --input location.json --devices 8 --model deepseek-v3 --output engine.h5");
  line.add_example("gem-deploy import --input expert_map.json --model qwen3-30b-a3b --output engine.h5");
  if (!line.parse({arguments.begin() + 1, arguments.end()})) return false;
  job.quiet = line.quiet();
  return true;
}

void take_model(MapImportJob& job) {
  if (!job.model.empty()) {
    const OptionName option = option_name(&MapImportJob::model);
    if (job.shape.expert_count > 0)
      throw option_error(option, "{} already says the experts; give either it or {}", on_command_line("experts"));
    const MoeModel model = blaming(option, [&] { return model_of_option(job.model); });
    job.shape.model = model.name;
    job.shape.expert_count = model.expert_count;
    job.shape.decoder_layers = model.layer_count;
    job.shape.layer_ids = moe_layer_ids(model);
  }
  if (!job.layer_ids.empty())
    job.shape.layer_ids = parse_layer_ids(job.layer_ids, spelled(option_name(&MapImportJob::layer_ids)));
}

}  // namespace

int run_map_import(const Arguments& arguments) {
  MapImportJob job;
  if (!parse(arguments, job)) return 0;
  take_model(job);
  const ImportedMap imported = import_map(job.input, job.engine, job.shape);
  const Mapping& mapping = imported.mapping;
  std::cout << fmt::format("Read: {} of {} layers, {} experts and {} copies on {} devices\n", imported.source,
                           mapping.layer_count(), mapping.expert_count(), mapping.redundant_count(),
                           mapping.device_count);
  for (const std::string& note : imported.notes) std::cout << "Note: " + note << "\n";
  const JsonRecord record = JsonRecord()
                                .add("source", imported.source)
                                .add("layers", mapping.layer_count())
                                .add("experts", mapping.expert_count())
                                .add("copies", mapping.redundant_count())
                                .add("devices", mapping.device_count)
                                .add("notes", imported.notes);
  if (job.dry_run) {
    std::cout << "Dry run: nothing was written\n";
    print_result(JsonRecord().add("dry_run", true).add_all(record));
    return 0;
  }
  write_mapping(job.output, mapping, provenance_now(command_line_text(arguments), job.shape.model, 0));
  std::cout << "Mapping written to " << job.output << "\n";
  print_result(JsonRecord().add("output", job.output).add_all(record));
  if (!job.quiet)
    std::cout << next_commands({{"gem-verify", "--profile", "PROFILE", "--trace", "TRACE", "--mapping", job.output}});
  return 0;
}

}  // namespace gem
