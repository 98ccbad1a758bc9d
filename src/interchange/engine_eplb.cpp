// The tensor that DeepSeek's EPLB (github.com/deepseek-ai/EPLB) returns first, phy2log [layers, replicas]: the expert
// of each replica, in the order of GPUs. As an NPY file of int64.
#include "base/error.hpp"

#include <fmt/core.h>

#include <map>
#include <optional>

#include "base/text.hpp"
#include "interchange/column_roles.hpp"
#include "interchange/engine_format.hpp"
#include "interchange/import_text.hpp"
#include "interchange/npy.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

std::string text_of(const PhysicalMap& map, const std::string&) {
  const std::vector<std::int32_t>& experts = map.physical_to_logical.values();
  return npy_text(std::vector<std::int64_t>(experts.begin(), experts.end()), {map.layer_count(), map.slot_count()});
}

NumberArray array_of(const std::string& text, const std::string& origin) {
  if (text.starts_with("\x93NUMPY")) return parse_npy(std::as_bytes(std::span(text)), origin);
  const JsonDocument document = JsonDocument::parse(text, origin);
  return array_of_json(document.root().is_object() ? document.root().at("phy2log") : document.root());
}

/// A list of slots for each layer, by its number: members "3" or "layer_3".
std::optional<EngineRows> rows_by_layer(const std::string& text, const std::string& origin) {
  if (!trim(text).starts_with("{")) return std::nullopt;
  const JsonDocument document = JsonDocument::parse(text, origin);
  std::map<std::int32_t, std::vector<std::int32_t>> layers;
  for (std::size_t i = 0; i < document.root().keys().size(); ++i) {
    const std::vector<NumberedName> numbers = numbers_in_name(document.root().keys()[i]);
    if (numbers.size() != 1 || (numbers[0].role != Role::Layer && numbers[0].role != Role::None) ||
        numbers[0].number > 65535)
      return std::nullopt;
    layers[static_cast<std::int32_t>(numbers[0].number)] = document.root().member(i).integers(0, largest_expert);
  }
  EngineRows rows;
  for (auto& [layer, slots] : layers) {
    rows.layer_ids.push_back(layer);
    rows.slots.push_back(std::move(slots));
  }
  return rows;
}

EngineRows read(const std::string& text, const std::string& origin) {
  if (auto rows = rows_by_layer(text, origin)) return *rows;
  NumberArray array = array_of(text, origin);
  EngineRows rows;
  if (array.extents.size() == 3) {  // by GPU
    rows.device_count = array.extents[1];
    array.extents = {array.extents[0], array.extents[1] * array.extents[2]};
  }
  if (array.extents.size() != 2 || !array.whole || array.values.empty())
    throw DataError(origin + ": phy2log must be whole numbers [layers, replicas], but has extents " +
                    extents_text(array.extents));
  rows.slots.resize(array.extents[0]);
  for (std::size_t i = 0; i < array.values.size(); ++i) {
    if (array.values[i] < 0.0 || array.values[i] > largest_expert)
      throw DataError(fmt::format("{}: phy2log holds expert {:g}, which is none", origin, array.values[i]));
    rows.slots[i / array.extents[1]].push_back(static_cast<std::int32_t>(array.values[i]));
  }
  return rows;
}

bool recognises(const std::string& text) {
  if (const std::size_t begin = text.find('"'); trim(text).starts_with("{") && begin != std::string::npos)
    if (!numbers_in_name(text.substr(begin + 1, text.find('"', begin + 1) - begin - 1)).empty()) return true;
  return text.starts_with("\x93NUMPY") || text.find("\"phy2log\"") != std::string::npos || trim(text).starts_with("[[");
}

std::string instructions(const PhysicalMap& map, const std::string& path) {
  return fmt::format(
      "The tensor phy2log of DeepSeek's EPLB, [{} MoE layers, {} replicas], {} replicas a GPU:\n"
      "  phy2log = torch.from_numpy(numpy.load({}))\n"
      "Use it where your engine calls eplb.rebalance_experts(...).\n",
      map.layer_count(), map.slot_count(), map.slots_per_device(), to_json(path));
}

}  // namespace

const EngineFormat eplb_format = {"eplb",
                                  "DeepSeek EPLB, tensor phy2log as NPY",
                                  "github.com/deepseek-ai/EPLB",
                                  EngineFormat::Layers::MoeLayerOrder,
                                  false,
                                  text_of,
                                  read,
                                  recognises,
                                  instructions,
                                  {}};

}  // namespace gem
