// vllm-ascend's static expert map: JSON with moe_layer_count and layer_list, whose layers have layer_id (counted among
// the MoE layers), device_count and device_list of device_id and device_expert: vllm_ascend/eplb/core/eplb_utils.py,
// expert_file_to_tensor, and vllm_ascend/eplb/adaptor/vllm_adaptor.py, _export_tensor_to_file. The format is the same
// in 0.23.0, 0.26.0rc1 and 0.30.0rc2, but from 0.26.0rc1 on the experts are loaded by vLLM's own map, in linear order,
// while tokens are sent where the file says (ops/fused_moe, "Keep ExpertMapManager's physical-expert map").
#include "base/text.hpp"

#include <fmt/core.h>
#include "base/quoting.hpp"
#include "interchange/engine_format.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

std::string text_of(const PhysicalMap& map, const std::string&) {
  std::string text = fmt::format("{{\"moe_layer_count\": {}, \"layer_list\": [", map.layer_count());
  for (std::size_t layer = 0; layer < map.layer_count(); ++layer) {
    text += fmt::format("{}\n{{\"layer_id\": {}, \"device_count\": {}, \"device_list\": [", layer > 0 ? "," : "", layer,
                        map.device_count);
    for (std::size_t device = 0; device < map.device_count; ++device)
      text += fmt::format("{}\n  {{\"device_id\": {}, \"device_expert\": {}}}", device > 0 ? "," : "", device,
                          to_json(map.device_experts(layer, device)));
    text += "]}";
  }
  return text + "]}\n";
}

EngineRows read(const std::string& text, const std::string& origin) {
  const JsonDocument document = JsonDocument::parse(text, origin);
  const JsonNode layers = document.root().at("layer_list");
  const auto count = static_cast<std::int64_t>(layers.size());
  document.root().at("moe_layer_count").integer(count, count);
  EngineRows rows;
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    const JsonNode devices = layers.item(layer).at("device_list");
    const auto device_count = static_cast<std::int64_t>(devices.size());
    layers.item(layer).at("device_count").integer(device_count, device_count);
    if (layer > 0 && devices.size() != rows.device_count)
      devices.reject(fmt::format("has {} devices, but the layers before have {}", devices.size(), rows.device_count));
    rows.device_count = devices.size();
    std::vector<std::int32_t>& slots = rows.slots.emplace_back();
    for (std::size_t device = 0; device < devices.size(); ++device) {
      const auto experts = devices.item(device).at("device_expert").integers(0, largest_expert);
      if (device > 0 && experts.size() * device != slots.size())
        devices.item(device).reject(
            fmt::format("holds {} experts, but the devices before hold {} each; devices that hold "
                        "unequal numbers are not supported",
                        experts.size(), slots.size() / device));
      slots.insert(slots.end(), experts.begin(), experts.end());
    }
  }
  return rows;
}

bool recognises(const std::string& text) {
  return text.find("\"moe_layer_count\"") != std::string::npos;
}

std::string instructions(const PhysicalMap& map, const std::string& path) {
  const std::string redundant =
      map.redundant_count() == 0 ? "" : fmt::format(", \"num_redundant_experts\": {}", map.redundant_count());
  const std::string file = fmt::format("{{\"expert_map_path\": {}}}", to_json(path));
  const std::string config =
      fmt::format("{{\"eplb_config\": {{\"expert_map_path\": {}{}}}}}", to_json(path), redundant);
  return note_of_ending(path, ".json") +
         fmt::format(
             "vllm-ascend, {} expert-parallel ranks in the order of the mapping's devices:\n"
             "  vllm serve MODEL --tensor-parallel-size {} --enable-expert-parallel \\\n"
             "    --additional-config {}\n"
             "(before 0.12: --additional-config {})\n"
             "WARNING: the file is good for 0.23.0. Versions 0.26.0rc1 to 0.30.0rc2 send\n"
             "tokens where it says, but load the experts in linear order: most tokens would\n"
             "meet other experts. With those, serve the checkpoint that gem-deploy permute\n"
             "makes, without a file.\n",
             map.device_count, map.device_count, shell_word(config), shell_word(file));
}

}  // namespace

const EngineFormat vllm_ascend_format = {"vllm-ascend",
                                         "vllm-ascend, JSON for expert_map_path",
                                         "vllm-ascend 0.23.0; 0.26.0rc1 to 0.30.0rc2 load experts in another order",
                                         EngineFormat::Layers::MoeLayerOrder,
                                         false,
                                         text_of,
                                         read,
                                         recognises,
                                         instructions,
                                         {}};

}  // namespace gem
