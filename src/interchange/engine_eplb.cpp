// The tensor that DeepSeek's EPLB (github.com/deepseek-ai/EPLB) returns first, phy2log [layers, replicas]: the expert
// of each replica, in the order of GPUs. As an NPY file of int64.
#include "base/error.hpp"

#include <fmt/core.h>
#include "base/text.hpp"
#include "interchange/engine_format.hpp"
#include "interchange/npy.hpp"

namespace gem {
namespace {

std::string text_of(const PhysicalMap& map, const std::string&) {
  const std::vector<std::int32_t>& experts = map.physical_to_logical.values();
  return npy_text(std::vector<std::int64_t>(experts.begin(), experts.end()), {map.layer_count(), map.slot_count()});
}

PhysicalMap parse(const std::string& text, const std::string& origin, const PhysicalMap& shape) {
  const NumberArray array = parse_npy(std::as_bytes(std::span(text)), origin);
  if (array.extents.size() != 2 || !array.whole)
    throw DataError(origin + ": phy2log must be whole numbers [layers, replicas], but has extents " +
                    extents_text(array.extents));
  std::vector<std::vector<std::int32_t>> rows(array.extents[0]);
  for (std::size_t i = 0; i < array.values.size(); ++i) {
    if (array.values[i] < 0.0 || array.values[i] >= static_cast<double>(shape.expert_count))
      throw DataError(fmt::format("{}: phy2log holds expert {:g}, but experts are 0 to {}", origin, array.values[i],
                                  shape.expert_count - 1));
    rows[i / array.extents[1]].push_back(static_cast<std::int32_t>(array.values[i]));
  }
  return map_of_rows(rows, shape, origin);
}

std::string instructions(const PhysicalMap& map, const std::string& path) {
  return fmt::format(
      "The tensor phy2log of DeepSeek's EPLB, [{} MoE layers, {} replicas], {} replicas a GPU:\n"
      "  phy2log = torch.from_numpy(numpy.load(\"{}\"))\n"
      "Use it where your engine calls eplb.rebalance_experts(...).\n",
      map.layer_count(), map.slot_count(), map.slots_per_device(), path);
}

}  // namespace

const EngineFormat eplb_format = {
    "eplb",      "DeepSeek EPLB, tensor phy2log as NPY", EngineFormat::Layers::MoeLayerOrder, false, text_of, parse,
    instructions};

}  // namespace gem
