// The initial mapping that is proposed for vLLM's EPLB: one JSON line with record_type eplb_initial_mapping, version 1,
// num_redundant_experts, num_slots and initial_global_assignments {"layer": [expert of slot 0, ...]}, layers counted
// among the MoE layers; read by EPLBConfig.initial_mapping_path. Provisional: no release of vLLM reads it yet, and a
// later revision of the proposal reads load statistics instead and makes a map of its own.
#include "base/text.hpp"

#include <fmt/core.h>
#include <algorithm>
#include "base/quoting.hpp"
#include "interchange/engine_format.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

std::string text_of(const PhysicalMap& map, const std::string&) {
  std::string text = fmt::format(
      "{{\"record_type\": \"eplb_initial_mapping\", \"version\": 1, \"num_redundant_experts\": {}, \"num_slots\": {}, "
      "\"initial_global_assignments\": {{",
      map.redundant_count(), map.slot_count());
  for (std::size_t layer = 0; layer < map.layer_count(); ++layer)
    text += fmt::format("{}\"{}\": {}", layer > 0 ? ", " : "", layer, to_json(map.physical_to_logical.row(layer)));
  return text + "}}\n";
}

EngineRows read(const std::string& text, const std::string& origin) {
  const JsonDocument document = JsonDocument::parse(text, origin);
  const JsonNode record = document.root();
  if (record.at("record_type").text() != "eplb_initial_mapping")
    record.at("record_type").reject("is '" + record.at("record_type").text() + "', but must be 'eplb_initial_mapping'");
  record.at("version").integer(1, 1);
  const JsonNode assignments = record.at("initial_global_assignments");
  EngineRows rows;
  for (std::size_t layer = 0; layer < assignments.keys().size(); ++layer)
    rows.slots.push_back(assignments.at(std::to_string(layer)).integers(0, largest_expert));
  if (rows.slots.empty()) assignments.reject("names no layer");
  const auto slots = static_cast<std::int64_t>(rows.slots.front().size());
  record.at("num_slots").integer(slots, slots);
  const std::int64_t experts = std::int64_t{std::ranges::max(rows.slots.front())} + 1;
  record.at("num_redundant_experts").integer(slots - experts, slots - experts);
  return rows;
}

bool recognises(const std::string& text) {
  return text.find("\"eplb_initial_mapping\"") != std::string::npos;
}

std::string instructions(const PhysicalMap& map, const std::string& path) {
  const std::string config = fmt::format(
      "{{\"initial_mapping_path\": {}, \"num_redundant_experts\": {}, \"disable_online_rebalancing\": true}}",
      to_json(path), map.redundant_count());
  return fmt::format(
      "PROVISIONAL: vLLM's initial mapping for EPLB is proposed, not released; with a vLLM that has it, {} "
      "expert-parallel ranks in the order of the mapping's devices:\n"
      "  vllm serve MODEL --tensor-parallel-size {} --enable-expert-parallel \\\n"
      "    --enable-eplb \\\n"
      "    --eplb-config {}\n"
      "With any vLLM: gem-deploy permute makes a checkpoint whose linear placement is this one.\n",
      map.device_count, map.device_count, shell_word(config));
}

}  // namespace

const EngineFormat vllm_format = {"vllm",
                                  "vLLM, JSON line for the proposed initial mapping of EPLB (provisional)",
                                  "vLLM pull request 41141; 0.33.0 reads none",
                                  EngineFormat::Layers::MoeLayerOrder,
                                  false,
                                  text_of,
                                  read,
                                  recognises,
                                  instructions,
                                  {}};

}  // namespace gem
