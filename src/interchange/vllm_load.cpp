// Load statistics of vLLM's EPLB as proposed for vLLM (pull request 41141, not in 0.33.0), JSON lines
// {"record_type": "eplb_load_stats", "step", "expert_load": [[tokens of slot]], "p2l_map": [[expert of slot]]}, one row
// a MoE layer; lines of other record types are passed over. Each line is a step of its own, in the order of the file:
// the number "step" begins again whenever vLLM moves experts. A draft model has lines of its own, with other layers.
#include <fmt/core.h>
#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/import.hpp"
#include "interchange/import_text.hpp"

namespace gem {
namespace {

constexpr double largest_count = 1073741824.0;  // 2^30

/// Whole numbers of a list, whether or not written with a decimal point.
std::vector<double> whole_numbers(const JsonNode& list, double minimum) {
  std::vector<double> numbers(list.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = list.item(i).number();
    if (numbers[i] != std::floor(numbers[i]) || numbers[i] < minimum || numbers[i] > largest_count)
      list.item(i).reject(fmt::format("is {:g}, but must be a whole number from {:g} to 2^30", numbers[i], minimum));
  }
  return numbers;
}

/// Lines of one model, by what tells it from another: its name, if the lines have one, and its number of layers.
struct RecordedModel {
  std::string name;
  std::size_t layers = 0;
  std::size_t expert_count = 0;
  std::vector<Matrix<double>> steps;  // [layer, expert] each
};

RecordedModel& model_of(std::vector<RecordedModel>& models, const JsonNode& record, std::size_t layers) {
  std::string name;
  for (const char* key : {"model", "model_name"})
    if (record.has(key) && record.at(key).is_text()) name = record.at(key).text();
  const auto found =
      std::ranges::find_if(models, [&](const auto& model) { return model.name == name && model.layers == layers; });
  if (found != models.end()) return *found;
  models.push_back({name, layers, 0, {}});
  return models.back();
}

void check_rank_count(const JsonNode& record, const ImportOptions& options) {
  if (options.ranks == 0) return;
  if (!record.has("num_ranks"))
    record.reject("doesn't say how many ranks it is summed over (num_ranks); leave " + on_command_line("ranks") +
                  " out");
  if (record.at("num_ranks").integer() != static_cast<std::int64_t>(options.ranks))
    throw UsageError(fmt::format("{}: is of {} ranks, but {} says {}", record.at("num_ranks").where(),
                                 record.at("num_ranks").integer(), on_command_line("ranks"), options.ranks));
}

void add_record(std::vector<RecordedModel>& models, const JsonNode& record) {
  const JsonNode load = record.at("expert_load"), maps = record.at("p2l_map");
  if (maps.size() != load.size())
    maps.reject(fmt::format("has {} layers, but expert_load has {}", maps.size(), load.size()));
  if (load.size() == 0) load.reject("has no layer");
  RecordedModel& model = model_of(models, record, load.size());
  for (std::size_t layer = 0; layer < load.size(); ++layer) {
    const std::vector<double> tokens = whole_numbers(load.item(layer), 0.0);
    const std::vector<double> held = whole_numbers(maps.item(layer), -1.0);
    const std::string where = maps.item(layer).where();
    if (model.expert_count == 0) model.expert_count = logical_expert_count(held, held.size(), where);
    if (layer == 0) model.steps.emplace_back(load.size(), model.expert_count);
    add_physical(tokens, held, model.steps.back().row(layer), where);
  }
}

std::string text_of(const RecordedModel& model) {
  return fmt::format("{}{} lines of {} layers", model.name.empty() ? "" : model.name + ": ", model.steps.size(),
                     model.layers);
}

/// The main model has the most layers; a draft model has one or a few.
const RecordedModel& main_model(const std::vector<RecordedModel>& models, std::vector<std::string>& notes) {
  const auto main = std::ranges::max_element(models, {}, &RecordedModel::layers);
  for (auto other = models.begin(); other != models.end(); ++other)
    if (other != main)
      notes.push_back(
          fmt::format("two models are in one file: {} were read, and {} left out", text_of(*main), text_of(*other)));
  return *main;
}

void check_one_of_each_size(const std::vector<RecordedModel>& models, const std::string& origin) {
  for (std::size_t i = 0; i < models.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (models[i].layers == models[j].layers)
        throw DataError(
            fmt::format("{}: holds lines of several models with as many layers ({}; {}); make a file of each", origin,
                        text_of(models[j]), text_of(models[i])));
}

bool recognises(const std::string& path, const ImportOptions&) {
  return path.ends_with(".jsonl") && beginning_of(path).find("\"record_type\"") != std::string::npos;
}

Recording read(const std::vector<std::string>& paths, const ImportOptions& options) {
  ImportedCounts imported;
  std::vector<RecordedModel> models;
  models.reserve(16);
  for (const std::string& path : paths)
    for_each_json_line(path, imported.notes, [&](const JsonDocument& line) {
      const JsonNode record = line.root();
      if (!record.has("record_type") || record.at("record_type").text() != "eplb_load_stats") return;
      check_rank_count(record, options);
      add_record(models, record);
    });
  if (models.empty()) throw DataError(paths.front() + ": holds no line with record_type eplb_load_stats");
  check_one_of_each_size(models, paths.front());
  const RecordedModel& model = main_model(models, imported.notes);
  CountCollector collector(paths.front());
  for (std::size_t step = 0; step < model.steps.size(); ++step)
    for (std::size_t layer = 0; layer < model.layers; ++layer)
      collector.add(static_cast<std::int64_t>(step), static_cast<std::int32_t>(layer), model.steps[step].row(layer));
  collector.finish(imported, options);
  imported.layer_ids.clear();  // counted among the MoE layers
  imported.source = "vLLM EPLB load statistics";
  if (paths.size() > 1) imported.notes.push_back(fmt::format("steps of {} files follow each other", paths.size()));
  return imported;
}

}  // namespace

const ImportFormat vllm_load_recording = {"vllm-load",
                                          "vLLM's EPLB load statistics as proposed (eplb_load_stats), .jsonl",
                                          "vLLM pull request 41141; 0.33.0 writes none", recognises, read};

}  // namespace gem
