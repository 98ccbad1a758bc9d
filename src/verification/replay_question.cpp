#include "verification/replay_question.hpp"

#include <fmt/core.h>
#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"
#include "mapping/baselines.hpp"
#include "mapping/methods.hpp"
#include "mapping/remapping.hpp"
#include "mapping/sample.hpp"
#include "model/profile_doubts.hpp"
#include "profile/summary.hpp"
#include "verification/selection.hpp"
#include "verification/whole_step_setup.hpp"

namespace gem {
namespace {

// Profile, trace and mappings tell one model, where they name it.
void check_models(const LatencyProfile& profile, const LoadTrace& trace, const std::vector<Mapping>& mappings) {
  const auto check = [&](const std::string& what, const std::string& model) {
    if (model.empty() || trace.model.empty() || to_lower(model) == to_lower(trace.model)) return;
    throw UsageError(
        fmt::format("{} is of model '{}', the trace of '{}'; make both of one, or use {} if the experts have the same "
                    "shape",
                    what, model, trace.model, option_name(&ReplayRequest::allow_model_mismatch)));
  };
  check("the profile", profile.model);
  for (const Mapping& mapping : mappings) check("mapping '" + mapping.method + "'", mapping.model);
}

// What to know of few steps.
std::string step_notes(const ReplayRequest& request, std::size_t steps) {
  constexpr std::size_t fewest = 8;
  std::string notes;
  if (steps < request.steps)
    notes += fmt::format("note: {} steps are all that the trace has to replay, not {} ({})\n", steps, request.steps,
                         option_name(&ReplayRequest::steps));
  if (steps < fewest)
    notes += fmt::format("warning: an interval over {} steps says little; replay {} or more\n", steps, fewest);
  return notes;
}

// What is said of devices that work but hand out no rows.
std::string compute_note(const ReplayRequest& request, const std::string& kind_name) {
  const DeviceKind* kind = find_device_kind(kind_name);
  if (kind == nullptr || kind->is_virtual() || kind->has_outputs) return "";
  return wrap("compute alone: " + kind_name +
              " devices hand out no rows, so that nothing is exchanged and no output checked") +
         "\n" + (request.command.empty() ? "" : wrap("each rank starts: " + request.command) + "\n");
}

// Index of the mapping of that name; of none, the last that the default method made, else the last.
std::size_t judged_of(const std::string& judge, const std::vector<std::string>& methods,
                      const std::vector<std::string>& names) {
  const std::vector<std::string>& searched = judge.empty() ? methods : names;
  const std::string wanted = judge.empty() ? method_name(default_method()) : judge;
  for (std::size_t m = names.size() - 1; m > 0; --m)
    if (searched[m] == wanted) return m;
  if (judge.empty()) return names.size() - 1;
  throw option_error(option_name(&ReplayRequest::judge), "{}: no mapping given is named '{}'; there is {}", judge,
                     join(std::span(names).subspan(1), " and "));
}

// What of mappings is decided in every step, as mappings of their own: copies that share tokens otherwise, and experts
// copied from linear and from the last mapping.
void add_decided(const ReplayRequest& request, ReplayQuestion& question) {
  const RunTimeOptions& asked = request.run_time;
  const std::size_t given = question.mappings.size();
  const auto add = [&](std::size_t m, const std::string& name, const RunTimeOptions& decided) {
    question.mappings.push_back(question.mappings[m]);
    question.mappings.back().method = name;
    question.names.push_back(name);
    question.decided.push_back(decided);
  };
  if (asked.split != CopySplit::Even) {
    for (std::size_t m = 1; m < given; ++m)
      if (question.mappings[m].redundant_count() > 0)
        add(m, question.names[m] + "+" + word_of(asked.split), {.split = asked.split});
    if (question.mappings.size() == given)
      throw option_error(option_name(&RunTimeOptions::split),
                         "{} {} is of copies, of which no mapping has any; give one with copies", word_of(asked.split));
  }
  if (!asked.online_exact) return;
  const OptionName online = option_name(&RunTimeOptions::online_exact);
  if (request.compute_only)
    throw option_error(online, "{} copies experts as rows travel, which {} leaves out; leave out one of them",
                       option_name(&ReplayRequest::compute_only));
  const RunTimeOptions decided{.online_exact = true, .quota = asked.quota};
  add(0, "online-exact", decided);
  if (given > 1) add(given - 1, question.names[given - 1] + "+online", decided);
}

}  // namespace

ReplayQuestion make_replay_question(const ReplayRequest& request, const LatencyProfile& profile, const LoadTrace& whole,
                                    const std::vector<Mapping>& mappings) {
  check_judged_on(whole);
  if (!request.allow_model_mismatch) check_models(profile, whole, mappings);
  if (const std::vector<ProfileDoubt> doubts = doubts_of(profile); request.strict && !doubts.empty())
    throw DataError("the profile is doubtful: " + join_doubts(doubts) + "; without " + on_command_line("strict") +
                    " this is a warning");
  ReplayQuestion question;
  question.profile = profile;
  question.model_layers = whole.layer_count();
  const std::size_t redundant_experts = mappings.empty() ? 0 : mappings.front().redundant_count();
  question.mappings.push_back(linear_mapping(whole, profile.device_count(), redundant_experts));
  question.mappings[0].method = method_name(reference_method());
  std::vector<std::string> methods{question.mappings[0].method}, files(request.mapping_files.empty() ? 0 : 1);
  for (std::size_t m = 0; m < mappings.size(); ++m) {
    if (made_by(mappings[m], reference_method())) continue;
    question.mappings.push_back(mappings[m]);
    methods.push_back(mappings[m].method);
    if (!files.empty()) files.push_back(request.mapping_files[m]);
  }
  question.names = distinct_names(methods, files);
  question.decided.resize(question.names.size());
  add_decided(request, question);
  methods.resize(question.names.size());  // those that are decided in steps are judged by name alone
  question.judged = judged_of(request.judge, methods, question.names);
  question.first_step = request.first_step ? *request.first_step : first_unseen_step(question.mappings, whole);
  if (question.first_step >= whole.step_count())
    throw option_error(option_name(&ReplayRequest::first_step), "{} {}: the trace has {} steps", question.first_step,
                       whole.step_count());
  const std::size_t count = std::min(request.steps, whole.step_count() - question.first_step);
  const std::vector<std::int32_t> layer_ids =
      request.layer_count > 0 ? spread_layers(whole.layer_ids, request.layer_count) : request.layer_ids;
  question.trace = blaming(option_name(&ReplayRequest::layer_ids),
                           [&] { return layers_of(steps_of(whole, question.first_step, count), layer_ids); });
  if (std::ranges::all_of(question.trace.counts.values(), [](std::uint32_t tokens) { return tokens == 0; }))
    throw DataError(
        fmt::format("the trace has no token in steps {} to {}, so that nothing can be replayed; choose others",
                    question.first_step, question.first_step + count - 1));
  for (const Mapping& mapping : question.mappings) homes_for(mapping, question.trace);  // refuses what doesn't fit
  if (replays_whole_steps(request)) check_whole_steps(request, question);
  question.sample_note = sample_note(sample_of(question.mappings[question.judged], whole, question.first_step));
  return question;
}

std::string describe_replay(const ReplayRequest& request, const ReplayQuestion& question,
                            const std::string& device_kind) {
  return fmt::format("Replay: {}, task {} ({}),\n    steps {} to {}, {} layers, {} tokens a step, {}\non {}\n",
                     question.trace.model, question.trace.task, question.sample_note, question.first_step,
                     question.first_step + question.trace.step_count() - 1, question.trace.layer_count(),
                     question.trace.tokens_per_step, counted(request.replay.rounds, "round"),
                     counted(question.profile.device_count(), device_kind + " device")) +
         compute_note(request, device_kind) + program_line(question.profile.program, "profile measured through") +
         wrap("mappings: " + join(question.names)) + "\n" + step_notes(request, question.trace.step_count()) +
         contradiction_warning(question.trace);
}

}  // namespace gem
