// TensorRT-LLM's static load balancer: YAML with num_slots, initial_global_assignments {layer: [expert of slot 0, ...]}
// by the model's own layer numbers, and layer_updates_per_iter: 0 (no moves at run time): MoeLoadBalancerConfig in
// tensorrt_llm/llmapi/llm_args.py (main branch of 2026, after 1.2), which knows no other key and wants every layer that
// the model builds. Every num_slots / ep_size successive slots are one rank's.
#include <fmt/core.h>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/engine_format.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

std::string instructions(const PhysicalMap& map, const std::string& path) {
  return fmt::format(
      "TensorRT-LLM (1.0 or later), PyTorch backend, {} expert-parallel ranks in the order of the mapping's devices.\n"
      "In the file of --config, or --extra_llm_api_options by its older name (trtllm-serve):\n"
      "  moe_config:\n"
      "    backend: WIDEEP\n"
      "    load_balancer: {}\n"
      "and on the command line: --tp_size {} --ep_size {}\n"
      "With multi-token prediction the file must have its layers too: make it with {} N.\n",
      map.device_count, to_json(path), map.device_count, map.device_count, on_command_line("mtp-layers"));
}

std::string text_of(const PhysicalMap& map, const std::string& path) {
  std::string text = "# Written by GEM. " + instructions(map, path);
  text.pop_back();
  for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 1))
    text.insert(at + 1, "# ");
  text += fmt::format("\nnum_slots: {}\nlayer_updates_per_iter: 0\ninitial_global_assignments:\n", map.slot_count());
  for (std::size_t layer = 0; layer < map.layer_count(); ++layer)
    text += fmt::format("  {}: ", map.layer_ids[layer]) + to_json(map.physical_to_logical.row(layer)) + "\n";
  return text;
}

/// Numbers of a list in brackets ("[0, 5,"), or of a block ("- 0"), of which one line may hold a part.
void append_numbers(const std::string& text, std::vector<std::int32_t>& numbers, const std::string& where) {
  std::string list = text.starts_with("- ") ? text.substr(2) : text;
  std::erase_if(list, [](char letter) { return letter == '[' || letter == ']'; });
  for (const std::string& part : split(list, ',')) {
    const std::string word = trim(part);
    if (word.empty()) continue;
    numbers.push_back(static_cast<std::int32_t>(JsonDocument::parse(word, where).root().integer(0, largest_expert)));
  }
}

/// The part of YAML that such files use: comments, "key: value", and lists of numbers.
EngineRows read(const std::string& text, const std::string& origin) {
  EngineRows rows;
  std::string slot_count;
  bool in_assignments = false;
  for (const std::string& line : split(text, '\n')) {
    const std::string content = trim(line);
    if (content.empty() || content[0] == '#') continue;
    const std::size_t colon = content.find(':');
    const std::string key = content.substr(0, colon);
    const std::string value = colon == std::string::npos ? content : trim(content.substr(colon + 1));
    if (line[0] != ' ' && line[0] != '-') {
      if (colon == std::string::npos)
        throw DataError(origin + ": the line '" + content.substr(0, 60) + "' has no 'key:'");
      in_assignments = key == "initial_global_assignments";
      if (key == "num_slots") slot_count = value;
    } else if (in_assignments) {
      if (colon != std::string::npos) {
        rows.layer_ids.push_back(
            static_cast<std::int32_t>(JsonDocument::parse(key, origin + ": layer").root().integer(0, largest_expert)));
        rows.slots.emplace_back();
      }
      if (rows.slots.empty()) throw DataError(origin + ": initial_global_assignments has a list without a layer");
      append_numbers(value, rows.slots.back(), fmt::format("{}: layer {}", origin, rows.layer_ids.back()));
    }
  }
  if (rows.slots.empty()) throw DataError(origin + ": has no initial_global_assignments of a layer");
  if (slot_count != std::to_string(rows.slots.front().size()))
    throw DataError(fmt::format("{}: num_slots is '{}', but the first layer has {} slots", origin, slot_count,
                                rows.slots.front().size()));
  return rows;
}

bool recognises(const std::string& text) {
  return text.find("initial_global_assignments:") != std::string::npos;
}

}  // namespace

const EngineFormat tensorrt_llm_format = {"tensorrt-llm",
                                          "TensorRT-LLM, YAML for moe_config: load_balancer",
                                          "TensorRT-LLM, main branch of 2026 (after 1.2)",
                                          EngineFormat::Layers::Named,
                                          true,
                                          text_of,
                                          read,
                                          recognises,
                                          instructions,
                                          {}};

}  // namespace gem
