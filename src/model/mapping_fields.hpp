#pragma once

#include "base/field.hpp"
#include "model/device_fields.hpp"
#include "model/mapping.hpp"
#include "model/shared_fields.hpp"

namespace gem {

/// A mapping's copies, written as what sits in each device's slots.
template <ConstOr<Mapping> Noun>
struct Slots {
  Noun* mapping;
  Cube<std::int32_t> get() const { return slots_of(*mapping); }
  void set(const Cube<std::int32_t>& slots) const { take_slots(*mapping, slots); }
};

/// The fields of `gem.mapping`.
template <ConstOr<Mapping> Noun, class Visit>
void visit_fields(Noun& mapping, Visit&& visit) {
  // A new member doesn't compile until it has a name here, and then a line below.
  auto& [model, method, device_count, layer_ids, expert_to_device, redundant, predicted_s, lower_bound_s, train_steps,
         train_task, train_part, course, device_kind, devices, program, moved_from, moves, expert_bytes,
         experts_of_layer] = mapping;
  static_cast<void>(device_count);  // it and `redundant` are in the slots
  static_cast<void>(redundant);
  static_cast<void>(device_kind);  // goes with the devices
  visit(model_field, model);
  visit(Field{.name = "method", .meaning = "how the mapping was made: \"gem\", \"eplb\", ..."}, method);
  visit(Field{.name = "/expert_to_device",
              .axes = "layer, expert",
              .rule = {.least = -1, .index_of = "device"},
              .meaning = "first home of each expert; none behind a layer's own experts (/experts_of_layer)"},
        expert_to_device);
  visit(experts_of_layer_field, experts_of_layer);
  visit(Field{.name = "/slots",
              .axes = "layer, device, slot",
              .rule = {.least = -1, .index_of = "expert"},
              .meaning = "experts on each device, further copies included; a slot holds an expert or none"},
        Slots<Noun>{&mapping});
  visit(layer_ids_field, layer_ids);
  constexpr ValueRule seconds_or_unknown{.least = 0, .or_unknown = true};
  visit(Field{.name = "/score/predicted_s",
              .unit = "s",
              .axes = "layer",
              .rule = seconds_or_unknown,
              .presence = Presence::OrDefault,
              .meaning = "predicted time of the layer's slowest device, with its shared experts where these were "
                         "counted, mean over the steps searched on"},
        predicted_s);
  visit(Field{.name = "/score/lower_bound_s",
              .unit = "s",
              .axes = "layer",
              .rule = seconds_or_unknown,
              .presence = Presence::OrDefault,
              .meaning = "no mapping of the layer is faster on these steps"},
        lower_bound_s);
  visit(Field{.name = "train_steps", .meaning = "steps that were searched on"}, train_steps);
  visit(Field{.name = "train_task", .presence = Presence::OrDefault, .meaning = "task that was searched on"},
        train_task);
  visit(Field{.name = "train_part",
              .presence = Presence::OrDefault,
              .meaning = "part of the requests that was searched on: \"all\", \"train\" or \"test\""},
        train_part);

  // The devices that it was made for.
  visit_devices(devices, Presence::OrEmpty, visit);
  visit(Field{.name = "device_kind",
              .presence = Presence::OrEmpty,
              .meaning = "kind of the devices that it was made for, as in gem.profile; without it they are unknown"},
        DeviceKindOf<Noun>{&mapping});
  visit_device_program(program, visit);

  // The way from the placement that ran before.
  visit(Field{.name = "moved_from",
              .presence = Presence::OrDefault,
              .meaning = "file of the placement that it was made from, with few moves; empty: from none"},
        moved_from);
  visit(Field{.name = "/moves/layer",
              .axes = "move",
              .rule = {.index_of = "layer"},
              .presence = Presence::OrEmpty,
              .meaning = "how to get from there to here, one entry for each copy of an expert's weights, in the order "
                         "in which every expert is somewhere at any moment: the layer's index"},
        Column(moves, &ExpertMove::layer));
  visit(Field{.name = "/moves/expert",
              .axes = "move",
              .rule = {.index_of = "expert"},
              .presence = Presence::OrEmpty,
              .meaning = "whose weights are copied"},
        Column(moves, &ExpertMove::expert));
  visit(Field{.name = "/moves/from_device",
              .axes = "move",
              .rule = {.index_of = "device"},
              .presence = Presence::OrEmpty,
              .meaning = "that holds it; the same as to_device: it comes out of that device's buffer for one expert"},
        Column(moves, &ExpertMove::from_device));
  visit(Field{.name = "/moves/to_device",
              .axes = "move",
              .rule = {.index_of = "device"},
              .presence = Presence::OrEmpty,
              .meaning = "that gets it"},
        Column(moves, &ExpertMove::to_device));
  visit(Field{.name = "/moves/replaces",
              .axes = "move",
              .rule = {.least = -1, .index_of = "expert"},
              .presence = Presence::OrEmpty,
              .meaning = "the expert whose slot it takes there; -1: it goes into the buffer"},
        Column(moves, &ExpertMove::replaces));
  visit(Field{.name = "expert_bytes",
              .unit = "byte",
              .presence = Presence::OrEmpty,
              .meaning = "weights of one expert, which each move copies"},
        expert_bytes);

  // How the search went: from a point on, a start's best for the layer took so long.
  visit(Field{.name = "/search/layer",
              .axes = "improvement",
              .rule = {.index_of = "layer"},
              .presence = Presence::OrEmpty,
              .meaning = "how the search went, one entry for each improvement: the layer's index"},
        Column(course, &SearchPoint::layer));
  visit(Field{.name = "/search/start",
              .axes = "improvement",
              .rule = {.least = 0},
              .presence = Presence::OrEmpty,
              .meaning = "the start that found it"},
        Column(course, &SearchPoint::start));
  visit(Field{.name = "/search/elapsed_s",
              .unit = "s",
              .axes = "improvement",
              .rule = {.least = 0},
              .presence = Presence::OrEmpty,
              .meaning = "since that start began"},
        Column(course, &SearchPoint::elapsed_s));
  visit(
      Field{.name = "/search/predicted_s",
            .unit = "s",
            .axes = "improvement",
            .rule = {.least = 0},
            .presence = Presence::OrEmpty,
            .meaning = "time of a step then, mean over the steps searched on, with the exchange where it was counted"},
      Column(course, &SearchPoint::predicted_s));
}

}  // namespace gem
