#include "interchange/slot_plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"
#include "interchange/engine_import.hpp"
#include "interchange/interchange_examples.hpp"
#include "platform/text_formats/json.hpp"
#include "search/move_plan.hpp"

namespace gem {
namespace {

// A random mapping of 3 layers of 12 experts on 4 devices, with moves from another.
struct Moved {
  Mapping before = random_mapping(3, 12, 4, 1), after = random_mapping(3, 12, 4, 2);
  explicit Moved(std::size_t copies = 0) {
    for (Mapping* mapping : {&before, &after}) add_copies(*mapping, copies);
    after.model = "made-up";
    after.moved_from = "live.h5";
    for (std::size_t layer = 0; layer < 3; ++layer)
      for (const ExpertMove& move :
           plan_moves(static_cast<std::int32_t>(layer), slots_of(before, layer), slots_of(after, layer)))
        after.moves.push_back(move);
  }
  // Copies of the first experts, each on another device than the expert.
  static void add_copies(Mapping& mapping, std::size_t copies) {
    if (copies == 0) return;
    mapping.redundant = Matrix<RedundantCopy>(3, copies);
    for (std::size_t layer = 0; layer < 3; ++layer)
      for (std::size_t c = 0; c < copies; ++c) {
        // One on each device, of the first expert that isn't there.
        std::int32_t expert = 0;
        const auto taken = [&](std::int32_t e) {
          for (std::size_t other = 0; other < c; ++other)
            if (mapping.redundant(layer, other).expert == e) return true;
          return mapping.expert_to_device(layer, static_cast<std::size_t>(e)) == static_cast<std::int32_t>(c);
        };
        while (taken(expert)) ++expert;
        mapping.redundant(layer, c) = {expert, static_cast<std::int32_t>(c)};
      }
  }
};

// The file in the words of its page, carried out by itself: what is where after `count` moves of a layer.
std::vector<std::vector<std::int32_t>> carried_out(const std::string& text, std::int64_t layer, std::size_t count) {
  const JsonDocument document = JsonDocument::parse(text, "moves");
  const JsonNode root = document.root();
  std::vector<std::vector<std::int32_t>> slots;
  for (std::size_t l = 0; l < root.at("layers").size(); ++l)
    if (const JsonNode node = root.at("layers").item(l); node.at("layer").integer() == layer)
      for (std::size_t d = 0; d < node.at("before").size(); ++d) {
        slots.push_back(node.at("before").item(d).integers(0, 1000));
        slots.back().resize(static_cast<std::size_t>(root.at("spare_slot").integer()) + 1, -1);
      }
  for (std::size_t m = 0; m < root.at("moves").size() && count > 0; ++m) {
    const JsonNode move = root.at("moves").item(m);
    if (move.at("layer").integer() != layer) continue;
    --count;
    const auto place = [&](const char* device, const char* slot) -> std::int32_t& {
      return slots[static_cast<std::size_t>(move.at(device).integer())]
                  [static_cast<std::size_t>(move.at(slot).integer())];
    };
    EXPECT_EQ(place("from_device", "from_slot"), move.at("expert").integer());
    place("to_device", "to_slot") = static_cast<std::int32_t>(move.at("expert").integer());
  }
  return slots;
}

TEST(SlotPlan, EachPrefixKeepsEveryExpertInAtLeastOnePlace) {
  for (const std::size_t copies : {std::size_t{0}, std::size_t{4}}) {
    const Moved moved(copies);
    const std::string text = slot_plan_text(slot_plan(moved.after, std::nullopt, ""), 1000);
    EXPECT_EQ(check_slot_plan_text(text, "moves"), moved.after.moves.size());
    for (std::size_t layer = 0; layer < 3; ++layer) {
      const auto id = static_cast<std::int64_t>(moved.after.layer_ids[layer]);
      std::size_t own = 0;
      for (const ExpertMove& move : moved.after.moves) own += move.layer == static_cast<std::int32_t>(layer);
      for (std::size_t count = 0; count <= own; ++count) {
        const auto slots = carried_out(text, id, count);
        for (std::int32_t expert = 0; expert < 12; ++expert)
          EXPECT_TRUE(std::ranges::any_of(
              slots, [&](const auto& device) { return std::ranges::find(device, expert) != device.end(); }))
              << "expert " << expert << " after " << count;
      }
      auto slots = carried_out(text, id, own);
      for (auto& device : slots) {
        device.pop_back();
        std::ranges::sort(device);
      }
      EXPECT_EQ(slots, slots_of(moved.after, layer));
    }
  }
}

TEST(SlotPlan, SaysWhatIsCopiedFromWhereToWhere) {
  Moved moved;
  moved.before.expert_to_device = moved.after.expert_to_device;
  moved.after.moves.clear();
  auto& homes = moved.after.expert_to_device;
  // Experts of layer 1 that change places between devices 0 and 3.
  const auto first = slots_of(moved.before, 1)[0][1], second = slots_of(moved.before, 1)[3][2];
  std::swap(homes(1, static_cast<std::size_t>(first)), homes(1, static_cast<std::size_t>(second)));
  moved.after.moves = plan_moves(1, slots_of(moved.before, 1), slots_of(moved.after, 1));
  const SlotPlan plan = slot_plan(moved.after, std::nullopt, "");
  ASSERT_EQ(plan.moves.size(), 3u) << "a swap needs one expert's spare place";
  EXPECT_EQ(plan.spare_slot, 3);
  EXPECT_EQ(plan.moves[0], (SlotMove{2, second, 3, 2, 0, 3, -1})) << "into device 0's spare place";
  EXPECT_EQ(plan.moves[1], (SlotMove{2, first, 0, 1, 3, 2, second}));
  EXPECT_EQ(plan.moves[2], (SlotMove{2, second, 0, 3, 0, 1, first}));
  EXPECT_NE(slot_plan_text(plan, 7).find("\"step\": 0, \"layer\": 2"), std::string::npos);
  EXPECT_NE(slot_plan_text(plan, 7).find("\"replaces\": null, \"bytes\": 7}"), std::string::npos);
  EXPECT_NE(slot_plan_text(plan, std::nullopt).find("\"bytes\": null}"), std::string::npos);
}

TEST(SlotPlan, SlotsAreThoseOfTheRunningPlacement) {
  const Moved moved;
  PhysicalMap live = physical_map_of(moved.before);
  for (std::size_t layer = 0; layer < 3; ++layer)
    std::swap(live.physical_to_logical(layer, 3), live.physical_to_logical(layer, 5));  // of device 1
  const SlotPlan plan = slot_plan(moved.after, live, "live.json");
  ASSERT_FALSE(plan.layers.empty());
  for (const LayerSlots& layer : plan.layers) {
    const auto row = static_cast<std::size_t>(std::ranges::find(live.layer_ids, layer.layer) - live.layer_ids.begin());
    EXPECT_TRUE(std::ranges::equal(layer.before[1], live.device_experts(row, 1)));
  }
  EXPECT_EQ(check_slot_plan_text(slot_plan_text(plan, std::nullopt), "moves"), moved.after.moves.size());

  // Another placement than the one that the moves begin with.
  std::swap(live.physical_to_logical(0, 0), live.physical_to_logical(0, 11));
  EXPECT_THROW(slot_plan(moved.after, live, "live.json"), DataError);
  live.layer_ids.back() = 99;
  EXPECT_THROW(slot_plan(moved.after, live, "live.json"), DataError);
  Mapping from_nothing = moved.after;
  from_nothing.moved_from.clear();
  EXPECT_THROW(slot_plan(from_nothing, std::nullopt, ""), UsageError);
}

TEST(SlotPlan, AListThatLosesAnExpertIsFound) {
  const std::string text = slot_plan_text(slot_plan(Moved().after, std::nullopt, ""), 1000);
  std::vector<std::string> lines = split(text, '\n');
  const auto first = std::ranges::find_if(lines, [](const std::string& line) { return line.starts_with("{\"step\""); });
  ASSERT_NE(first, lines.end());
  // Without its first move, and the others numbered anew.
  lines.erase(first);
  std::string broken;
  std::size_t step = 0;
  for (std::string line : lines) {
    if (line.starts_with("{\"step\"")) line = "{\"step\": " + std::to_string(step++) + line.substr(line.find(','));
    broken += line + "\n";
  }
  EXPECT_THROW(check_slot_plan_text(broken, "moves"), DataError);
  EXPECT_THROW(check_slot_plan_text("{\"moves\": []}", "moves"), DataError);
}

}  // namespace
}  // namespace gem
