#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/field.hpp"
#include "model/shared_fields.hpp"
#include "verification/report.hpp"

namespace gem {

/// A member of a report's StepSetting; there where whole steps were replayed.
template <class Setting, class Member>
struct OfWholeStep {
  Setting* setting;  ///< an optional one
  Member member;

  bool has() const { return setting->has_value(); }
  auto get() const {
    using Value = std::remove_cvref_t<decltype((**setting).*member)>;
    return has() ? (**setting).*member : Value{};
  }
  template <class Value>
  void set(const Value& value) const {
    if (!has()) setting->emplace();
    (**setting).*member = value;
  }
};
template <class Setting, class Member>
OfWholeStep(Setting*, Member) -> OfWholeStep<Setting, Member>;

/// The two times of the exchange's law.
template <class Setting>
struct ExchangeLawOf {
  Setting* setting;

  std::vector<double> get() const {
    return setting->has_value() ? std::vector{(*setting)->exchange_fixed_s, (*setting)->exchange_row_s}
                                : std::vector<double>{};
  }
  void set(const std::vector<double>& law) const {
    if (law.size() != 2)
      throw DataError("has " + std::to_string(law.size()) +
                      " values, but must have 2, of a layer and of a row; make the file again");
    if (!setting->has_value()) setting->emplace();
    (*setting)->exchange_fixed_s = law[0];
    (*setting)->exchange_row_s = law[1];
  }
};
template <class Setting>
ExchangeLawOf(Setting*) -> ExchangeLawOf<Setting>;

/// Copies made in every step, of all mappings; NaN for those that make none, nothing where none does.
template <class Replays>
struct CopiesOf {
  Replays* replays;
  double CopiesMade::*member;

  std::vector<double> get() const {
    if (std::ranges::none_of(*replays, [](const MappingReplay& replay) { return replay.copies.has_value(); }))
      return {};
    std::vector<double> values;
    for (const MappingReplay& replay : *replays)
      values.push_back(replay.copies ? (*replay.copies).*member : std::numeric_limits<double>::quiet_NaN());
    return values;
  }
  void set(const std::vector<double>& values) const {
    if (values.size() != replays->size())
      throw DataError("has " + std::to_string(values.size()) + " values for " + std::to_string(replays->size()) +
                      " mappings; make the file again");
    for (std::size_t m = 0; m < values.size(); ++m) {
      if (std::isnan(values[m])) continue;
      if (!(*replays)[m].copies) (*replays)[m].copies.emplace();
      (*(*replays)[m].copies).*member = values[m];
    }
  }
};
template <class Replays>
CopiesOf(Replays*, double CopiesMade::*) -> CopiesOf<Replays>;

inline constexpr ValueRule time_or_unknown{.least = 0, .or_unknown = true};
inline constexpr std::string_view with_whole_step = "whole_step_rest";

/// Times of replays below `group`, "" for the file's own; `axis` is what they are counted by.
template <class Replays, class Visit>
void visit_times(Replays& replays, const std::string& group, const std::string& axis, Field like, Visit&& visit) {
  const auto visit_one = [&](const char* name, const char* axes, const char* meaning, auto member) {
    const std::string path = group + name, all_axes = axis + axes;
    like.name = path;
    like.axes = all_axes;
    like.meaning = meaning;
    visit(like, Column(replays, member));
  };
  like.unit = "s";
  like.rule = time_or_unknown;
  const char *devices = ", step, layer, device", *layers = ", step, layer";
  visit_one("/measured_s", devices, "the experts' own time, median over rounds", &MappingReplay::compute_s);
  visit_one("/predicted_s", devices, "the same from the latency surface", &MappingReplay::predicted_s);
  visit_one("/dispatch_s", devices, "tokens to their experts; NaN where nothing is exchanged",
            &MappingReplay::dispatch_s);
  visit_one("/combine_s", devices, "and back", &MappingReplay::combine_s);
  visit_one("/layer_s", layers, "from the common start to the last rank's end; NaN where nothing is exchanged",
            &MappingReplay::layer_s);
  visit_one("/raw_straggler_s", layers, "maximum over devices taken in each round, mean over rounds",
            &MappingReplay::raw_straggler_s);
  like.unit = "token";
  like.presence = Presence::OrEmpty;
  like.needed_with = {};
  visit_one("/most_rows", layers, "rows of the device that gets most", &MappingReplay::most_rows);
}

/// Parts of whole steps below `group`.
template <class Replays, class Visit>
void visit_parts(Replays& replays, const std::string& group, const std::string& axis, Visit&& visit) {
  for (const auto& part : words_of(StepPart{})) {
    const std::string path = group + "/parts/" + part.word + "_s";
    const std::string axes = axis + (is_tail(part.value) ? ", step, one, device" : ", step, layer, device");
    visit(Field{.name = path,
                .unit = "s",
                .axes = axes,
                .rule = time_or_unknown,
                .presence = Presence::OrEmpty,
                .meaning = "a part of whole steps"},
          Column(
              replays, [index = index_of(part.value)](auto& replay) -> auto& { return replay.part_s[index]; }));
  }
}

/// The fields of `gem.report` that are read; what was found of them, for readers that know only the file, is in
/// findings_fields.hpp.
template <ConstOr<VerificationReport> Report, class Visit>
void visit_fields(Report& report, Visit&& visit) {
  // A new member doesn't compile until it has a name here, and then a line below.
  auto& [model, task, part, judged, judged_by, weight_dtype, device_kind, device_note, device_difference,
         profile_doubts, sample_note, tokens_per_step, first_step, rounds, model_layers, rest_per_layer_s,
         device_speeds, sm_clock_hz, profile_sm_clock_hz, layer_ids, mappings, whole_step, balanced] = report;
  constexpr Presence optional = Presence::OrDefault;
  visit(model_field, model);
  visit(Field{.name = "task", .presence = optional, .meaning = "task of the trace"}, task);
  visit(Field{.name = "part", .presence = optional, .meaning = "part of the trace's requests"}, part);
  visit(Field{.name = "judged", .presence = optional, .meaning = "name of the mapping that the verdict is about"},
        judged);
  visit(Field{.name = "judged_by",
              .rule = {.words = "straggler, layer, step"},
              .presence = optional,
              .meaning = "time that the verdict is about: of the slowest device's compute, of whole layers with their "
                         "exchange, of whole steps"},
        Word(judged_by, {"straggler", "layer", "step"}));
  visit(Field{.name = "weight_dtype", .presence = optional, .meaning = "of the weights that ran"}, weight_dtype);
  visit(Field{.name = "device_kind", .presence = optional, .meaning = "kind of the devices, as in gem.profile"},
        device_kind);
  visit(
      Field{.name = "device_note", .presence = optional, .meaning = "what is emulated; empty for devices as they are"},
      device_note);
  visit(Field{.name = "device_difference",
              .presence = optional,
              .meaning = "how a device differs from the profile's; empty if none does"},
        device_difference);
  visit(Field{.name = "profile_doubts",
              .presence = optional,
              .meaning = "what makes the profile doubtful; empty for a good one"},
        profile_doubts);
  visit(Field{.name = "sample_note",
              .presence = optional,
              .meaning = "\"held-out requests\", \"later steps of the same requests\" or \"in-sample\""},
        sample_note);
  visit(Field{.name = "tokens_per_step", .presence = optional, .meaning = "tokens of a step"}, tokens_per_step);
  visit(Field{.name = "first_step", .presence = optional, .meaning = "of the trace that was replayed"}, first_step);
  visit(Field{.name = "rounds", .presence = optional, .meaning = "measurements of each step"}, rounds);
  visit(Field{.name = "model_layers",
              .presence = optional,
              .meaning = "layers of the whole trace, of which some were replayed; 0 if unknown"},
        model_layers);
  visit_times(mappings, "", "mapping", Field{.name = ""}, visit);
  visit(Field{.name = "/mappings", .axes = "mapping", .meaning = "names; all are compared with the first"},
        Column(mappings, &MappingReplay::name));
  visit(layer_ids_field, layer_ids);
  visit(Field{.name = "/checks/wrong_values",
              .unit = "value",
              .axes = "mapping",
              .meaning = "elements that were not what they had to be after dispatch and combine"},
        Column(mappings, &MappingReplay::wrong_values));
  visit(Field{.name = "/checks/checked_values",
              .unit = "value",
              .axes = "mapping",
              .meaning = "elements that were looked at"},
        Column(mappings, &MappingReplay::checked_values));
  visit(Field{.name = "/checks/output_error",
              .axes = "mapping",
              .rule = {.least = 0, .greatest = std::numeric_limits<double>::infinity(), .or_unknown = true},
              .meaning = "largest relative difference from one rank computing all"},
        Column(mappings, &MappingReplay::output_error));
  visit(Field{.name = "/moved_bytes",
              .unit = "byte",
              .axes = "mapping",
              .meaning = "weights to move when coming from the first mapping"},
        Column(mappings, &MappingReplay::moved_bytes));
  visit(Field{.name = "/move_s",
              .unit = "s",
              .axes = "mapping",
              .rule = time_or_unknown,
              .presence = Presence::OrDefault,
              .meaning = "until the slowest device had them in place, each making its own"},
        Column(mappings, &MappingReplay::move_s));
  auto* const replays = &mappings;
  const auto of_copies = [&](const char* name, const char* unit, const char* meaning, double CopiesMade::*member) {
    visit(Field{.name = name,
                .unit = unit,
                .axes = "mapping",
                .rule = time_or_unknown,
                .presence = Presence::OrEmpty,
                .meaning = meaning},
          CopiesOf{replays, member});
  };
  of_copies("/copies/count", "1", "experts copied at run time in a layer of a step; NaN for mappings that copy none",
            &CopiesMade::count);
  of_copies("/copies/there_s", "s", "until the copies were there, measured", &CopiesMade::there_s);
  of_copies("/copies/predicted_there_s", "s", "the same from the stated price", &CopiesMade::predicted_there_s);
  of_copies("/copies/exposed_s", "s", "of it what the compute did not hide", &CopiesMade::exposed_s);
  visit(Field{.name = "/step_estimate/rest_per_layer_s",
              .unit = "s",
              .axes = "one",
              .rule = time_or_unknown,
              .presence = Presence::OrEmpty,
              .meaning = "stated time of a layer beside its routed experts"},
        rest_per_layer_s);
  visit(Field{.name = "/devices/relative_speed",
              .axes = "device",
              .rule = {.least = above_zero, .greatest = 1},
              .presence = Presence::OrEmpty,
              .meaning = "at the heavy loads of the profile; the fastest is 1"},
        device_speeds);
  visit(Field{.name = "/devices/sm_clock_hz",
              .unit = "Hz",
              .axes = "device",
              .rule = time_or_unknown,
              .presence = Presence::OrEmpty,
              .meaning = "mean over the replay"},
        sm_clock_hz);
  visit(Field{.name = "/devices/profile_sm_clock_hz",
              .unit = "Hz",
              .axes = "device",
              .rule = time_or_unknown,
              .presence = Presence::OrEmpty,
              .meaning = "mean over the profile's points"},
        profile_sm_clock_hz);

  // Whole steps, where they were replayed.
  auto* const step_setting = &whole_step;
  const auto of_step = [&](const char* name, const char* meaning, auto member) {
    visit(Field{.name = name, .presence = Presence::OrDefault, .needed_with = with_whole_step, .meaning = meaning},
          OfWholeStep{step_setting, member});
  };
  static_cast<void>([](const StepSetting& setting) {
    [[maybe_unused]] const auto& [context, output_tokens, moe_layers, dense_layers, rest, fixed_s, row_s, attention] =
        setting;
  });
  of_step("whole_step_rest", "where all but routed experts comes from: \"measured\", \"simulated\" or a file",
          &StepSetting::rest);
  of_step("whole_step_context", "tokens in the cache of each sequence; 0: attention itself wasn't run",
          &StepSetting::context);
  of_step("whole_step_output_tokens", "tokens of a request's output; 0: not looked at", &StepSetting::output_tokens);
  of_step("whole_step_moe_layers", "MoE layers of the model, of which some were replayed", &StepSetting::moe_layers);
  of_step("whole_step_dense_layers", "layers of the model without experts", &StepSetting::dense_layers);
  visit(Field{.name = "/whole_step/exchange_law",
              .unit = "s",
              .axes = "fixed and row",
              .rule = time_or_unknown,
              .presence = Presence::OrEmpty,
              .needed_with = with_whole_step,
              .meaning = "of a layer, and of each row of the device that gets most, where the exchange wasn't timed; "
                         "NaN: left out"},
        ExchangeLawOf{&whole_step});
  visit(Field{.name = "/whole_step/attention_layers",
              .unit = "layer",
              .axes = "layer",
              .rule = {.least = above_zero},
              .presence = Presence::OrEmpty,
              .meaning = "of how many decoder layers each replayed one stands for the attention"},
        OfWholeStep{&whole_step, &StepSetting::attention_layers});
  visit_parts(mappings, "/whole_step", "mapping", visit);
  const Field with_steps{.name = "", .presence = Presence::OrEmpty, .needed_with = with_whole_step};
  visit_times(balanced, "/whole_step/balanced", "one", with_steps, visit);
  visit_parts(balanced, "/whole_step/balanced", "one", visit);
}

}  // namespace gem
