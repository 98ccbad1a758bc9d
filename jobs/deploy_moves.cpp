// gem-deploy moves: the way from the running placement to the mapping, as a list that an engine carries out.
#include <fmt/core.h>
#include <algorithm>
#include <iostream>
#include <optional>

#include "base/error.hpp"
#include "base/text.hpp"
#include "deploy_commands.hpp"
#include "files/mapping_file.hpp"
#include "interchange/engine_import.hpp"
#include "interchange/slot_plan.hpp"
#include "model/moe_model.hpp"
#include "model/weight_type.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/result_output.hpp"
#include "platform/file_system/input_file.hpp"
#include "platform/file_system/named_files.hpp"
#include "platform/file_system/whole_file.hpp"
#include "workload/synthesis.hpp"

namespace gem {
namespace {

struct MovesJob {
  std::string mapping, live, engine, output, model;
  std::size_t expert_bytes = 0;
  bool dry_run = false;
  bool quiet = false;
};

void describe(OptionList& options, MovesJob& job) {
  std::vector<std::string> engines;
  for (const EngineFormat* engine : engine_formats()) engines.push_back(engine->name);
  options.group("Files");
  options
      .add_file("mapping", job.mapping, "FILE",
                "mapping (gem.mapping) with moves, from gem-map with the running placement given")
      .required();
  options
      .add_file("live", job.live, "FILE",
                "the running placement as the engine's own file, so that slots are numbered as there")
      .without("each device's experts ascending, as gem-deploy export writes them");
  options.add("engine", job.engine, join(engines, "|"), "whose file {live} is, if it cannot be told");
  options.add_file("output", job.output, "FILE", "list of moves (JSON) to write").required_to_write();
  options.group("The model, if the mapping names none that is known");
  options.add("model", job.model, "NAME|FILE.csv[:NAME]", "a known model or one's own");
  options.add("expert-bytes", job.expert_bytes, "N", "bytes of one expert's weights")
      .range(0, 1e15)
      .without("as the mapping says, else by the model's shape and type of weights");
  options.group("Common");
  options.add("dry-run", job.dry_run, "say what would be written, write nothing");
}

bool parse(const Arguments& arguments, MovesJob& job) {
  CommandLine line(
      "gem-deploy moves",
      "writes how to get from the running placement to the mapping: which expert's weights are copied from "
      "which slot to which, in an order in which every expert is somewhere at any moment "
      "(src/interchange/README.md).");
  line.add(job);
  line.add_example("gem-map --profile profile.h5 --trace trace.h5 --from live.h5 --max-moves 4 --output mapping.h5");
  line.add_example("gem-deploy moves --mapping mapping.h5 --output moves.json");
  if (!line.parse({arguments.begin() + 1, arguments.end()})) return false;
  job.quiet = line.quiet();
  if (!job.dry_run)
    keep_apart({{{"--mapping", job.mapping}, {"--live", job.live}, {"--model", model_file_of_option(job.model)}}},
               {{{"--output", job.output}}});
  return true;
}

// The model by option, else by the name in the mapping file.
std::optional<MoeModel> model_of(const MovesJob& job, const std::string& named_in_file) {
  if (!job.model.empty()) return blaming(option_name(&MovesJob::model), [&] { return model_of_option(job.model); });
  return known_model(named_in_file);
}

// Slots of the engine's own file; none without one.
std::optional<PhysicalMap> live_slots(const MovesJob& job, const Mapping& mapping,
                                      const std::optional<MoeModel>& model) {
  if (job.live.empty()) return std::nullopt;
  ImportedMapShape shape;
  shape.device_count = mapping.device_count;
  shape.expert_count = mapping.expert_count();
  shape.layer_ids = mapping.layer_ids;
  std::ranges::sort(shape.layer_ids);
  if (model) {
    shape.decoder_layers = model->layer_count;
    shape.layer_ids = moe_layer_ids(*model);
  }
  return import_map(job.live, job.engine, shape).slots;
}

// The mapping's are of the profile that it was made with, so of the weights that were measured.
std::optional<std::size_t> expert_bytes_of(const MovesJob& job, const Mapping& mapping,
                                           const std::optional<MoeModel>& model) {
  if (job.expert_bytes > 0) return job.expert_bytes;
  if (mapping.expert_bytes > 0) return mapping.expert_bytes;
  if (!model) return std::nullopt;
  for (const OptionWord<WeightType>& known : words_of(WeightType{}))
    if (known.word == model->weight_dtype) return model->expert.weight_count() * bytes_of(known.value);
  return std::nullopt;
}

}  // namespace

int run_moves(const Arguments& arguments) {
  MovesJob job;
  if (!parse(arguments, job)) return 0;
  const Mapping mapping = read_mapping(job.mapping);
  const std::optional<MoeModel> model = model_of(job, mapping.model);
  const SlotPlan plan = slot_plan(mapping, live_slots(job, mapping, model), job.live);
  const std::optional<std::size_t> bytes = expert_bytes_of(job, mapping, model);
  const std::size_t moves = plan.moves.size();
  const std::string text = slot_plan_text(plan, bytes);
  check_slot_plan_text(text, job.dry_run ? job.mapping : job.output);
  std::cout << fmt::format("{}: {} from {}, {} of {} layers change; {}\n", job.mapping,
                           counted(moves, "transfer") + " of weights", mapping.moved_from, plan.layers.size(),
                           mapping.layer_count(),
                           bytes ? fmt::format("{} each, {} together", format_bytes(static_cast<double>(*bytes)),
                                               format_bytes(static_cast<double>(*bytes * moves)))
                                 : "how many bytes is unknown, " + on_command_line("expert-bytes") + " says it");
  JsonRecord record;
  record.add("mapping", job.mapping)
      .add("from", mapping.moved_from)
      .add("transfers", moves)
      .add("layers", plan.layers.size())
      .add("expert_bytes", bytes);
  if (job.dry_run) {
    std::cout << "Dry run: nothing was written\n";
    print_result(JsonRecord().add("dry_run", true).add_all(record));
    return 0;
  }
  write_whole_text(job.output, text);
  check_slot_plan_text(read_whole_text(job.output, std::uint64_t{1} << 30), job.output);
  print_result(JsonRecord().add("output", job.output).add_all(record));
  std::cout << "Written, read back and carried out on paper: " << job.output
            << "; at each point every expert is in at least one place\n";
  return 0;
}

}  // namespace gem
