#include "interchange/engine_import.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/import.hpp"
#include "interchange/table_tree.hpp"
#include "interchange/torch_file.hpp"
#include "platform/file_system/input_file.hpp"

namespace gem {
namespace {

constexpr std::uint64_t largest_file_bytes = std::uint64_t{1} << 30;

struct ReadRows {
  EngineRows rows;
  const EngineFormat* engine;
};

/// An array [layer, slot] or [layer, device, slot], alone or under the name that SGLang's files and recordings, or
/// DeepSeek's EPLB, have it by (the first of what EPLB returns).
EngineRows rows_of_tensor(const std::string& path) {
  std::vector<std::string> notes;
  const TableNode tree = read_table_tree(path, notes);
  const TableNode* node = &tree;
  for (const char* name : {"physical_to_logical_map", "last_physical_to_logical_map", "phy2log"})
    if (const auto found = std::ranges::find(tree.keys, name); found != tree.keys.end() && node == &tree)
      node = &tree.items[static_cast<std::size_t>(found - tree.keys.begin())];
  if (node == &tree && tree.kind == TableNode::Kind::List && tree.items.size() == 3) node = &tree.items[0];
  if (node == &tree && tree.kind == TableNode::Kind::Members && tree.items.size() == 1) node = &tree.items[0];
  const NumberArray& array = node->array;
  if (node->kind != TableNode::Kind::Array || (array.extents.size() != 2 && array.extents.size() != 3))
    throw DataError(node->where + ": is " + node->described() +
                    ", but the map from slots to experts must be numbers [layer, slot] or [layer, device, slot], alone "
                    "or called physical_to_logical_map or phy2log");
  EngineRows rows;
  if (array.extents.size() == 3) rows.device_count = array.extents[1];
  rows.slots.resize(array.extents[0]);
  for (std::size_t i = 0; i < array.values.size(); ++i) {
    if (array.values[i] != std::floor(array.values[i]) || array.values[i] < 0.0 || array.values[i] > largest_expert)
      throw DataError(fmt::format("{}: a slot holds {:g}, which is no expert", node->where, array.values[i]));
    rows.slots[i / (array.values.size() / array.extents[0])].push_back(static_cast<std::int32_t>(array.values[i]));
  }
  return rows;
}

ReadRows read_rows(const std::string& path, const std::string& name) {
  if (path.ends_with(".npz")) return {rows_of_tensor(path), name.empty() ? &eplb_format : &find_engine(name)};
  if (is_torch_name(path)) return {rows_of_tensor(path), name.empty() ? &sglang_format : &find_engine(name)};
  const std::string text = read_whole_text(path, largest_file_bytes);
  if (!name.empty()) return {find_engine(name).read(text, path), &find_engine(name)};
  for (const EngineFormat* engine : engine_formats())
    if (engine->recognises(text)) return {engine->read(text, path), engine};
  throw UsageError(path + ": is no map of experts that is known by what it holds; say whose with " +
                   on_command_line("engine"));
}

void keep_rows(EngineRows& rows, const std::vector<std::int32_t>& kept) {
  EngineRows chosen;
  chosen.device_count = rows.device_count;
  for (std::size_t row = 0; row < rows.slots.size(); ++row)
    if (std::ranges::find(kept, rows.layer_ids[row]) != kept.end()) {
      chosen.slots.push_back(std::move(rows.slots[row]));
      chosen.layer_ids.push_back(rows.layer_ids[row]);
    }
  rows = std::move(chosen);
}

/// Leaves the model's MoE layers of rows that go by the model's own numbers.
void keep_moe_layers(EngineRows& rows, const ImportedMapShape& shape, std::vector<std::string>& notes) {
  const std::vector<std::int32_t> all = rows.layer_ids;
  keep_rows(rows, shape.layer_ids);
  std::vector<std::int64_t> draft, missing;
  for (const std::int32_t id : all)
    if (static_cast<std::size_t>(id) >= shape.decoder_layers) draft.push_back(id);
  for (const std::int32_t id : shape.layer_ids)
    if (std::ranges::find(all, id) == all.end()) missing.push_back(id);
  if (!draft.empty())
    notes.push_back(fmt::format("layer {} lies behind the model's last (multi-token prediction) and was left out",
                                ranges_text(draft)));
  if (!missing.empty()) notes.push_back(fmt::format("the file has no layer {} of the model", ranges_text(missing)));
}

/// Gives rows the model's own numbers.
void number_layers(EngineRows& rows, const EngineFormat& engine, const ImportedMapShape& shape, const std::string& path,
                   std::vector<std::string>& notes) {
  const std::size_t count = rows.slots.size();
  const bool named = !rows.layer_ids.empty();
  if (!named && engine.layers == EngineFormat::Layers::EveryDecoder && count >= shape.decoder_layers &&
      shape.decoder_layers > 0) {
    rows.layer_ids.resize(count);
    std::iota(rows.layer_ids.begin(), rows.layer_ids.end(), 0);
    return keep_moe_layers(rows, shape, notes);
  }
  if (named) {
    if (shape.decoder_layers > 0) keep_moe_layers(rows, shape, notes);
    return;
  }
  if (shape.layer_ids.empty()) {
    rows.layer_ids.resize(count);
    std::iota(rows.layer_ids.begin(), rows.layer_ids.end(), 0);
    notes.push_back(
        engine.layers == EngineFormat::Layers::EveryDecoder
            ? fmt::format("layers have the numbers of their rows; {} leaves out those of dense layers",
                          on_command_line("model"))
            : fmt::format(
                  "layers are numbered from 0, since the file doesn't say the model's own numbers; {} or {} can",
                  on_command_line("model"), on_command_line("layer-ids")));
    return;
  }
  if (count != shape.layer_ids.size())
    throw UsageError(fmt::format("{}: has {} layers, but {} or {} names {}", path, count, on_command_line("model"),
                                 on_command_line("layer-ids"), shape.layer_ids.size()));
  rows.layer_ids = shape.layer_ids;
}

std::size_t devices_of(const EngineRows& rows, const ImportedMapShape& shape, const std::string& path) {
  if (rows.device_count == 0 && shape.device_count == 0)
    throw UsageError(path + ": does not say how many devices it is for; say so with " + on_command_line("devices"));
  if (rows.device_count > 0 && shape.device_count > 0 && rows.device_count != shape.device_count)
    throw UsageError(fmt::format("{}: is for {} devices, but {} says {}", path, rows.device_count,
                                 on_command_line("devices"), shape.device_count));
  return std::max(rows.device_count, shape.device_count);
}

}  // namespace

ImportedMap import_map(const std::string& path, const std::string& engine_name, const ImportedMapShape& shape) {
  ImportedMap imported;
  auto [rows, engine] = read_rows(path, engine_name);
  if (rows.slots.empty()) throw DataError(path + ": holds no layer");
  PhysicalMap frame;
  frame.device_count = devices_of(rows, shape, path);
  frame.expert_count = shape.expert_count;
  if (frame.expert_count == 0)
    for (const auto& slots : rows.slots)
      for (const std::int32_t expert : slots)
        frame.expert_count = std::max(frame.expert_count, static_cast<std::size_t>(expert) + 1);
  number_layers(rows, *engine, shape, path, imported.notes);
  if (rows.slots.empty()) throw DataError(path + ": holds no layer of the model");
  imported.slots = map_of_rows(rows, frame, path);
  check_physical_map(imported.slots, path);
  imported.mapping = mapping_of(imported.slots);
  imported.mapping.method = shape.name;
  imported.mapping.model = shape.model;
  imported.source = engine->summary;
  return imported;
}

}  // namespace gem
