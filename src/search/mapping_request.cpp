#include "search/mapping_request.hpp"

#include <fmt/core.h>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {

MappingQuestion make_question(const MappingRequest& request, Method method) {
  MappingQuestion question;
  question.method = method;
  question.features = parse_features(request.features);
  question.objective = parse_objective(request.objective);
  if (!(request.exchange_row_ns >= 0.0) || request.exchange_row_ns > 1e9)
    throw UsageError(
        fmt::format("--exchange-row-time: {:g} ns a row is not from 0 to a second", request.exchange_row_ns));
  question.exchange_row_s = request.exchange_row_ns * 1e-9;
  if (question.exchange_row_s > 0.0 && question.objective == Objective::P99)
    throw UsageError("--exchange-row-time counts the mean step's exchange; leave it out with --objective p99");
  question.mixed_steps = request.mixed_steps;
  question.expert_groups = request.expert_groups;
  question.redundant_experts = request.redundant_experts;
  question.search = options_of_effort(request.effort);
  if (request.starts > 0) question.search.starts = request.starts;
  if (request.iterations > 0) question.search.iterations = request.iterations;
  question.search.seed = request.seed;
  return question;
}

}  // namespace gem
