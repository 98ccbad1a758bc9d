#include "search/mapping_question.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"
#include "model/mapping.hpp"
#include "search/expert_groups.hpp"

namespace gem {
namespace {

void check_redundant_experts(const MappingQuestion& question) {
  const std::size_t redundant = question.redundant_experts, experts = question.train.expert_count();
  const std::size_t devices = question.profile.device_count();
  if (redundant == 0) return;
  if ((experts + redundant) % devices != 0 || redundant > experts * (devices - 1))
    throw UsageError(format(
        "--redundant-experts: %zu experts and %zu copies do not divide over %zu devices, or are more than a copy "
        "of each expert on each; give a multiple of %zu up to %zu",
        experts, redundant, devices, devices, experts * (devices - 1)));
  if (question.expert_groups > 1)
    throw UsageError("--redundant-experts and --expert-groups exclude each other: a checkpoint has no copies");
  if (question.method != Method::Gem && !packs_loads(question.method))
    throw UsageError("--redundant-experts: --method " + method_name(question.method) +
                     " places no copies; use eplb, speed-aware or gem, or leave the option out");
}

void check_same_model(const LoadTrace& train, const LoadTrace& test) {
  if (test.layer_ids == train.layer_ids && test.expert_count() == train.expert_count() &&
      to_lower(test.model) == to_lower(train.model))
    return;
  throw UsageError(format(
      "the test trace ('%s', %zu layers, %zu experts) is not of the model that is searched on ('%s', %zu layers, "
      "%zu experts); make both from routing of one model",
      test.model.c_str(), test.layer_count(), test.expert_count(), train.model.c_str(), train.layer_count(),
      train.expert_count()));
}

void broadcast_trace(const Communicator& world, LoadTrace& trace) {
  for (std::string* text : {&trace.model, &trace.task, &trace.phase, &trace.part}) world.broadcast(*text);
  trace.top_k = world.broadcast(std::uint64_t{trace.top_k});
  trace.tokens_per_step = world.broadcast(std::uint64_t{trace.tokens_per_step});
  world.broadcast(trace.layer_ids);
  std::vector<std::uint64_t> sizes{trace.counts.planes(), trace.counts.rows(), trace.counts.columns()};
  world.broadcast(sizes);
  if (!world.is_root()) trace.counts = Cube<std::uint32_t>(sizes[0], sizes[1], sizes[2]);
  world.broadcast(trace.counts.values());
}

// What a search needs of it: devices, points, medians.
void broadcast_profile(const Communicator& world, LatencyProfile& profile) {
  world.broadcast(profile.model);
  profile.tile_tokens = world.broadcast(std::uint64_t{profile.tile_tokens});
  profile.rule.last_tile_rows = world.broadcast(profile.rule.last_tile_rows);
  profile.rule.row_s = world.broadcast(profile.rule.row_s);
  profile.rule.bends.resize(world.broadcast(std::uint64_t{profile.rule.bends.size()}));
  for (LoadRule::Bend& bend : profile.rule.bends) bend = {world.broadcast(bend.tiles), world.broadcast(bend.tile_s)};
  profile.devices.resize(world.broadcast(std::uint64_t{profile.devices.size()}));
  for (DeviceDescription& device : profile.devices) world.broadcast(device.name);
  std::vector<std::int64_t> numbers;
  for (const LoadPoint& point : profile.points)
    numbers.insert(numbers.end(), {point.tiles, point.active_experts, point.tokens});
  world.broadcast(numbers);
  profile.points.resize(numbers.size() / 3);
  for (std::size_t p = 0; p < profile.points.size(); ++p)
    profile.points[p] = {numbers[3 * p], numbers[3 * p + 1], numbers[3 * p + 2]};
  if (!world.is_root()) profile.median_s = Matrix<double>(profile.devices.size(), profile.points.size());
  world.broadcast(profile.median_s.values());
}

}  // namespace

LoadFeatures parse_features(const std::string& name) {
  if (name == "tiles") return LoadFeatures::TilesAndExperts;
  if (name == "tokens") return LoadFeatures::Tokens;
  throw UsageError("--features: '" + name + "' is neither tiles nor tokens");
}

Objective parse_objective(const std::string& name) {
  if (name == "mean") return Objective::Mean;
  if (name == "p99") return Objective::P99;
  throw UsageError("--objective: '" + name + "' is neither mean nor p99");
}

SearchOptions options_of_effort(const std::string& name) {
  SearchOptions options;
  if (name == "fast") {
    options.iterations = 0;
  } else if (name == "thorough") {
    options.starts = 8;
    options.iterations = 500;
  } else if (name != "default") {
    throw UsageError("--effort: '" + name + "' is none of fast, default, thorough");
  }
  return options;
}

void prepare(MappingQuestion& question, const Selection& selection) {
  LatencyProfile& profile = question.profile;
  LoadTrace& train = question.train;
  const bool both_named = !profile.model.empty() && !train.model.empty();
  if (both_named && !selection.allow_model_mismatch && to_lower(profile.model) != to_lower(train.model)) {
    if (train.model == "unknown")
      throw UsageError(
          "the trace does not name its model, the profile is of '" + profile.model +
          "'; make it again with gem-trace import --model, or use --allow-model-mismatch if it is that one");
    throw UsageError(format(
        "the profile is of model '%s', the trace of '%s'; measure the devices with gem-profile --model %s, or use "
        "--allow-model-mismatch if the experts have the same shape",
        profile.model.c_str(), train.model.c_str(), train.model.c_str()));
  }
  if (selection.devices > 0) profile = first_devices(profile, selection.devices);
  if (selection.equal_devices) profile = equal_devices(profile);
  check_divisible(train.expert_count(), profile.device_count());
  check_redundant_experts(question);
  ExpertGroups(question.expert_groups, train.expert_count(), profile.device_count());
  if (question.expert_groups > 1 && question.method != Method::Gem)
    throw UsageError("--expert-groups limits what --method gem searches for; leave it out with --method " +
                     method_name(question.method));

  if (question.certify && question.method != Method::Gem)
    throw UsageError("--certify proves what --method gem finds; leave it out with --method " +
                     method_name(question.method));

  if (question.test) {
    check_same_model(train, *question.test);
    question.relation = relation_of(train, *question.test);
  }
  if (selection.train_steps == 0) return;
  const std::size_t rest = train.step_count() - std::min(train.step_count(), selection.train_steps);
  if (!question.test && rest > 0) {
    question.test = steps_of(train, selection.train_steps, rest);
    question.relation = HeldOut::LaterSteps;
  }
  train = steps_of(train, 0, selection.train_steps);
}

void share(const Communicator& world, MappingQuestion& question) {
  broadcast_profile(world, question.profile);
  broadcast_trace(world, question.train);
  if (world.broadcast(std::int32_t{question.test ? 1 : 0}) == 0) return;
  if (!question.test) question.test.emplace();
  broadcast_trace(world, *question.test);
  question.relation = static_cast<HeldOut>(world.broadcast(static_cast<std::int32_t>(question.relation)));
}

std::string describe(const MappingQuestion& question) {
  const LoadTrace& trace = question.train;
  return format("%zu layers x %zu experts on %zu devices,\n    %zu steps of task '%s' (part %s)", trace.layer_count(),
                trace.expert_count(), question.profile.device_count(), trace.step_count(), trace.task.c_str(),
                trace.part.c_str());
}

}  // namespace gem
