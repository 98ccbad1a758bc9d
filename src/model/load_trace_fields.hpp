#pragma once

#include "base/field.hpp"
#include "model/load_trace.hpp"
#include "model/shared_fields.hpp"

namespace gem {

/// Most tokens of an expert in a step: rounding up to whole tiles must not overflow.
constexpr double greatest_count = 1u << 30;

/// The fields of `gem.trace`.
template <ConstOr<LoadTrace> Trace, class Visit>
void visit_fields(Trace& trace, Visit&& visit) {
  // A new member doesn't compile until it has a name here, and then a line below.
  auto& [model, task, phase, part, sequence, top_k, tokens_per_step, layer_ids, counts, request_groups,
         experts_of_layer] = trace;
  visit(model_field, model);
  visit(Field{.name = "task", .meaning = "what the requests are about"}, task);
  visit(Field{.name = "phase", .meaning = "\"decode\" or \"prefill\""}, phase);
  visit(Field{.name = "part",
              .rule = {.words = "all, train, test"},
              .presence = Presence::OrDefault,
              .meaning = "which of the requests it was built from"},
        part);
  visit(Field{.name = "sequence",
              .rule = {.words = "consecutive, resampled"},
              .presence = Presence::OrDefault,
              .meaning = "whether steps follow each other, or each is of requests drawn anew, for searching alone"},
        sequence);
  visit(
      Field{.name = "/counts",
            .unit = "token",
            .axes = "step, layer, expert",
            .rule = {.least = 0, .greatest = greatest_count},
            .meaning = "tokens that each expert gets; those of a step and layer add up to tokens_per_step times top_k"},
      counts);
  visit(Field{.name = "/request_groups",
              .axes = "step",
              .rule = {.least = 0},
              .presence = Presence::OrEmpty,
              .meaning = "group of requests that a step is made of; groups have no request in common"},
        request_groups);
  visit(layer_ids_field, layer_ids);
  visit(experts_of_layer_field, experts_of_layer);
  visit(Field{.name = "top_k", .rule = {.least = 1, .up_to = "expert"}, .meaning = "routed experts that a token uses"},
        top_k);
  visit(Field{.name = "tokens_per_step",
              .unit = "token",
              .rule = {.least = 1, .greatest = greatest_count},
              .meaning = "tokens of a step"},
        tokens_per_step);
}

}  // namespace gem
