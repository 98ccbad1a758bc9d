// gem-deploy export: the mapping as the file that a serving engine starts with.
#include <fmt/core.h>
#include <algorithm>
#include <iostream>
#include <optional>

#include "base/error.hpp"
#include "base/text.hpp"
#include "deploy_commands.hpp"
#include "files/mapping_file.hpp"
#include "interchange/engine_export.hpp"
#include "interchange/serving_devices.hpp"
#include "model/moe_model.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/result_output.hpp"
#include "platform/file_system/named_files.hpp"
#include "workload/synthesis.hpp"

namespace gem {
namespace {

struct ExportJob {
  std::string mapping, engine, output, model;
  std::size_t layers = 0, mtp_layers = 0;
  bool dry_run = false;
  bool quiet = false;
};

void describe(OptionList& options, ExportJob& job) {
  std::vector<std::string> engines, summaries;
  for (const EngineFormat* engine : engine_formats()) {
    engines.push_back(engine->name);
    summaries.push_back(engine->name + " (" + engine->summary + ")");
  }
  options.group("Files");
  options.add_file("mapping", job.mapping, "FILE", "mapping (gem.mapping), from gem-map").required();
  options.add("engine", job.engine, join(engines, "|"), "the engine to write for: " + join(summaries, "; ")).required();
  options.add_file("output", job.output, "FILE", "file to write for the engine").required_to_write();
  options.group("The model, if the mapping names none that is known");
  options.add("model", job.model, "NAME|FILE.csv[:NAME]", "a known model or one's own");
  options.add("layers", job.layers, "N", "decoder layers, dense ones too").range(0, 65536).without("the model's");
  options
      .add(
          "mtp-layers", job.mtp_layers, "N",
          "layers of multi-token prediction, for tensorrt-llm: they get their experts in order behind the model's last "
          "layer")
      .range(0, 256);
  options.group("Common");
  options.add("dry-run", job.dry_run, "say what would be written, write nothing");
}

bool parse(const Arguments& arguments, ExportJob& job) {
  CommandLine line("gem-deploy export",
                   "writes a mapping as the file that a serving engine starts with, and says how.");
  line.add(job);
  line.add_example("gem-deploy export --mapping mapping.h5 --engine sglang --output location.json");
  line.add_example("gem-deploy export --mapping mapping.h5 --engine tensorrt-llm --output moe_load_balancer.yaml");
  if (!line.parse({arguments.begin() + 1, arguments.end()})) return false;
  job.quiet = line.quiet();
  if (!job.dry_run)
    keep_apart({{{"--mapping", job.mapping}, {"--model", model_file_of_option(job.model)}}},
               {{{"--output", job.output}, {"--output (how to start the engine)", job.output + ".txt"}}});
  return true;
}

/// The model by option, else by the name in the mapping file.
std::optional<MoeModel> find_model(const ExportJob& job, const std::string& named_in_file) {
  if (!job.model.empty()) return blaming(option_name(&ExportJob::model), [&] { return model_of_option(job.model); });
  return known_model(named_in_file);
}

/// The first layer of the mapping that has no experts in the model.
std::optional<std::int32_t> dense_layer_of(const Mapping& mapping, const MoeModel& model) {
  const std::vector<std::int32_t> with_experts = moe_layer_ids(model);
  for (const std::int32_t id : mapping.layer_ids)
    if (std::ranges::find(with_experts, id) == with_experts.end()) return id;
  return std::nullopt;
}

}  // namespace

int run_export(const Arguments& arguments) {
  ExportJob job;
  if (!parse(arguments, job)) return 0;
  const EngineFormat& engine =
      blaming(option_name(&ExportJob::engine), [&]() -> const EngineFormat& { return find_engine(job.engine); });
  const Mapping mapping = read_mapping(job.mapping);
  const std::optional<MoeModel> known = find_model(job, mapping.model);
  ExportModel model;
  if (known) model = {known->name, known->layer_count, known->moe_layer_count, known->expert_count};
  if (!known) model.name = mapping.model;
  if (job.layers > 0) model.decoder_layers = job.layers;
  model.mtp_layers = job.mtp_layers;
  const PhysicalMap map = map_for_engine(mapping, engine, model);
  std::cout << fmt::format("{}: {} layers, {} experts on {} devices, {} each (method {}, model {})\n", job.mapping,
                           mapping.layer_count(), map.expert_count, map.device_count, map.slots_per_device(),
                           mapping.method, mapping.model);
  if (engine.layers == EngineFormat::Layers::MoeLayerOrder && model.moe_layers == 0)
    std::cout << "Not checked: whether these are all MoE layers of the model, which is not a known one (--model)\n";
  if (!known && !engine.refused_models.empty())
    std::cout << fmt::format("Not checked: whether {} places the experts of {} by a file, which is not a known model\n",
                             engine.name, mapping.model);
  if (const auto dense = known ? dense_layer_of(mapping, *known) : std::nullopt)
    std::cout << fmt::format(
        "Check the layers: the mapping has layer {}, which should have no experts in {}; gem-trace import --model "
        "gives layers the model's numbers\n",
        *dense, known->name);
  const JsonRecord record = JsonRecord()
                                .add("engine", engine.name)
                                .add("mapping", job.mapping)
                                .add("method", mapping.method)
                                .add("model", mapping.model)
                                .add("layers", map.layer_count())
                                .add("experts", map.expert_count)
                                .add("devices", map.device_count)
                                .add("slots_per_device", map.slots_per_device());
  if (job.dry_run) {
    std::cout << fmt::format("Dry run: {} rows of {} slots would be written for {}\n", map.layer_count(),
                             map.slot_count(), engine.name);
    print_result(JsonRecord().add("dry_run", true).add_all(record));
    return 0;
  }
  const std::vector<std::string> files = export_to_engine(map, engine, job.output, launch_lines(mapping));
  print_result(JsonRecord(record).add("files", files).add("launch", launch_lines(mapping)));
  std::cout << "Written, read back and checked: " << files[0] << "\n";
  if (files.size() > 1) std::cout << "How to start the engine with it: " << files[1] << "\n";
  if (!job.quiet) std::cout << "\n" << engine.instructions(map, job.output);
  std::cout << "\n" << launch_lines(mapping);
  return 0;
}

}  // namespace gem
