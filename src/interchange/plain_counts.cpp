// Counts in plain form, for everybody else: CSV, JSON, JSON lines, and arrays of NumPy and PyTorch. What holds the
// counts, and how, is found by table_finder.hpp and column_roles.hpp; what is no counts, by not_counts.hpp.
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/column_roles.hpp"
#include "interchange/import.hpp"
#include "interchange/import_text.hpp"
#include "interchange/not_counts.hpp"
#include "interchange/table_finder.hpp"
#include "interchange/table_input.hpp"
#include "interchange/torch_file.hpp"

namespace gem {
namespace {

/// What the name of a file says of its counts: "rank3", "layer_7", "step-12", also in the name of its directory.
struct FileName {
  std::optional<std::int64_t> rank, step, layer;
};

FileName said_by_name(const std::string& path) {
  FileName said;
  const std::filesystem::path file(path);
  for (const std::string& name : {file.parent_path().filename().string(), file.stem().string()})
    for (const NumberedName& number : numbers_in_name(name)) {
      if (number.role == Role::Rank) said.rank = number.number;
      if (number.role == Role::Step) said.step = number.number;
      if (number.role == Role::Layer) said.layer = number.number;
    }
  return said;
}

/// The same for all files: what only some of them say, or what differs in nothing, is left aside.
std::vector<FileName> said_by_names(const std::vector<std::string>& paths) {
  std::vector<FileName> names;
  for (const std::string& path : paths) names.push_back(said_by_name(path));
  const auto settle = [&](std::optional<std::int64_t> FileName::*what) {
    const bool all = std::ranges::all_of(names, [&](const FileName& name) { return (name.*what).has_value(); });
    const bool differ = std::ranges::any_of(names, [&](const FileName& name) { return name.*what != names[0].*what; });
    if (all && differ) return;
    for (FileName& name : names) name.*what = std::nullopt;
  };
  const bool alone = paths.size() == 1;
  // One file may be the part of one rank; a number of devices ("tp8", "8gpu") in its name says nothing.
  if (alone && to_lower(std::filesystem::path(paths[0]).stem().string()).find("rank") == std::string::npos)
    names[0].rank = std::nullopt;
  if (!alone) settle(&FileName::rank);
  settle(&FileName::step);
  settle(&FileName::layer);
  return names;
}

bool is_table_in_text(const std::string& path) {
  return path.ends_with(".csv") || path.ends_with(".tsv") || path.ends_with(".txt");
}

/// Layers and steps of files must be told alike, to be added.
struct Told {
  std::optional<bool> steps, layers;

  void check(const std::string& path, const TableInput& input) {
    const bool own_steps = input.has_steps || input.step_outside, own_layers = input.has_layers || input.layer_outside;
    if (steps.value_or(own_steps) != own_steps || layers.value_or(own_layers) != own_layers)
      throw DataError(path +
                      ": the files given don't hold counts of one kind (with a time axis or without, with numbers of "
                      "layers or without); import them one by one");
    steps = own_steps;
    layers = own_layers;
  }
};

std::string part_of(const FileName& name, const std::string& path) {
  if (name.rank) return fmt::format("rank {}", *name.rank);
  return name.step || name.layer ? "" : path;
}

void read_file(const std::string& path, const FileName& name, TableInput& input) {
  input.outer = {part_of(name, path), name.step ? std::to_string(*name.step) : "0",
                 static_cast<std::int32_t>(name.layer.value_or(0)), ""};
  input.step_outside = name.step.has_value();
  input.layer_outside = name.layer.has_value();
  input.has_steps = input.has_layers = false;
  if (name.rank) input.ranks.insert(*name.rank);
  if (is_table_in_text(path)) return read_csv_counts(path, input);
  const TableNode tree = read_table_tree(path, input.imported.notes);
  if (!input.options.columns.names.empty() && tree.kind == TableNode::Kind::Array)
    throw UsageError(path + ": has no columns with names, which " + on_command_line("columns") + " needs");
  const std::string extents = tree.kind == TableNode::Kind::Array ? " " + extents_text(tree.array.extents) : "";
  add_tree(tree, input);
  if (input.imported.source.empty()) input.imported.source = "counts" + extents;
}

/// Ranks that files are named after, that columns say, or as many as there are files.
void check_all_ranks(const TableInput& input, const std::vector<std::string>& paths, std::vector<std::string>& notes) {
  const ImportOptions& options = input.options;
  if (!input.ranks.empty()) return check_ranks(input.ranks, options, paths.front(), notes);
  if (options.ranks == 0 || options.ranks == input.table.parts()) return;
  const std::string found = fmt::format(
      "{}: counts of {} ranks are wanted ({}), but there {} of {}, and nothing tells "
      "ranks apart in {}",
      paths.front(), options.ranks, on_command_line("ranks"), input.table.parts() == 1 ? "is one file" : "are files",
      input.table.parts(), input.table.parts() == 1 ? "it" : "them");
  if (!options.keep_partial)
    throw DataError(found + "; give the file of each rank, or leave " + on_command_line("ranks") +
                    " out if the counts are sums over all ranks");
  notes.push_back("PARTIAL SUMS: " + found);
}

/// Stages of a pipeline have other layers under the same row.
void refuse_stages(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    const std::vector<std::string> words = words_of_name(std::filesystem::path(path).stem().string());
    const bool stage = std::ranges::any_of(
        words, [](const std::string& word) { return word == "pp" || word == "stage" || word == "pipeline"; });
    if (stage)
      throw DataError(path +
                      ": is called after a stage of a pipeline, whose layers have no numbers in it, so that they "
                      "can't be added to those of another stage; give the layers' numbers, as members layer_3");
  }
}

/// Layers that have no numbers but their rows: where rows were left out, the others keep theirs.
void number_rows(ImportedCounts& imported, std::size_t rows, const ImportOptions& options) {
  if (imported.layer_ids.size() == rows) return imported.layer_ids.clear();
  if (options.layer_ids.size() != rows) return;
  for (std::int32_t& layer : imported.layer_ids) layer = options.layer_ids[static_cast<std::size_t>(layer)];
}

Recording read(const std::vector<std::string>& paths, const ImportOptions& options) {
  TableInput input(options, paths.front());
  const std::vector<FileName> names = said_by_names(paths);
  Told told;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    read_file(paths[i], names[i], input);
    told.check(paths[i], input);
  }
  if (paths.size() > 1 && !*told.layers) refuse_stages(paths);
  check_all_ranks(input, paths, input.imported.notes);
  ImportedCounts& imported = input.imported;
  input.table.finish(imported, *told.layers, options);
  imported.has_steps = *told.steps;
  if (*told.layers) imported.every_decoder_layer = false;
  if (!*told.layers) number_rows(imported, input.table.layer_count(), options);
  if (options.axes.empty() && !options.columns.no_header)
    if (const std::string other = other_than_counts(imported.counts, options); !other.empty())
      throw DataError(paths.front() + ": " + other);
  if (paths.size() > 1)
    imported.notes.push_back(fmt::format("counts are summed over the {} files given", paths.size()));
  return std::move(imported);
}

bool recognises(const std::string& path, const ImportOptions& options) {
  if (is_table_in_text(path) || is_torch_name(path) || path.ends_with(".jsonl")) return true;
  if (!path.ends_with(".npy") && !path.ends_with(".npz") && !path.ends_with(".json")) return false;
  const auto array = array_to_look_at(path);
  if (!array) return true;  // says what is wrong with it
  return array->extents.size() != 3 || kind_of_array(*array, options) == ArrayKind::Counts;
}

}  // namespace

void add_array(const NumberArray& array, const std::string& origin, TableInput& input) {
  if (array.extents.size() == 2 && input.options.axes.empty() && !input.options.columns.no_header)
    if (const std::string places = columns_of_places(array); !places.empty()) throw DataError(origin + ": " + places);
  const ImportedCounts counts = counts_of_array(array, input.options, origin);
  if (array.largest > 0.0 && std::ranges::max(array.values) == array.largest)
    input.imported.notes.push_back(fmt::format(
        "WARNING: counts reach {:g}, the most that their type holds, so that greater ones may have been cut; record "
        "them in four bytes",
        array.largest));
  input.has_steps = counts.has_steps;
  input.imported.source = counts.source;
  CountTable::Place place = input.outer;
  if (counts.has_steps && input.step_outside)
    throw DataError(origin + ": has a time axis, but the name of the file says the step; import the files one by one");
  for (std::size_t step = 0; step < counts.counts.planes(); ++step)
    for (std::size_t layer = 0; layer < counts.counts.rows(); ++layer) {
      if (counts.has_steps) place.step = std::to_string(step);
      place.layer = static_cast<std::int32_t>(layer);
      if (!input.table.add_row(place, counts.counts.row(step, layer)))
        throw DataError(
            fmt::format("{}: has step {} and layer {}, as a file before of {}; these are files of several "
                        "recordings: import them one by one",
                        origin, place.step, layer, place.part.empty() ? "the same run" : place.part));
    }
}

const ImportFormat plain_counts_recording = {
    "counts",
    "counts [step, layer, expert], or [layer, expert] without a time axis (vllm-ascend's expert_load, popularity "
    "tables): .csv, .json, .jsonl, .npy, .npz, .pt",
    "vllm-ascend 0.23.0 and 0.26.0rc1", recognises, read};

}  // namespace gem
