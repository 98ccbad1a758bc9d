#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "interchange/renumbering.hpp"
#include "interchange/safetensors.hpp"

namespace gem {

/// What the files of a checkpoint hold of the experts of one layer.
struct LayerSurvey {
  std::set<std::int32_t> numbered;  ///< experts with tensors of their own
  std::size_t fused_experts = 0;    ///< first dimension of fused weights; 0 without
  std::size_t stacked_rows = 0;     ///< first dimension of stacked weights; 0 without
  std::size_t router_rows = 0;      ///< first dimension of the router; 0 without
};

struct ExpertSurvey {
  std::map<std::pair<std::string, std::int32_t>, LayerSurvey> layers;  ///< by stack ("model.") and layer
  std::set<std::string> other_stacks;  ///< what names of experts in other stacks of layers begin with
};

/// Adds the tensors of a file.
void add_to_survey(ExpertSurvey& survey, const SafetensorsHeader& header);

/// The number of routed experts in each layer that `renumbering` has. DataError naming `origin` if a layer is missing
/// or not whole, or has more experts than the renumbering.
std::map<std::int32_t, std::size_t> expert_counts(const ExpertSurvey& survey, const Renumbering& renumbering,
                                                  const std::string& origin);

}  // namespace gem
