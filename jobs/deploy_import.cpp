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
#include "platform/file_system/whole_file.hpp"
#include "workload/synthesis.hpp"

namespace gem {
namespace {

struct MapImportJob {
  std::string input, engine, output, model, layer_ids;
  ImportedMapShape shape;
  bool dry_run = false;
  bool quiet = false;
};

bool parse(const Arguments& arguments, MapImportJob& job) {
  std::string engines = "whose file it is, if it cannot be told";
  for (const EngineFormat* engine : engine_formats()) engines += "; " + engine->name + ": " + engine->summary;
  CommandLine line("gem-deploy import",
                   "reads a map of experts that an engine uses, to be scored, replayed, or compared with.");
  line.add("input", &job.input, "FILE", "the engine's file, or a .pt file that SGLang recorded");
  line.add("engine", &job.engine, "NAME", engines);
  line.add("output", &job.output, "FILE", "mapping (gem.mapping) to write");
  line.add("devices", &job.shape.device_count, "N", "expert-parallel ranks, where the file doesn't say how many");
  line.add("model", &job.model, "NAME", "the model: its layers and experts; a known name or FILE.csv");
  line.add("experts", &job.shape.expert_count, "N", "routed experts a layer, without --model");
  line.add("layer-ids", &job.layer_ids, "A-B", "the model's own numbers of the file's layers, as 3-60 or 1,3,5");
  line.add("name", &job.shape.name, "NAME", "what the mapping is called in tables");
  line.add_flag("dry-run", &job.dry_run, "say what would be written, write nothing");
  line.add_example("gem-deploy import --input location.json --devices 8 --model deepseek-v3 --output engine.h5");
  line.add_example("gem-deploy import --input expert_map.json --model qwen3-30b-a3b --output engine.h5");
  if (!line.parse({arguments.begin() + 1, arguments.end()})) return false;
  job.quiet = line.quiet();
  require_option(job.input, "input", "the engine's file");
  if (job.dry_run) return true;
  require_option(job.output, "output", "the mapping to write");
  keep_input(job.input, job.output);
  return true;
}

void take_model(MapImportJob& job) {
  if (!job.model.empty()) {
    if (job.shape.expert_count > 0) throw UsageError("--model already says the experts; give either it or --experts");
    const MoeModel model = model_of_option(job.model);
    job.shape.model = model.name;
    job.shape.expert_count = model.expert_count;
    job.shape.decoder_layers = model.layer_count;
    job.shape.layer_ids = moe_layer_ids(model);
  }
  if (!job.layer_ids.empty()) job.shape.layer_ids = parse_layer_ids(job.layer_ids, "--layer-ids");
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
  for (const std::string& note : imported.notes) std::cout << wrap("Note: " + note) << "\n";
  if (job.dry_run) {
    std::cout << "Dry run: nothing was written\n";
    return 0;
  }
  write_mapping(job.output, mapping, provenance_now(command_line_text(arguments), job.shape.model, 0));
  std::cout << "Mapping written to " << job.output << "\n";
  if (!job.quiet) std::cout << "Next: gem-verify --profile PROFILE --trace TRACE --mapping " << job.output << "\n";
  return 0;
}

}  // namespace gem
