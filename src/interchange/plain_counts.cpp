// Counts in plain form, for everybody else: arrays of NumPy and PyTorch, JSON (nested lists, [layers][experts] as
// popularity tables have it or [steps][layers][experts], alone or as a member; or a member for each layer), and CSV.
#include <fmt/core.h>
#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/csv_counts.hpp"
#include "interchange/import.hpp"
#include "interchange/import_text.hpp"
#include "interchange/npy.hpp"
#include "interchange/torch_file.hpp"
#include "platform/file_system/zip_input.hpp"

namespace gem {
namespace {

/// Names under which tools keep counts; one member of another name is taken too, unless it says what else it is.
constexpr std::array<std::string_view, 8> names_of_counts = {"logical_count", "expert_load",       "counts",
                                                             "expert_counts", "tokens_per_expert", "popularity",
                                                             "load",          "expert_count"};
constexpr std::array<std::string_view, 14> words_of_maps = {
    "physical", "phy2log",   "log2phy",  "p2l",        "l2p",    "_map",       "map_",
    "mapping",  "placement", "location", "assignment", "device", "layer_list", "slot"};
constexpr std::array<std::string_view, 5> words_of_ids = {"routed_experts", "topk_id", "top_k_id", "expert_id",
                                                          "selected_experts"};

template <std::size_t N>
bool has_word(const std::string& key, const std::array<std::string_view, N>& words) {
  const std::string lower = to_lower(key);
  return std::ranges::any_of(words, [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

std::string quoted(const std::vector<std::string>& keys) {
  std::string text;
  for (std::size_t i = 0; i < keys.size() && i < 6; ++i) text += (i > 0 ? ", '" : "'") + keys[i].substr(0, 60) + "'";
  return text + (keys.size() > 6 ? ", ..." : "");
}

/// The member that holds counts; `reject` says that there is none.
template <class Reject>
std::string key_of_counts(const std::vector<std::string>& keys, const Reject& reject) {
  for (const std::string_view name : names_of_counts)
    if (std::ranges::find(keys, name) != keys.end()) return std::string(name);
  for (const std::string& key : keys) {
    if (has_word(key, words_of_maps))
      reject("has the member '" + key +
             "', a map of experts rather than counts of tokens; gem-deploy import reads maps");
    if (has_word(key, words_of_ids))
      reject("has the member '" + key + "', ids of experts rather than counts; read it with " +
             on_command_line("format") + " vllm-routed");
  }
  if (keys.size() != 1)
    reject("has the members " + quoted(keys) + ", but counts must be one of them, called counts or expert_load");
  return keys.front();
}

/// The one number in a key: 3 in "3", "layer_3" or "model.layers.3.mlp".
std::optional<std::int32_t> number_in(const std::string& key) {
  const auto is_digit = [](char letter) { return std::isdigit(static_cast<unsigned char>(letter)) != 0; };
  const auto begin = std::ranges::find_if(key, is_digit);
  const auto end = std::find_if_not(begin, key.end(), is_digit);
  if (begin == end || end - begin > 5 || std::find_if(end, key.end(), is_digit) != key.end()) return std::nullopt;
  return static_cast<std::int32_t>(std::stol(std::string(begin, end)));
}

bool names_layer(const std::string& key) {
  const bool digits_alone = key.find_first_not_of("0123456789") == std::string::npos;
  return number_in(key).has_value() && (digits_alone || to_lower(key).find("layer") != std::string::npos);
}

bool has_layers_as_keys(const JsonNode& node) {
  return !node.keys().empty() && std::ranges::all_of(node.keys(), names_layer);
}

/// The expert that a member is called after.
std::size_t expert_named(const JsonNode& node, std::size_t member) {
  const std::string& key = node.keys()[member];
  const auto expert = number_in(key);
  if (!expert) node.reject("has the member '" + key.substr(0, 60) + "', but members must be numbers of experts");
  return static_cast<std::size_t>(*expert);
}

/// Experts of a layer whose members are called after them, of which idle ones may lack.
std::size_t experts_named(const JsonNode& layers) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < layers.keys().size(); ++i)
    if (const JsonNode layer = layers.member(i); layer.is_object())
      for (std::size_t j = 0; j < layer.keys().size(); ++j) count = std::max(count, expert_named(layer, j) + 1);
  return count;
}

/// Tokens of each expert from a list, or from members that are called after the experts, at least `count` of them.
std::vector<double> experts_of(const JsonNode& node, std::size_t count) {
  std::vector<double> experts;
  if (node.is_array()) {
    for (std::size_t i = 0; i < node.size(); ++i) experts.push_back(node.item(i).number());
    return experts;
  }
  experts.assign(count, 0.0);
  for (std::size_t i = 0; i < node.keys().size(); ++i) {
    const std::size_t expert = expert_named(node, i);
    experts.resize(std::max(experts.size(), expert + 1), 0.0);
    experts[expert] += node.member(i).number();
  }
  return experts;
}

/// A row of counts for each layer, or rows by step; layers go by `number`.
void add_layer(CountCollector& collector, const JsonNode& node, std::int32_t layer, std::size_t expert_count,
               bool& has_steps) {
  if (node.is_array() && node.size() > 0 && node.item(0).is_array()) {
    has_steps = true;
    for (std::size_t step = 0; step < node.size(); ++step)
      collector.add(static_cast<std::int64_t>(step), layer, experts_of(node.item(step), expert_count));
  } else {
    collector.add(0, layer, experts_of(node, expert_count));
  }
}

ImportedCounts collected(CountCollector& collector, bool has_steps, const ImportOptions& options) {
  ImportedCounts imported;
  collector.finish(imported, options);
  imported.has_steps = has_steps;
  imported.source = "JSON counts by layer";
  return imported;
}

ImportedCounts counts_by_layer(const JsonNode& node, const ImportOptions& options) {
  CountCollector collector(node.where());
  bool has_steps = false;
  const std::size_t expert_count = std::max(options.expert_count, experts_named(node));
  for (std::size_t i = 0; i < node.keys().size(); ++i)
    add_layer(collector, node.member(i), *number_in(node.keys()[i]), expert_count, has_steps);
  return collected(collector, has_steps, options);
}

/// Lists of experts that differ in length from layer to layer.
bool is_uneven_table(const JsonNode& node) {
  if (!node.is_array() || node.size() == 0) return false;
  bool uneven = false;
  for (std::size_t i = 0; i < node.size(); ++i) {
    if (!node.item(i).is_array() || node.item(i).size() == 0 || !node.item(i).item(0).is_number()) return false;
    uneven = uneven || node.item(i).size() != node.item(0).size();
  }
  return uneven;
}

ImportedCounts counts_of_node(const JsonNode& node, const ImportOptions& options) {
  if (node.is_object() && has_layers_as_keys(node)) return counts_by_layer(node, options);
  if (node.is_object()) {
    const std::string key = key_of_counts(node.keys(), [&](const std::string& what) { node.reject(what); });
    ImportedCounts imported = counts_of_node(node.at(key), options);
    if (key == "logical_count") {  // as SGLang keeps it
      imported.every_decoder_layer = imported.layer_ids.empty();
      imported.summed_over_ranks = true;
    }
    return imported;
  }
  if (is_uneven_table(node)) {
    CountCollector collector(node.where());
    bool has_steps = false;
    for (std::size_t layer = 0; layer < node.size(); ++layer)
      add_layer(collector, node.item(layer), static_cast<std::int32_t>(layer), options.expert_count, has_steps);
    return collected(collector, has_steps, options);
  }
  return counts_of_array(array_of_json(node), options, node.where());
}

ImportedCounts read_npz(const std::string& path, const ImportOptions& options) {
  const ZipInput archive(path);
  std::vector<std::string> names;
  for (const ZipInput::Entry& entry : archive.entries())
    names.push_back(entry.name.ends_with(".npy") ? entry.name.substr(0, entry.name.size() - 4) : entry.name);
  const std::string key = key_of_counts(names, [&](const std::string& what) { throw DataError(path + ": " + what); });
  const auto place = static_cast<std::size_t>(std::ranges::find(names, key) - names.begin());
  const std::string bytes = archive.read(archive.entries()[place]);
  const std::string origin = path + ": " + archive.entries()[place].name;
  return counts_of_array(parse_npy(std::as_bytes(std::span(bytes)), origin), options, origin);
}

ImportedCounts read_tensor(const std::string& path, const ImportOptions& options) {
  const TorchFile file(path);
  const Pickle& pickle = file.pickle();
  Pickle::Index value = pickle.root();
  std::string name = "the tensor";
  if (pickle.kind(value) == Pickle::Kind::Dictionary) {
    std::vector<std::string> keys;
    for (std::size_t i = 0; i + 1 < pickle.items(value).size(); i += 2)
      if (const Pickle::Index key = pickle.items(value)[i]; pickle.kind(key) == Pickle::Kind::Text)
        keys.push_back(pickle.text(key));
    name = key_of_counts(keys, [&](const std::string& what) { file.reject(what); });
    value = *file.find(value, name);
  }
  if (pickle.kind(value) != Pickle::Kind::Tensor) file.reject("must hold one tensor, alone or as expert_load");
  return counts_of_array(file.tensor(value, pickle.tensor(value).extents.size(), name), options, path);
}

ImportedCounts read_one(const std::string& path, const ImportOptions& options) {
  if (path.ends_with(".csv") || path.ends_with(".tsv")) return read_csv_counts(path, options);
  if (path.ends_with(".json")) return counts_of_node(read_large_json(path).root(), options);
  if (path.ends_with(".npy")) return counts_of_array(read_npy(path), options, path);
  if (path.ends_with(".npz")) return read_npz(path, options);
  if (is_torch_name(path)) return read_tensor(path, options);
  throw UsageError(path + ": counts are read from .csv, .json, .npy, .npz and .pt files; give one with such a name");
}

/// The same counts by rank or by part of a run, one after the other.
void add_part(CountCollector& collector, const std::string& path, const ImportedCounts& part) {
  collector.begin_part(path);
  for (std::size_t step = 0; step < part.counts.planes(); ++step)
    for (std::size_t layer = 0; layer < part.counts.rows(); ++layer)
      collector.add(
          part.step_numbers.empty() ? static_cast<std::int64_t>(step) : part.step_numbers[step],
          part.layer_ids.empty() ? static_cast<std::int32_t>(layer) : part.layer_ids[layer],
          part.counts.row(step, layer).first(experts_in(part.experts_of_layer, layer, part.counts.columns())));
}

Recording read(const std::vector<std::string>& paths, const ImportOptions& options) {
  if (paths.size() == 1) return read_one(paths.front(), options);
  std::vector<ImportedCounts> parts;
  for (const std::string& path : paths) parts.push_back(read_one(path, options));
  ImportedCounts imported = parts.front();
  CountCollector collector(paths.front());
  std::size_t experts = 0;
  for (const ImportedCounts& part : parts) {
    if (part.sparse) experts = std::max(experts, part.counts.columns());
    if (part.has_steps != imported.has_steps || part.layer_ids.empty() != imported.layer_ids.empty())
      throw DataError(paths.front() +
                      ": the files given don't hold counts of one kind (with a time axis or without, "
                      "with numbers of layers or without); import them one by one");
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].sparse) {
      widen(parts[i].counts, experts);  // the last experts may have no token in one file
      collector.allow_missing_layers();
    }
    add_part(collector, paths[i], parts[i]);
  }
  collector.finish(imported, options);
  if (parts.front().layer_ids.empty()) imported.layer_ids.clear();
  imported.notes.push_back(fmt::format("counts are summed over the {} files given", paths.size()));
  return imported;
}

bool recognises(const std::string& path, const ImportOptions& options) {
  if (path.ends_with(".csv") || path.ends_with(".tsv") || is_torch_name(path)) return true;
  if (!path.ends_with(".npy") && !path.ends_with(".npz") && !path.ends_with(".json")) return false;
  const auto array = array_to_look_at(path);
  if (!array) return true;  // says what is wrong with it
  return array->extents.size() != 3 || kind_of_array(*array, options) == ArrayKind::Counts;
}

}  // namespace

const ImportFormat plain_counts_recording = {
    "counts",
    "counts [step, layer, expert], or [layer, expert] without a time axis (vllm-ascend's expert_load, popularity "
    "tables): .csv, .json, .npy, .npz, .pt",
    "vllm-ascend 0.23.0 and 0.26.0rc1", recognises, read};

}  // namespace gem
