#pragma once

#include <utility>

#include "base/field.hpp"
#include "model/routing.hpp"
#include "model/shared_fields.hpp"

namespace gem {

/// The ids of a routing as [token, layer, k].
template <ConstOr<Routing> Noun>
struct TopkIds {
  Noun* routing;
  Stack<std::uint16_t> get() const {
    return {{routing->token_count(), routing->layer_count(), routing->top_k}, routing->topk_ids};
  }
  void set(Stack<std::uint16_t> ids) const { routing->topk_ids = std::move(ids.values); }
};

/// The fields of `gem.routing`.
template <ConstOr<Routing> Noun, class Visit>
void visit_fields(Noun& routing, Visit&& visit) {
  // A new member doesn't compile until it has a name here, and then a line below.
  auto& [model, task, phase, expert_count, top_k, layer_ids, request_offsets, topk_ids, experts_of_layer] = routing;
  static_cast<void>(topk_ids);
  visit(model_field, model);
  visit(Field{.name = "task", .meaning = "what the requests are about"}, task);
  visit(Field{.name = "phase", .meaning = "\"decode\" or \"prefill\""}, phase);
  visit(Field{.name = "num_experts",
              .rule = {.least = 1, .greatest = 65536},  // ids are u16
              .sets_axis = "expert",
              .meaning = "routed experts of a layer; of the layer with the most"},
        expert_count);
  visit(Field{.name = "top_k",
              .rule = {.least = 1, .up_to = "expert"},
              .sets_axis = "k",
              .meaning = "routed experts that a token uses"},
        top_k);
  visit(Field{.name = "/topk_ids",
              .axes = "token, layer, k",
              .rule = {.greatest = Routing::no_expert, .index_of = "expert"},
              .narrow = true,
              .meaning = "the experts of each token; none in the last places of tokens with fewer"},
        TopkIds<Noun>{&routing});
  visit(layer_ids_field, layer_ids);
  visit(experts_of_layer_field, experts_of_layer);
  visit(Field{.name = "/request_offsets",
              .unit = "token",
              .axes = "request + 1",
              .rule = {.least = 0},
              .meaning = "where each request begins and the last one ends: ascending from 0 to the number of tokens"},
        request_offsets);
}

}  // namespace gem
