#include "mapping/mapping_request.hpp"

#include <fmt/core.h>

#include "mapping/mixed_steps.hpp"
#include "mapping/model_search.hpp"
#include "search/layer_search.hpp"

namespace gem {
namespace {

SearchOptions options_of(Effort effort) {
  SearchOptions options;
  if (effort == Effort::Fast) options.iterations = 0;
  if (effort == Effort::Thorough) {
    options.starts = 8;
    options.iterations = 500;
  }
  return options;
}

}  // namespace

std::vector<OptionWord<Method>> words_of(Method) {
  std::vector<OptionWord<Method>> words;
  for (const Method method : all_methods()) words.push_back({method_name(method), method});
  return words;
}

void describe(OptionList& options, MappingRequest& request) {
  options.group("What to find");
  std::string summaries;
  for (const Method method : all_methods())
    summaries += fmt::format("{}{}: {}", summaries.empty() ? "" : "; ", method_name(method), entry_of(method).summary);
  options.add("method", request.method, "how experts are placed. " + summaries);
  options.add("objective", request.objective, "what gem minimises: the mean step, or p99, the slowest steps");
  describe(options, request.cost);
  options
      .add("redundant-experts", request.redundant_experts, "N",
           "further copies of experts a layer, so many that experts and copies divide over the devices: the copies of "
           "an expert share its tokens; "
           "placed by method " +
               names_of(&MethodEntry::places_copies))
      .range(0, 65536)
      .without("none");
  options
      .add("expert-groups", request.expert_groups, "N",
           "keep the model's N groups of consecutive experts together (DeepSeek-V2 and V3: 8), so that gem-deploy "
           "permute can deploy the mapping in a checkpoint")
      .range(1, 65536)
      .without("any mapping");
  options
      .add("routing-groups", request.routing_groups, "N",
           "the model's N groups of experts, of which each token uses a few (DeepSeek-V3: 8): eplb-hierarchical, and "
           "gem "
           "in two {levels}, put whole groups on nodes")
      .range(1, 65536)
      .without("each expert on any node");
  options
      .add("levels", request.levels, "N",
           "2: gem puts experts on nodes first, then on each node's devices, as engines place that know two levels; 1: "
           "on devices at once")
      .range(1, 2);
  options.add(
      "certify", request.certify,
      "show each layer's lower bound and the gap to it, and prove optima of layers of up to 20, in some shapes 24, "
      "experts: each takes seconds, or is given up after about a minute");
  options
      .add("cross-validate", request.cross_validate, "N",
           "say what the methods' mappings are worth on steps kept aside: search on N - 1 parts of the trace, score on "
           "the other, in turn. Parts are the trace's groups of requests (gem-trace batch {request-groups}) or blocks "
           "of steps. Where gem is then not better than packing it leans toward the mean loads; 0: don't")
      .range(0, 1000)
      .without("0; for a trace with groups of requests and without {test-trace} their number");
  options
      .add("lean", request.lean, "F",
           "replace this share of each step's loads by their mean before gem searches, from 0, the steps alone, to 1, "
           "the mean alone: for traces of few requests")
      .range(0, 1);
  options.group("How long to search");
  options.add(
      "effort", request.effort,
      fmt::format("sets {{starts}} and {{iterations}}: fast, 1 and 0; default, 1 and {} ({} with {} experts and more); "
                  "thorough, 8 and 500",
                  default_iterations, iterations_of_large, large_layer));
  options.add("starts", request.starts, "N", "assignments that each layer's search starts from")
      .range(0, 65536)
      .without("by {effort}");
  options.add("iterations", request.iterations, "N", "disturbances of each start").range(0, 1e9).without("by {effort}");
  options
      .add("mixed-steps", request.mixed_steps, "N",
           "search on at least N steps: one half the trace's own, the other mixtures of two of them, because a mapping "
           "fits few steps too well; 0: the trace's own only")
      .range(0, 65536)
      .without(
          fmt::format("{0}; {2} with {1} experts and more", default_mixed_steps, large_layer, mixed_steps_of_large));
  options
      .add("time-limit", request.time_limit_s, "SECONDS",
           "end the search this long after the program's start; the mapping then depends on the machine's speed and is "
           "not repeatable")
      .range(0, 1e9)
      .without("none");
  options.add("seed", request.seed, "N", "seed of all random choices");
}

void describe(OptionList& options, Selection& selection) {
  options.group("What of the files is used");
  options
      .add("train-steps", selection.train_steps, "N",
           "search on the first N steps; without {test-trace} the rest are scored")
      .without("all");
  options.add("devices", selection.devices, "N", "use the first N devices of the profile").without("all");
  options.add("equal-devices", selection.equal_devices, "give every device the mean latency: what if they were equal?");
  describe(options, selection.topology);
  options.group("What of the files is used");
  options.add("allow-model-mismatch", selection.allow_model_mismatch,
              "map although profile and trace name different models");
  options.add("strict", selection.strict, "refuse a doubtful profile (exit code 3) instead of warning of it");
}

MappingQuestion make_question(const MappingRequest& request) {
  MappingQuestion question;
  question.method = request.method;
  question.cost = request.cost;
  question.objective = request.objective;
  question.mixed_steps = request.mixed_steps;
  question.expert_groups = request.expert_groups;
  question.levels = request.levels;
  question.routing_groups = request.routing_groups;
  question.redundant_experts = request.redundant_experts;
  question.certify = request.certify;
  question.folds = request.cross_validate;
  question.lean = request.lean;
  question.search = options_of(request.effort);
  if (request.starts > 0) question.search.starts = request.starts;
  if (request.iterations) question.search.iterations = request.iterations;
  question.search.time_limit_s = request.time_limit_s;
  question.search.seed = request.seed;
  return question;
}

}  // namespace gem
