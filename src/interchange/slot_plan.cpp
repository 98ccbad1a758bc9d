#include "interchange/slot_plan.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <map>

#include "base/error.hpp"
#include "base/json_record.hpp"
#include "base/option.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

using Contents = std::vector<std::vector<std::int32_t>>;  // [device][slot] experts, -1 for none

constexpr std::int32_t none = -1;

std::int32_t& at(Contents& contents, std::int32_t device, std::int32_t slot) {
  return contents[static_cast<std::size_t>(device)][static_cast<std::size_t>(slot)];
}

std::size_t places_of(const Contents& contents, std::int32_t expert) {
  std::size_t places = 0;
  for (const std::vector<std::int32_t>& device : contents)
    places += static_cast<std::size_t>(std::ranges::count(device, expert));
  return places;
}

// The slots of a layer before its moves, each device's experts ascending.
Contents contents_before(const Mapping& mapping, std::size_t layer) {
  Contents contents = slots_of(mapping, layer);
  for (auto move = mapping.moves.rbegin(); move != mapping.moves.rend(); ++move) {
    if (static_cast<std::size_t>(move->layer) != layer || move->replaces == none) continue;
    auto& device = contents[static_cast<std::size_t>(move->to_device)];
    const auto slot = std::ranges::find(device, move->expert);
    if (slot == device.end())
      throw DataError(
          fmt::format("the mapping's moves don't lead to it: expert {} of layer {} isn't on device {}; map "
                      "again",
                      move->expert, mapping.layer_ids[layer], move->to_device));
    *slot = move->replaces;
  }
  for (auto& device : contents) std::ranges::sort(device);
  return contents;
}

// The running placement's slots, if it holds the experts that the moves begin with.
Contents contents_of(const PhysicalMap& live, std::int32_t layer_id, const Contents& expected,
                     const std::string& name) {
  const auto row = std::ranges::find(live.layer_ids, layer_id);
  if (row == live.layer_ids.end())
    throw DataError(fmt::format("{}: has no layer {}, of which experts are to move", name, layer_id));
  Contents contents;
  for (std::size_t device = 0; device < expected.size(); ++device) {
    const auto experts = device < live.device_count
                             ? live.device_experts(static_cast<std::size_t>(row - live.layer_ids.begin()), device)
                             : std::span<const std::int32_t>{};
    contents.emplace_back(experts.begin(), experts.end());
    std::vector<std::int32_t> sorted = contents.back();
    std::ranges::sort(sorted);
    if (sorted != expected[device] || live.device_count != expected.size())
      throw DataError(
          fmt::format("{}: device {} holds other experts of layer {} than the placement that the mapping "
                      "was made from; map again from what runs",
                      name, device, layer_id));
  }
  return contents;
}

class SlotPlanner {
 public:
  SlotPlanner(const Contents& before, std::int32_t layer_id, std::int32_t spare_slot)
      : contents_(before), layer_id_(layer_id), spare_slot_(spare_slot) {
    for (auto& device : contents_) device.resize(static_cast<std::size_t>(spare_slot) + 1, none);
  }

  SlotMove make(const ExpertMove& move) {
    SlotMove made{layer_id_,      move.expert, move.from_device, slot_of(move.from_device, move.expert),
                  move.to_device, spare_slot_, move.replaces};
    if (move.replaces != none) made.to_slot = slot_of(move.to_device, move.replaces);
    at(contents_, made.to_device, made.to_slot) = made.expert;
    if (made.from_slot == spare_slot_) at(contents_, made.from_device, spare_slot_) = none;
    return made;
  }

 private:
  std::int32_t slot_of(std::int32_t device, std::int32_t expert) const {
    const auto& slots = contents_[static_cast<std::size_t>(device)];
    const auto slot = std::ranges::find(slots, expert);
    if (slot == slots.end())
      throw DataError(fmt::format("a move needs expert {} of layer {} on device {}, where it isn't; map again", expert,
                                  layer_id_, device));
    return static_cast<std::int32_t>(slot - slots.begin());
  }

  Contents contents_;
  std::int32_t layer_id_, spare_slot_;
};

// What the moves of a text make of its first slots.
class Replay {
 public:
  explicit Replay(const JsonNode& root)
      : spare_slot_(static_cast<std::int32_t>(root.at("spare_slot").integer(1, largest_slot))) {
    for (std::size_t i = 0; i < root.at("layers").size(); ++i) {
      const JsonNode layer = root.at("layers").item(i);
      Contents& contents = layers_[layer.at("layer").integer()];
      for (std::size_t d = 0; d < layer.at("before").size(); ++d) {
        contents.push_back(layer.at("before").item(d).integers(0, largest_slot));
        contents.back().resize(static_cast<std::size_t>(spare_slot_) + 1, none);
      }
    }
  }

  void carry_out(const JsonNode& move) {
    const auto found = layers_.find(move.at("layer").integer());
    if (found == layers_.end()) move.reject("is of a layer that isn't among the layers");
    Contents& contents = found->second;
    const auto last = static_cast<std::int64_t>(contents.size()) - 1;
    const auto number = [&](const char* key, std::int64_t greatest) {
      return static_cast<std::int32_t>(move.at(key).integer(0, greatest));
    };
    const std::int32_t expert = number("expert", largest_slot), from_slot = number("from_slot", spare_slot_);
    std::int32_t& from = at(contents, number("from_device", last), from_slot);
    std::int32_t& to = at(contents, number("to_device", last), number("to_slot", spare_slot_));
    if (from != expert) move.reject("takes an expert from a slot that doesn't hold it");
    if (to != (move.at("replaces").is_null() ? none : number("replaces", largest_slot)))
      move.reject("replaces another expert than is in the slot");
    if (to != none && places_of(contents, to) < 2) move.reject("overwrites an expert that is nowhere else");
    to = expert;
    if (from_slot == spare_slot_) from = none;
  }

  void compare(const JsonNode& layer) {
    Contents& contents = layers_[layer.at("layer").integer()];
    for (std::size_t d = 0; d < contents.size(); ++d) {
      const std::vector<std::int32_t> after = layer.at("after").item(d).integers(0, largest_slot);
      if (contents[d].back() != none || !std::equal(after.begin(), after.end(), contents[d].begin()))
        layer.at("after").reject("isn't where the moves lead");
    }
  }

 private:
  static constexpr std::int32_t largest_slot = 1 << 24;

  std::int32_t spare_slot_;
  std::map<std::int64_t, Contents> layers_;
};

}  // namespace

SlotPlan slot_plan(const Mapping& mapping, const std::optional<PhysicalMap>& live, const std::string& live_name) {
  if (mapping.moved_from.empty())
    throw UsageError("the mapping wasn't made from a running placement and has no moves; make one by gem-map " +
                     on_command_line("from") + " FILE");
  SlotPlan plan;
  plan.model = mapping.model;
  plan.device_count = mapping.device_count;
  plan.spare_slot = static_cast<std::int32_t>(mapping.slots_per_device());
  for (std::size_t begin = 0; begin < mapping.moves.size();) {
    const auto layer = static_cast<std::size_t>(mapping.moves[begin].layer);
    const std::int32_t layer_id = mapping.layer_ids[layer];
    LayerSlots slots{layer_id, contents_before(mapping, layer), {}};
    if (live) slots.before = contents_of(*live, layer_id, slots.before, live_name);
    slots.after = slots.before;
    SlotPlanner planner(slots.before, layer_id, plan.spare_slot);
    for (; begin < mapping.moves.size() && static_cast<std::size_t>(mapping.moves[begin].layer) == layer; ++begin) {
      const SlotMove move = planner.make(mapping.moves[begin]);
      plan.moves.push_back(move);
      if (move.replaces != none) at(slots.after, move.to_device, move.to_slot) = move.expert;
    }
    plan.layers.push_back(std::move(slots));
  }
  return plan;
}

std::string slot_plan_text(const SlotPlan& plan, std::optional<std::size_t> expert_bytes) {
  const JsonRecord head = JsonRecord()
                              .add("format", "gem.moves")
                              .add("format_version", "1.0")
                              .add("model", plan.model)
                              .add("devices", plan.device_count)
                              .add("spare_slot", plan.spare_slot)
                              .add("expert_bytes", expert_bytes);
  std::string layers, moves;
  for (const LayerSlots& layer : plan.layers)
    layers += (layers.empty() ? "\n" : ",\n") +
              JsonRecord().add("layer", layer.layer).add("before", layer.before).add("after", layer.after).text();
  std::size_t step = 0;
  for (const SlotMove& move : plan.moves) {
    moves += moves.empty() ? "\n" : ",\n";
    moves += JsonRecord()
                 .add("step", step++)
                 .add("layer", move.layer)
                 .add("expert", move.expert)
                 .add("from_device", move.from_device)
                 .add("from_slot", move.from_slot)
                 .add("to_device", move.to_device)
                 .add("to_slot", move.to_slot)
                 .add("replaces", move.replaces == none ? std::nullopt : std::optional(move.replaces))
                 .add("bytes", expert_bytes)
                 .text();
  }
  std::string text = head.text();
  text.pop_back();
  return text + ",\n\"layers\": [" + layers + "],\n\"moves\": [" + moves + "]}\n";
}

std::size_t check_slot_plan_text(const std::string& text, const std::string& origin) {
  const JsonDocument document = JsonDocument::parse(text, origin);
  const JsonNode moves = document.root().at("moves"), layers = document.root().at("layers");
  Replay replay(document.root());
  for (std::size_t i = 0; i < moves.size(); ++i) {
    const auto step = static_cast<std::int64_t>(i);
    moves.item(i).at("step").integer(step, step);
    replay.carry_out(moves.item(i));
  }
  for (std::size_t i = 0; i < layers.size(); ++i) replay.compare(layers.item(i));
  return moves.size();
}

}  // namespace gem
