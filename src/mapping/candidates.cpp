#include "mapping/candidates.hpp"

#include "mapping/copy_search.hpp"
#include "mapping/paper_method.hpp"
#include "search/redundant_experts.hpp"

namespace gem {

Candidates::Candidates(const MappingQuestion& question)
    : cost_model(question.profile, {LoadFeatures::TilesAndExperts, question.exchange_row_s}) {
  const bool has_copies = question.redundant_experts > 0;
  experts.problems = layer_problems(cost_model, question.train);
  if (has_copies) {
    packed_copies.copies = copies_by_mean_load(question);
    packed_copies.problems = problems_of(cost_model, question.train, packed_copies.copies);
  }
  for (Method method : all_methods()) {
    if (!is_baseline(method)) continue;
    if (has_copies && packs_loads(method))
      mappings.push_back(
          {method, pack_copies(method, cost_model, question.train, packed_copies.copies), &packed_copies});
    else
      mappings.push_back({method, baseline_mapping(method, cost_model, question.train), &experts});
  }
  mappings.push_back({Method::Paper, paper_mapping(question.profile, question.train), &experts});
}

CopyCounts copies_by_mean_load(const MappingQuestion& question) {
  if (question.redundant_experts == 0) return {};
  return choose_copies(question.train, question.redundant_experts, question.profile.device_count());
}

}  // namespace gem
