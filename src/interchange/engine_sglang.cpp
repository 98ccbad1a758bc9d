// SGLang reads a JSON file {"physical_to_logical_map": [[expert of slot 0, ...], ...]} with one row a decoder layer,
// dense layers too, and no other member: python/sglang/srt/eplb/expert_location.py,
// compute_initial_expert_location_metadata (version 0.5).
#include "base/text.hpp"

#include <fmt/core.h>
#include "interchange/engine_format.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

std::string text_of(const PhysicalMap& map, const std::string&) {
  std::string text = "{\"physical_to_logical_map\": [\n";
  for (std::size_t layer = 0; layer < map.layer_count(); ++layer)
    text += to_json(map.physical_to_logical.row(layer)) + (layer + 1 < map.layer_count() ? ",\n" : "\n");
  return text + "]}\n";
}

PhysicalMap parse(const std::string& text, const std::string& origin, const PhysicalMap& shape) {
  const JsonDocument document = JsonDocument::parse(text, origin);
  const JsonNode map = document.root().at("physical_to_logical_map");
  if (document.root().keys().size() != 1) document.root().reject("must have no other member");
  std::vector<std::vector<std::int32_t>> rows;
  for (std::size_t layer = 0; layer < map.size(); ++layer)
    rows.push_back(map.item(layer).integers(0, static_cast<std::int32_t>(shape.expert_count) - 1));
  return map_of_rows(rows, shape, origin);
}

std::string instructions(const PhysicalMap& map, const std::string& path) {
  return note_of_ending(path, ".json") +
         fmt::format(
             "SGLang (0.5 or later), one expert-parallel rank a device, {} ranks in the order of the mapping's "
             "devices:\n"
             "  python3 -m sglang.launch_server --model-path MODEL --tp-size {} --ep-size {} \\\n"
             "    --init-expert-location {}{}\n"
             "Leave --enable-eplb out: the engine would move the experts again.\n",
             map.device_count, map.device_count, map.device_count, path,
             map.redundant_count() > 0 ? fmt::format(" --ep-num-redundant-experts {}", map.redundant_count()) : "");
}

}  // namespace

const EngineFormat sglang_format = {
    "sglang",    "SGLang, JSON for --init-expert-location", EngineFormat::Layers::EveryDecoder, false, text_of, parse,
    instructions};

}  // namespace gem
