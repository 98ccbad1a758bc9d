#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "base/option.hpp"
#include "mapping/mapping_question.hpp"

namespace gem {

/// How long to search.
enum class Effort {
  Fast,  ///< one local optimum a layer
  Default,
  Thorough
};

inline std::vector<OptionWord<Effort>> words_of(Effort) {
  return {{"fast", Effort::Fast}, {"default", Effort::Default}, {"thorough", Effort::Thorough}};
}

inline std::vector<OptionWord<Objective>> words_of(Objective) {
  return {{"mean", Objective::Mean}, {"p99", Objective::P99}};
}

std::vector<OptionWord<Method>> words_of(Method);

/// How a mapping is to be found, as a user says it.
struct MappingRequest {
  Method method = default_method();
  Effort effort = Effort::Default;
  CostOptions cost{};
  Objective objective = Objective::Mean;
  std::optional<std::size_t> mixed_steps{};     ///< search on at least so many steps; none: by the experts
  std::size_t expert_groups = 1;                ///< keep so many groups of experts together
  std::size_t redundant_experts = 0;            ///< further copies of experts, a layer
  std::size_t routing_groups = 1;               ///< of experts, that stay on one node
  std::size_t levels = 1;                       ///< 2: experts to nodes first, then to devices
  std::optional<std::size_t> cross_validate{};  ///< folds; none: fold_count_of
  double lean = 0.0;                            ///< of the steps toward their mean
  std::size_t starts = 0;                       ///< 0: by effort
  std::optional<std::size_t> iterations{};      ///< none: by effort
  double time_limit_s = 0.0;                    ///< 0: none
  bool certify = false;                         ///< prove optima where that can be done
  std::size_t seed = 1;
};

void describe(OptionList& options, MappingRequest& request);
void describe(OptionList& options, Selection& selection);

/// The question of which only profile and traces are missing. OptionError for options that contradict each other.
MappingQuestion make_question(const MappingRequest& request);

}  // namespace gem
