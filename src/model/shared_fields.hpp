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

}  // namespace gem
