#include "interchange/engine_format.hpp"

#include <fmt/core.h>
#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {

const std::vector<const EngineFormat*>& engine_formats() {
  static const std::vector<const EngineFormat*> all = {&sglang_format, &tensorrt_llm_format, &vllm_ascend_format,
                                                       &vllm_format, &eplb_format};
  return all;
}

const EngineFormat& find_engine(const std::string& name) {
  std::vector<std::string> names;
  for (const EngineFormat* engine : engine_formats()) {
    if (engine->name == name) return *engine;
    names.push_back(engine->name);
  }
  throw UsageError("'" + name + "' is unknown; it is one of " + join(names) +
                   " (any other engine: gem-deploy permute)");
}

std::string note_of_ending(const std::string& path, const std::string& ending) {
  if (path.ends_with(ending)) return "";
  return "Rename the file first: the engine takes none whose name does not end in " + ending + ".\n";
}

PhysicalMap map_of_rows(const EngineRows& rows, const PhysicalMap& shape, const std::string& origin) {
  PhysicalMap map = shape;
  if (!rows.layer_ids.empty()) map.layer_ids = rows.layer_ids;
  if (rows.device_count > 0) map.device_count = rows.device_count;
  if (rows.slots.size() != map.layer_ids.size())
    throw DataError(
        fmt::format("{}: has {} layers, but must have {}", origin, rows.slots.size(), map.layer_ids.size()));
  map.physical_to_logical = Matrix<std::int32_t>(rows.slots.size(), rows.slots.empty() ? 0 : rows.slots[0].size());
  for (std::size_t layer = 0; layer < rows.slots.size(); ++layer) {
    const std::vector<std::int32_t>& slots = rows.slots[layer];
    if (slots.size() != map.slot_count())
      throw DataError(fmt::format("{}: layer {} has {} slots, but the first layer has {}", origin, map.layer_ids[layer],
                                  slots.size(), map.slot_count()));
    for (const std::int32_t expert : slots)
      if (expert < 0 || static_cast<std::size_t>(expert) >= map.expert_count)
        throw DataError(fmt::format("{}: layer {} holds expert {}, but experts are 0 to {}", origin,
                                    map.layer_ids[layer], expert, map.expert_count - 1));
    std::ranges::copy(slots, map.physical_to_logical.row(layer).begin());
  }
  return map;
}

}  // namespace gem
