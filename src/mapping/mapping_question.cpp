#include "mapping/mapping_question.hpp"

#include <fmt/core.h>
#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"
#include "mapping/broadcast.hpp"
#include "mapping/cross_validation.hpp"
#include "mapping/leaning.hpp"
#include "mapping/mapping_request.hpp"
#include "mapping/mixed_steps.hpp"
#include "mapping/remapping.hpp"
#include "model/device_selection.hpp"
#include "model/mapping.hpp"
#include "search/layer_search.hpp"
#include "search/redundant_experts.hpp"

namespace gem {
namespace {

void check_redundant_experts(const MappingQuestion& question) {
  const std::size_t redundant = question.redundant_experts, experts = question.train.expert_count();
  const std::size_t devices = question.profile.device_count();
  const OptionName option = option_name(&MappingRequest::redundant_experts);
  if (redundant == 0) return;
  if ((experts + redundant) % devices != 0 || redundant > experts * (devices - 1))
    throw option_error(option,
                       "{}: {} experts and {} copies do not divide over {} devices, or are more than a copy of each "
                       "expert on each; give {} up to {}",
                       experts, redundant, devices, copies_that_divide(experts, devices), experts * (devices - 1));
  if (question.expert_groups > 1)
    throw option_error(option, "{} and {} exclude each other: a checkpoint has no copies",
                       option_name(&MappingRequest::expert_groups));
  if (!entry_of(question.method).places_copies)
    throw option_error(option, "{}: method {} places no copies; use {}, or leave the option out",
                       method_name(question.method), names_of(&MethodEntry::places_copies));
}

// What places the same number of each layer's experts, or groups of them.
void check_layers_alike(const MappingQuestion& question) {
  const LoadTrace& train = question.train;
  if (train.experts_of_layer.empty()) return;
  const auto check = [&](bool asked, OptionName option) {
    if (asked)
      throw option_error(option,
                         "{} goes with models whose layers have as many experts each, but the trace's have {} to {} "
                         "(/experts_of_layer); leave it out",
                         train.fewest_experts(), train.expert_count());
  };
  check(question.redundant_experts > 0, option_name(&MappingRequest::redundant_experts));
  check(question.expert_groups > 1, option_name(&MappingRequest::expert_groups));
  check(question.levels > 1, option_name(&MappingRequest::levels));
}

void check_tokens(const LoadTrace& trace, const char* name) {
  const auto& counts = trace.counts.values();
  if (std::ranges::all_of(counts, [](std::uint32_t tokens) { return tokens == 0; }))
    throw DataError(
        fmt::format("{} of task '{}' has no token in any step, so that nothing can be placed by it; give another", name,
                    trace.task));
}

void check_same_model(const LoadTrace& train, const LoadTrace& test) {
  const bool same_experts = test.layer_ids != train.layer_ids || test.experts_of_layer == train.experts_of_layer;
  const bool same_model = test.layer_count() == train.layer_count() && test.expert_count() == train.expert_count() &&
                          same_experts && to_lower(test.model) == to_lower(train.model);
  if (same_model && test.layer_ids == train.layer_ids) return;
  if (test.layer_ids == train.layer_ids && test.experts_of_layer != train.experts_of_layer)
    throw UsageError(
        "the test trace's layers have other numbers of experts than those of the trace that is searched on "
        "(/experts_of_layer); make both from routing of one model");
  if (same_model)
    throw UsageError(
        "the test trace has other layers, or in another order, than the trace that is searched on (/layer_ids); make "
        "both with the same layers");
  throw UsageError(fmt::format(
      "the test trace ('{}', {} layers, {} experts) is not of the model that is searched on ('{}', {} layers, "
      "{} experts); make both from routing of one model",
      test.model, test.layer_count(), test.expert_count(), train.model, train.layer_count(), train.expert_count()));
}

// Of the prepared profile.
void check_levels(const MappingQuestion& question) {
  if (question.levels == 1) return;
  const OptionName levels = option_name(&MappingRequest::levels);
  if (!has_nodes(question.profile))
    throw option_error(levels,
                       "{} 2 needs two or more equally large nodes of neighbouring devices, which the profile hasn't; "
                       "state them with {}",
                       option_name(&TopologyOptions::nodes));
  if (!entry_of(question.method).searches)
    throw option_error(levels, "{} 2 limits what method {} searches for; leave it out with method {}",
                       names_of(&MethodEntry::searches), method_name(question.method));
  if (question.expert_groups > 1 || question.redundant_experts > 0)
    throw option_error(levels, "{} 2 goes with neither {} nor {}; leave one of them out",
                       option_name(&MappingRequest::expert_groups), option_name(&MappingRequest::redundant_experts));
  const std::size_t groups = question.routing_groups, experts = question.train.expert_count();
  if (const std::size_t devices = question.profile.device_count(); experts % devices != 0)
    throw option_error(levels,
                       "{} 2: {} experts do not divide over {} devices; leave it out, or use a number of devices that "
                       "divides them",
                       experts, devices);
  const std::size_t nodes = question.profile.topology.node_count();
  if (groups > 1 && (experts % groups != 0 || groups % nodes != 0))
    throw option_error(
        option_name(&MappingRequest::routing_groups),
        "{}: {} groups of {} experts do not divide over {} nodes; give the model's own number, or leave it "
        "out",
        groups, experts, nodes);
}

void check_run_time(const MappingQuestion& question) {
  const RunTimeOptions& run_time = question.run_time;
  if (run_time.split != CopySplit::Even && question.redundant_experts == 0)
    throw option_error(option_name(&RunTimeOptions::split), "{} {} is of copies, of which there are none; give {}",
                       word_of(run_time.split), option_name(&MappingRequest::redundant_experts));
  if (!run_time.online_exact) return;
  const OptionName online = option_name(&RunTimeOptions::online_exact);
  if (!question.profile.topology.has_links())
    throw option_error(online,
                       "{} copies experts over links, whose bandwidths the profile hasn't; state them with {}, {} "
                       "and {}",
                       option_name(&TopologyOptions::nodes), option_name(&TopologyOptions::inside_gb_per_s),
                       option_name(&TopologyOptions::across_gb_per_s));
  if (expert_bytes_of(question.profile) == 0)
    throw option_error(online,
                       "{} needs the size of an expert, which the profile hasn't (attributes hidden_size and "
                       "intermediate_size); profile again");
}

void check_folds(const MappingQuestion& question) {
  const OptionName option = option_name(&MappingRequest::cross_validate);
  const std::size_t fold_count = fold_count_of(question);
  if (fold_count == 0) return;
  if (fold_count == 1) throw option_error(option, "{} 1: one fold leaves nothing to search on; give 2 or more");
  if (question.search.time_limit_s > 0.0)
    throw option_error(option, "{} takes many searches; leave out {}", option_name(&MappingRequest::time_limit_s));
  folds_of_steps(question.train, fold_count);
}

}  // namespace

void prepare(MappingQuestion& question, const Selection& selection) {
  LatencyProfile& profile = question.profile;
  LoadTrace& train = question.train;
  const bool both_named = !profile.model.empty() && !train.model.empty();
  if (both_named && !selection.allow_model_mismatch && to_lower(profile.model) != to_lower(train.model)) {
    const OptionName option = option_name(&Selection::allow_model_mismatch);
    if (train.model == "unknown")
      throw UsageError(
          fmt::format("the trace does not name its model, the profile is of '{}'; make it again with gem-trace import "
                      "{}, or use {} if it is that one",
                      profile.model, on_command_line("model"), option));
    throw UsageError(
        fmt::format("the profile is of model '{}', the trace of '{}'; measure the devices with gem-profile {} {}, or "
                    "use {} if the experts have the same shape",
                    profile.model, train.model, on_command_line("model"), train.model, option));
  }
  question.doubts = doubts_of(profile);
  if (selection.equal_devices)
    std::erase_if(question.doubts,
                  [](const ProfileDoubt& doubt) { return doubt.kind == ProfileDoubt::Kind::NotDistinguishable; });
  if (selection.strict && !question.doubts.empty())
    throw DataError(fmt::format("the profile is doubtful: {}; without {} this is a warning",
                                join_doubts(question.doubts), option_name(&Selection::strict)));
  if (selection.devices > 0) profile = first_devices(profile, selection.devices);
  if (selection.equal_devices) profile = equal_devices(profile);
  profile.topology = stated_topology(selection.topology, profile.topology, profile.device_count());
  if (question.redundant_experts == 0) check_device_count(train.fewest_experts(), profile.device_count());
  check_layers_alike(question);
  check_redundant_experts(question);
  expert_groups_of(question);
  check_levels(question);
  check_run_time(question);
  if (entry_of(question.method).needs_nodes && !has_nodes(profile))
    throw option_error(
        option_name(&MappingRequest::method),
        "{}: {} needs two or more equally large nodes of neighbouring devices, which the profile hasn't; "
        "state them with {}",
        method_name(question.method), option_name(&TopologyOptions::nodes));
  if (question.expert_groups > 1 && !entry_of(question.method).searches)
    throw option_error(option_name(&MappingRequest::expert_groups),
                       "{} limits what method {} searches for; leave it out with method {}",
                       names_of(&MethodEntry::searches), method_name(question.method));
  if (question.certify && !entry_of(question.method).searches)
    throw option_error(option_name(&MappingRequest::certify),
                       "{} proves what method {} finds; leave it out with method {}", names_of(&MethodEntry::searches),
                       method_name(question.method));
  const CostModel model = cost_model_of(question);
  if (question.objective == Objective::P99 && model.stage_count() > 1)
    throw option_error(option_name(&MappingRequest::objective),
                       "{} p99 counts {} alone; leave it out, or the option that counts {} (give {} off)",
                       model.stage(0).name(), model.stage(1).name(), option_name(&CostOptions::across_nodes));

  if (question.test) {
    check_same_model(train, *question.test);
    question.sample = sample_of(train, *question.test);
  }
  if (selection.train_steps > 0) {
    const std::size_t rest = train.step_count() - std::min(train.step_count(), selection.train_steps);
    if (!question.test && rest > 0) {
      question.test = steps_of(train, selection.train_steps, rest);
      question.sample = Sample::LaterSteps;
    }
    train = steps_of(train, 0, selection.train_steps);
  }
  check_tokens(train, "the trace");
  if (question.test) {
    check_tokens(*question.test, "the test trace");
    check_judged_on(*question.test);
  }
  check_folds(question);
}

std::size_t fold_count_of(const MappingQuestion& question) {
  if (question.folds) return *question.folds;
  const std::size_t groups = question.test || question.search.time_limit_s > 0.0 ? 0 : group_count_of(question.train);
  return groups < 2 ? 0 : groups;
}

std::size_t mixed_steps_of(const MappingQuestion& question) {
  if (question.mixed_steps) return *question.mixed_steps;
  return question.train.expert_count() < large_layer ? default_mixed_steps : mixed_steps_of_large;
}

LoadTrace steps_to_search_on(const MappingQuestion& question) {
  return with_mixed_steps(leaned(question.train, question.lean, question.search.seed), mixed_steps_of(question),
                          question.search.seed);
}

ExpertGroups expert_groups_of(const MappingQuestion& question) {
  return blaming(option_name(&MappingRequest::expert_groups), [&] {
    return ExpertGroups(question.expert_groups, question.train.expert_count(), question.profile.device_count());
  });
}

Mapping fitted(const Mapping& mapping, const MappingQuestion& question) {
  const LoadTrace& train = question.train;
  if (mapping.device_count != question.profile.device_count() || mapping.expert_count() != train.expert_count())
    throw DataError(fmt::format("{}: places {} experts on {} devices, but the trace has {} and the profile {}",
                                mapping.method, mapping.expert_count(), mapping.device_count, train.expert_count(),
                                question.profile.device_count()));
  const std::size_t copies = mapping.redundant_count();
  if (copies > 0 && copies != question.redundant_experts)
    throw option_error(option_name(&MappingRequest::redundant_experts),
                       "{} {} is needed: {} has as many redundant copies a layer, which the bounds must count", copies,
                       mapping.method);
  Mapping fitting = mapping;
  fitting.layer_ids = train.layer_ids;
  fitting.experts_of_layer = train.experts_of_layer;
  fitting.expert_to_device = Matrix<std::int32_t>(train.layer_count(), train.expert_count());
  if (copies > 0) fitting.redundant = Matrix<RedundantCopy>(train.layer_count(), copies);
  for (std::size_t layer = 0; layer < train.layer_count(); ++layer) {
    const auto found = std::ranges::find(mapping.layer_ids, train.layer_ids[layer]);
    if (found == mapping.layer_ids.end())
      throw DataError(fmt::format("{}: has no layer {}, which the trace has", mapping.method, train.layer_ids[layer]));
    const auto row = static_cast<std::size_t>(found - mapping.layer_ids.begin());
    if (mapping.experts_in(row) != train.experts_in(layer))
      throw DataError(fmt::format("{}: places {} experts of layer {}, but the trace has {}", mapping.method,
                                  mapping.experts_in(row), train.layer_ids[layer], train.experts_in(layer)));
    std::ranges::copy(mapping.expert_to_device.row(row), fitting.expert_to_device.row(layer).begin());
    if (copies > 0) std::ranges::copy(mapping.redundant.row(row), fitting.redundant.row(layer).begin());
  }
  return fitting;
}

namespace {

// Tokens of the mean layer and step.
double mean_tokens(const LoadTrace& trace) {
  const auto layers = static_cast<double>(trace.step_count() * trace.layer_count());
  return static_cast<double>(row_count(trace.counts.values())) / layers / static_cast<double>(trace.top_k);
}

// Only the mean step is searched with more than the devices' compute.
void count_beside(MappingQuestion& question) {
  const double tokens = mean_tokens(question.train);
  question.shared_note = count_shared_experts(question.cost, question.profile, tokens);
  if (question.objective == Objective::Mean)
    question.exchange_note = count_exchange(question.cost, question.profile, tokens);
}

}  // namespace

void share(const Communicator& world, MappingQuestion& question) {
  broadcast(world, question.profile);
  broadcast(world, question.train);
  count_beside(question);
  if (world.broadcast(std::int32_t{question.test ? 1 : 0}) == 0) return;
  if (!question.test) question.test.emplace();
  broadcast(world, *question.test);
  question.sample = static_cast<Sample>(world.broadcast(static_cast<std::int32_t>(question.sample)));
}

bool has_nodes(const LatencyProfile& profile) {
  return profile.topology.node_count() > 1 && profile.topology.is_in_order();
}

CostModel cost_model_of(const MappingQuestion& question) {
  return CostModel(question.profile, question.cost);
}

CopyCounts copies_by_mean_load(const MappingQuestion& question) {
  if (question.redundant_experts == 0) return {};
  return choose_copies(question.train, question.redundant_experts, question.profile.device_count());
}

std::string describe_question(const MappingQuestion& question) {
  const LoadTrace& trace = question.train;
  return fmt::format("{} layers x {} experts on {} devices,\n    {} steps of task '{}' (part {})", trace.layer_count(),
                     experts_text(trace.experts_of_layer, trace.expert_count()), question.profile.device_count(),
                     trace.step_count(), trace.task, trace.part);
}

}  // namespace gem
