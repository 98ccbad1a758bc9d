#pragma once

#include "adaptation/adaptation_report.hpp"
#include "base/field.hpp"
#include "model/shared_fields.hpp"

namespace gem {

/// The fields of `gem.adaptation`.
template <ConstOr<AdaptationReport> Report, class Visit>
void visit_fields(Report& report, Visit&& visit) {
  // A new member doesn't compile until it has a name here, and then a line below.
  auto& [model, tasks, device_kind, device_note, moving, first_step, expert_bytes, move_s, horizon_steps, policies,
         step_s, pause_s, moved, slowdown, believed_slowdown, changes, exchange_s, output_tolerance, output_error,
         checked_values, unequal_values] = report;
  constexpr ValueRule seconds{.least = 0}, counts{.least = 0};
  visit(model_field, model);
  visit(Field{.name = "tasks", .meaning = "tasks of the traces, and how they follow each other"}, tasks);
  visit(Field{.name = "device_kind", .meaning = "kind of the devices that it was run on"}, device_kind);
  visit(Field{.name = "device_note",
              .presence = Presence::OrEmpty,
              .meaning = "what of the devices was emulated; empty: nothing"},
        device_note);
  visit(Field{.name = "moving",
              .rule = {.words = "pause, during"},
              .presence = Presence::OrEmpty,
              .meaning = "whether weights really moved between steps or beside them; missing: moves are priced"},
        moving);
  visit(Field{.name = "first_step", .meaning = "of the run; the steps before were searched on"}, first_step);
  visit(Field{.name = "expert_bytes", .unit = "byte", .meaning = "weights of one expert; 0 if unknown"}, expert_bytes);
  visit(Field{.name = "/move_s",
              .unit = "s",
              .axes = "one",
              .rule = seconds,
              .meaning = "time in which steps stand still for the move of one expert"},
        move_s);
  visit(Field{.name = "/horizon_steps",
              .axes = "one",
              .rule = {.least = 0},
              .meaning = "steps within which moves had to pay"},
        horizon_steps);
  visit(Field{.name = "/policies", .axes = "policy", .meaning = "names of the policies"}, policies);
  visit(Field{.name = "/step_s",
              .unit = "s",
              .axes = "policy, step",
              .rule = seconds,
              .meaning = "time of each step, sum over layers of the slowest device's, without moves"},
        step_s);
  visit(Field{.name = "/pause_s",
              .unit = "s",
              .axes = "policy, step",
              .rule = seconds,
              .meaning = "time of the moves before each step"},
        pause_s);
  visit(Field{.name = "/moved",
              .axes = "policy, step",
              .rule = {.least = 0},
              .meaning = "experts that were moved before each step"},
        moved);
  visit(Field{.name = "/slowdown",
              .axes = "step, device",
              .rule = {.least = above_zero},
              .meaning = "what each device really took, relative to its profile"},
        slowdown);
  visit(Field{.name = "/believed_slowdown",
              .axes = "step, device",
              .rule = {.least = above_zero},
              .meaning = "what triggered gem took it for, from measured times"},
        believed_slowdown);
  visit(Field{.name = "/changes",
              .axes = "change",
              .rule = {.least = 0},
              .presence = Presence::OrEmpty,
              .meaning = "steps of the run at which a task or a device's speed changed"},
        changes);
  visit(Field{.name = "/exchange_s",
              .unit = "s",
              .axes = "policy, step",
              .rule = seconds,
              .presence = Presence::OrEmpty,
              .meaning = "time of dispatch and combine of each step, sum over layers of the slowest device's"},
        exchange_s);
  visit(Field{.name = "/output_tolerance",
              .axes = "one",
              .rule = counts,
              .presence = Presence::OrEmpty,
              .meaning = "relative difference of outputs that arithmetic explains"},
        output_tolerance);
  visit(Field{.name = "/output_error",
              .axes = "policy",
              .rule = counts,
              .presence = Presence::OrEmpty,
              .meaning = "greatest relative difference of a layer's outputs from those without moves"},
        output_error);
  visit(Field{.name = "/checked_values",
              .axes = "policy",
              .rule = counts,
              .presence = Presence::OrEmpty,
              .meaning = "outputs that were compared"},
        checked_values);
  visit(Field{.name = "/unequal_values",
              .axes = "policy",
              .rule = counts,
              .presence = Presence::OrEmpty,
              .meaning = "outputs of these that are not equal to the bit"},
        unequal_values);
}

}  // namespace gem
