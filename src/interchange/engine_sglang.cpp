// SGLang reads a JSON file {"physical_to_logical_map": [[expert of slot 0, ...], ...]} with one row a decoder layer,
// dense layers too, and no other member: python/sglang/srt/eplb/expert_location.py,
// compute_initial_expert_location_metadata (version 0.5.23).
#include "base/text.hpp"

#include <fmt/core.h>
#include "base/quoting.hpp"
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

EngineRows read(const std::string& text, const std::string& origin) {
  const JsonDocument document = JsonDocument::parse(text, origin);
  const JsonNode map = document.root().at("physical_to_logical_map");
  EngineRows rows;
  for (std::size_t layer = 0; layer < map.size(); ++layer)
    rows.slots.push_back(map.item(layer).integers(0, largest_expert));
  return rows;
}

bool recognises(const std::string& text) {
  return text.find("\"physical_to_logical_map\"") != std::string::npos;
}

std::string instructions(const PhysicalMap& map, const std::string& path) {
  return note_of_ending(path, ".json") +
         fmt::format(
             "SGLang (0.5 or later), one expert-parallel rank a device, {} ranks in the order of the mapping's "
             "devices:\n"
             "  python3 -m sglang.launch_server --model-path MODEL --tp-size {} --ep-size {} \\\n"
             "    --init-expert-location {}{}\n"
             "Leave --enable-eplb out: the engine would move the experts again.\n",
             map.device_count, map.device_count, map.device_count, shell_word(path),
             map.redundant_count() > 0 ? fmt::format(" --ep-num-redundant-experts {}", map.redundant_count()) : "");
}

constexpr const char* no_location = "SGLang knows no expert location for this model and dies at start";

}  // namespace

const EngineFormat sglang_format = {
    "sglang",
    "SGLang, JSON for --init-expert-location",
    "SGLang 0.5.23",
    EngineFormat::Layers::EveryDecoder,
    false,
    text_of,
    read,
    recognises,
    instructions,
    // Model classes with get_model_config_for_expert_location read the file, and of those gpt-oss loads its fused
    // experts in linear order. These have none.
    {{"gpt-oss",
      "SGLang loads this model's experts in linear order but sends tokens where the file says, so that most "
      "would meet other experts"},
     {"llama-4", no_location},
     {"mixtral", no_location},
     {"olmoe", no_location},
     {"phi-", no_location},
     {"hunyuan", no_location},
     {"granite", no_location},
     {"ernie", no_location},
     {"lfm2", no_location},
     {"gemma-4", no_location},
     {"grok", no_location},
     {"kimi-linear", no_location},
     {"kimi-k3", no_location},
     {"kimi-vl", no_location},
     {"afmoe", no_location},
     {"trinity", no_location},
     {"dbrx", no_location},
     {"jamba", no_location},
     {"jetmoe", no_location},
     {"qwen3-omni", no_location},
     {"glm-4.5v", no_location},
     {"glm-4.6v", no_location},
     {"internvl", no_location},
     {"intern-s1", no_location},
     {"gigachat", no_location},
     {"deepseek-moe", no_location},
     {"deepseek-vl", no_location},
     {"aria", no_location}}};

}  // namespace gem
