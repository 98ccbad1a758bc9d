#include "interchange/renumbering.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <iterator>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/physical_map.hpp"

namespace gem {
namespace {

/// Which old group takes the place of each new one, so that every device keeps its experts: the share of each device in
/// the old group must be its share of the new group's places.
std::vector<std::size_t> groups_by_place(const PhysicalMap& map, std::size_t layer, std::size_t group_count) {
  const std::size_t per_group = map.expert_count / group_count;
  Matrix<std::size_t> held(group_count, map.device_count), places(group_count, map.device_count);
  for (std::size_t slot = 0; slot < map.expert_count; ++slot) {
    const std::size_t device = map.device_of(slot);
    ++places(slot / per_group, device);
    ++held(static_cast<std::size_t>(map.physical_to_logical(layer, slot)) / per_group, device);
  }
  std::vector<std::size_t> old_of_new;
  std::vector<bool> used(group_count, false);
  for (std::size_t place = 0; place < group_count; ++place) {
    std::size_t group = 0;
    while (group < group_count && (used[group] || !std::ranges::equal(held.row(group), places.row(place)))) ++group;
    if (group == group_count)
      throw UsageError(fmt::format(
          "layer {}: the model routes each token to a few of {} groups of {} consecutive experts, and the mapping "
          "spreads groups over the {} devices such that no renumbering keeps each group together: the outputs would "
          "change; search a mapping that keeps them with gem-map {} {}, or deploy this one with "
          "gem-deploy export",
          map.layer_ids[layer], group_count, per_group, map.device_count, on_command_line("expert-groups"),
          group_count));
    used[group] = true;
    old_of_new.push_back(group);
  }
  return old_of_new;
}

/// Every layer's experts device by device.
Renumbering by_devices(const Mapping& mapping) {
  Renumbering renumbering{mapping.device_count, mapping.expert_count(), {}, 1, 0};
  for (std::size_t layer = 0; layer < mapping.layer_count(); ++layer) {
    Renumbering::Layer& numbers = renumbering.layers.emplace_back();
    numbers.id = mapping.layer_ids[layer];
    for (const auto& experts : slots_of(mapping, layer))
      numbers.old_of_new.insert(numbers.old_of_new.end(), experts.begin(), experts.end());
  }
  std::ranges::sort(renumbering.layers, {}, &Renumbering::Layer::id);
  return renumbering;
}

}  // namespace

const Renumbering::Layer* Renumbering::find(std::int32_t id) const {
  const auto found = std::ranges::lower_bound(layers, id, {}, &Layer::id);
  return found != layers.end() && found->id == id ? &*found : nullptr;
}

Renumbering renumbering_of(const Mapping& mapping, std::size_t group_count) {
  if (mapping.redundant_count() > 0)
    throw UsageError(fmt::format(
        "the mapping has {} redundant copies of experts a layer, and a checkpoint holds each expert once; make a "
        "mapping without (gem-map without {}), or use gem-deploy export",
        mapping.redundant_count(), on_command_line("redundant-experts")));
  if (group_count == 1) return by_devices(mapping);
  if (!mapping.experts_of_layer.empty())
    throw UsageError(
        fmt::format("layers have different numbers of experts ({}), and a model that routes to {} groups of "
                    "experts can't be renumbered then; serve it as it is",
                    experts_text(mapping.experts_of_layer, mapping.expert_count()), group_count));
  const PhysicalMap map = physical_map_of(mapping);
  if (group_count == 0 || map.expert_count % group_count != 0)
    throw UsageError(fmt::format("{} experts do not divide into {} groups", map.expert_count, group_count));
  const std::size_t per_group = map.expert_count / group_count;
  Renumbering renumbering{map.device_count, map.expert_count, {}, group_count, 0};
  for (std::size_t layer = 0; layer < map.layer_count(); ++layer) {
    const std::vector<std::size_t> old_group = groups_by_place(map, layer, group_count);
    Renumbering::Layer& numbers = renumbering.layers.emplace_back();
    numbers.id = map.layer_ids[layer];
    for (std::size_t device = 0; device < map.device_count; ++device) {
      const auto experts = map.device_experts(layer, device);
      const std::size_t first = first_slot_on(device, map.expert_count, map.device_count);
      for (std::size_t place = first / per_group; place * per_group < first + experts.size(); ++place)
        std::ranges::copy_if(experts, std::back_inserter(numbers.old_of_new), [&](std::int32_t expert) {
          return static_cast<std::size_t>(expert) / per_group == old_group[place];
        });
    }
  }
  return renumbering;
}

Renumbering with_expert_counts(const Renumbering& renumbering,
                               const std::map<std::int32_t, std::size_t>& expert_counts) {
  Renumbering fitted = renumbering;
  for (Renumbering::Layer& layer : fitted.layers) {
    const auto count = expert_counts.find(layer.id);
    if (count == expert_counts.end() || count->second >= layer.old_of_new.size()) continue;
    if (renumbering.group_count > 1)
      throw UsageError(
          fmt::format("layer {} has {} experts where the mapping has {}, and the model routes by groups of "
                      "experts, so that it can't be renumbered; deploy the mapping with gem-deploy export",
                      layer.id, count->second, layer.old_of_new.size()));
    std::erase_if(layer.old_of_new, [&](std::int32_t old) { return static_cast<std::size_t>(old) >= count->second; });
  }
  return fitted;
}

std::size_t displaced_experts(const Renumbering& whole, const Renumbering::Layer& layer) {
  const Renumbering::Layer& of_mapping = *whole.find(layer.id);
  const std::vector<std::int32_t> place = new_of_old(of_mapping);
  const std::size_t experts = layer.old_of_new.size();
  std::size_t displaced = 0;
  for (std::size_t next = 0; next < experts; ++next) {
    const auto old = static_cast<std::size_t>(place[static_cast<std::size_t>(layer.old_of_new[next])]);
    displaced += device_of_slot(old, of_mapping.old_of_new.size(), whole.device_count) !=
                 device_of_slot(next, experts, whole.device_count);
  }
  return displaced;
}

Renumbering inverse_of(const Renumbering& renumbering) {
  Renumbering inverse = renumbering;
  for (Renumbering::Layer& layer : inverse.layers) layer.old_of_new = new_of_old(layer);
  return inverse;
}

std::vector<std::int32_t> new_of_old(const Renumbering::Layer& layer) {
  std::vector<std::int32_t> numbers(layer.old_of_new.size());
  for (std::size_t expert = 0; expert < numbers.size(); ++expert)
    numbers[static_cast<std::size_t>(layer.old_of_new[expert])] = static_cast<std::int32_t>(expert);
  return numbers;
}

}  // namespace gem
