#include "interchange/expert_survey.hpp"

#include <fmt/core.h>
#include <algorithm>

#include "base/error.hpp"
#include "interchange/checkpoint_layout.hpp"

namespace gem {
namespace {

bool is_weight(const TensorRole& role) {
  for (const char* tail : {"weight", "blocks", "weight_packed", "weight_blocks", "qweight"})
    if (role.tail == tail) return true;
  return false;
}

/// Adapters (LoRA) stand beside a model and need not have all experts.
bool is_of_adapter(std::string_view name) {
  return name.find(".lora_") != std::string_view::npos;
}

std::string stack_in_words(const std::string& stack) {
  return stack.empty() ? std::string() : " of " + stack.substr(0, stack.size() - 1);
}

/// The number of experts that a layer's tensors show.
std::size_t count_in_layer(const LayerSurvey& layer, std::size_t zero_experts, const std::string& where) {
  const std::size_t own = layer.numbered.size();
  if (layer.router_rows == 0)
    throw DataError(where +
                    " has experts, but no router under a name that GEM knows; the checkpoint lacks a file, has "
                    "a layout that GEM does not know, or a router quantised by columns (GPTQ, AWQ)");
  if (own != 0) {
    std::int32_t next = 0;
    for (const std::int32_t expert : layer.numbered)
      if (expert != next++)
        throw DataError(fmt::format("{} has no tensors of expert {}, but of expert {}; copy the checkpoint again",
                                    where, next - 1, expert));
  }
  const std::size_t routed = layer.router_rows - std::min(zero_experts, layer.router_rows);
  const std::size_t fused = layer.fused_experts != 0 ? layer.fused_experts : layer.stacked_rows != 0 ? routed : 0;
  if (own == 0 && fused == 0)
    throw DataError(where +
                    " has a router, but no experts under a name that GEM knows; the checkpoint lacks a file, "
                    "or has a layout that GEM does not know");
  const std::size_t count = own != 0 ? own : fused;
  if ((own != 0 && fused != 0 && own != fused) || count != routed)
    throw DataError(
        fmt::format("{} has tensors of {} experts, but its router has {} rows{}; copy the checkpoint again, "
                    "or deploy the mapping with gem-deploy export",
                    where, count, layer.router_rows,
                    zero_experts == 0 ? "" : fmt::format(", {} of them for zero-computation experts", zero_experts)));
  return count;
}

}  // namespace

void add_to_survey(ExpertSurvey& survey, const SafetensorsHeader& header) {
  using Kind = TensorRole::Kind;
  for (const SafetensorsTensor& tensor : header.tensors) {
    const TensorRole role = role_of(tensor.name);
    if (role.kind == Kind::OtherStack) survey.other_stacks.insert(tensor.name.substr(0, tensor.name.find('.')));
    if (role.layer < 0 || is_of_adapter(tensor.name)) continue;
    const auto at_layer = [&]() -> LayerSurvey& { return survey.layers[{std::string(role.stack), role.layer}]; };
    const std::size_t first = tensor.extents.empty() ? 0 : tensor.extents[0];
    if (role.kind == Kind::OneExpert) at_layer().numbered.insert(role.expert);
    if (role.kind == Kind::Router && role.tail != "qweight" && is_weight(role))
      at_layer().router_rows = std::max(at_layer().router_rows, first);
    if (role.kind == Kind::AllExperts && (role.tail.empty() || is_weight(role)) && tensor.extents.size() > 1)
      at_layer().fused_experts = std::max(at_layer().fused_experts, first);
    if (role.kind == Kind::Stacked) at_layer().stacked_rows = std::max(at_layer().stacked_rows, first);
  }
}

std::map<std::int32_t, std::size_t> expert_counts(const ExpertSurvey& survey, const Renumbering& renumbering,
                                                  const std::string& origin) {
  std::map<std::int32_t, std::size_t> counts;
  for (const auto& [place, layer] : survey.layers) {
    const auto& [stack, id] = place;
    if (renumbering.find(id) == nullptr) continue;
    const std::string where = fmt::format("{}: layer {}{}", origin, id, stack_in_words(stack));
    const std::size_t count = count_in_layer(layer, renumbering.zero_expert_count, where);
    if (count > renumbering.expert_count)
      throw DataError(fmt::format("{} has {} experts, but the mapping has {}; give the mapping of this model", where,
                                  count, renumbering.expert_count));
    const auto [known, is_new] = counts.emplace(id, count);
    if (!is_new && known->second != count)
      throw DataError(
          fmt::format("{} has {} experts, but another stack of layers has {} in that layer; deploy the "
                      "mapping with gem-deploy export instead",
                      where, count, known->second));
  }
  for (const Renumbering::Layer& layer : renumbering.layers)
    if (!counts.contains(layer.id))
      throw DataError(
          fmt::format("{}: no tensors of a router and experts were found for layer {} of the mapping; this "
                      "is another model, or a layout that GEM does not know",
                      origin, layer.id));
  return counts;
}

}  // namespace gem
