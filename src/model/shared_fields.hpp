#pragma once

#include "base/field.hpp"

namespace gem {

// Fields that several nouns have.

/// The MoE model's name.
inline constexpr Field model_field{.name = "model", .of_header = true, .meaning = "name of the MoE model"};

/// The model's own numbers of the layers.
inline constexpr Field layer_ids_field{.name = "/layer_ids",
                                       .axes = "layer",
                                       .rule = {.least = 0, .distinct = true},
                                       .meaning = "the model's own decoder-layer numbers"};

/// Experts of each layer, where layers have different numbers of them.
inline constexpr Field experts_of_layer_field{
    .name = "/experts_of_layer",
    .axes = "layer",
    .rule = {.least = 1, .up_to = "expert"},
    .presence = Presence::OrEmpty,
    .meaning =
        "where layers have different numbers of experts, each one's own; what is behind them along the axis "
        "of experts is no expert. Without it every layer has as many as the axis is long"};

}  // namespace gem
