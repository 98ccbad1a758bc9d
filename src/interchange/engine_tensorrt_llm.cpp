// TensorRT-LLM's static load balancer: YAML with num_slots, initial_global_assignments {layer: [expert of slot 0, ...]}
// by the model's own layer numbers, and layer_updates_per_iter: 0 (no moves at run time). Documented in
// examples/wide_ep/ep_load_balancer/README.md (version 1.0): every num_slots / ep_size successive slots are one rank's.
#include <fmt/core.h>
#include <map>

#include "base/error.hpp"
#include "base/text.hpp"
#include "interchange/engine_format.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

std::string instructions(const PhysicalMap& map, const std::string& path) {
  return fmt::format(
      "TensorRT-LLM (1.0 or later), PyTorch backend, {} expert-parallel ranks in the order of the mapping's devices.\n"
      "In the file of --extra_llm_api_options (trtllm-serve, trtllm-bench):\n"
      "  moe_config:\n"
      "    backend: WIDEEP\n"
      "    load_balancer: {}\n"
      "and on the command line: --tp_size {} --ep_size {}\n",
      map.device_count, path, map.device_count, map.device_count);
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

/// The part of YAML that such files use: comments, "key: value", and lists in brackets, which are JSON.
PhysicalMap parse(const std::string& text, const std::string& origin, const PhysicalMap& shape) {
  std::map<std::string, std::string> values;
  std::vector<std::vector<std::int32_t>> rows;
  PhysicalMap found = shape;
  found.layer_ids.clear();
  bool in_assignments = false;
  for (const std::string& line : split(text, '\n')) {
    const std::string content = trim(line);
    if (content.empty() || content[0] == '#') continue;
    const std::size_t colon = content.find(':');
    if (colon == std::string::npos)
      throw DataError(origin + ": the line '" + content.substr(0, 60) + "' has no 'key:'");
    const std::string key = content.substr(0, colon), value = trim(content.substr(colon + 1));
    if (line[0] != ' ') {
      in_assignments = key == "initial_global_assignments";
      values[key] = value;
    } else if (in_assignments) {
      found.layer_ids.push_back(
          static_cast<std::int32_t>(JsonDocument::parse(key, origin + ": layer").root().integer(0, 1 << 20)));
      rows.push_back(JsonDocument::parse(value, origin + ": layer " + key)
                         .root()
                         .integers(0, static_cast<std::int32_t>(shape.expert_count) - 1));
    }
  }
  if (values["layer_updates_per_iter"] != "0")
    throw DataError(origin + ": layer_updates_per_iter is '" + values["layer_updates_per_iter"] + "', but must be 0");
  found.physical_to_logical = Matrix<std::int32_t>(rows.size(), 0);
  const PhysicalMap map = map_of_rows(rows, found, origin);
  if (values["num_slots"] != std::to_string(map.slot_count()))
    throw DataError(fmt::format("{}: num_slots is '{}', but each layer has {} slots", origin, values["num_slots"],
                                map.slot_count()));
  return map;
}

}  // namespace

const EngineFormat tensorrt_llm_format = {"tensorrt-llm",
                                          "TensorRT-LLM, YAML for moe_config: load_balancer",
                                          EngineFormat::Layers::Named,
                                          true,
                                          text_of,
                                          parse,
                                          instructions};

}  // namespace gem
