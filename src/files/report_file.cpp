#include "files/report_file.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>

#include "files/header.hpp"

namespace gem {
namespace {

const char* const file_format = "gem.report";

// The datasets with one number a (mapping, step, layer, device) or (mapping, step, layer).
struct CubeField {
  const char* name;
  Cube<double> MappingReplay::*member;
};
constexpr CubeField cube_fields[] = {{"/measured_s", &MappingReplay::compute_s},
                                     {"/predicted_s", &MappingReplay::predicted_s},
                                     {"/dispatch_s", &MappingReplay::dispatch_s},
                                     {"/combine_s", &MappingReplay::combine_s}};
struct MatrixField {
  const char* name;
  Matrix<double> MappingReplay::*member;
};
constexpr MatrixField matrix_fields[] = {{"/layer_s", &MappingReplay::layer_s},
                                         {"/raw_straggler_s", &MappingReplay::raw_straggler_s}};

bool is_time_or_nan(double seconds) {
  return std::isnan(seconds) || (seconds >= 0.0 && std::isfinite(seconds));
}

/// One quantity of all mappings, one after the other.
template <class Container>
void write_stacked(Hdf5Output& file, const FieldLabel& label, const std::vector<MappingReplay>& replays,
                   Container MappingReplay::*member, const Extents& extents) {
  std::vector<double> all;
  for (const MappingReplay& replay : replays)
    all.insert(all.end(), (replay.*member).values().begin(), (replay.*member).values().end());
  file.write(label, all, extents);
}

/// The reverse; `shape` is one mapping's part.
template <class Container>
void read_stacked(const Hdf5Input& file, const std::string& name, std::vector<MappingReplay>& replays,
                  Container MappingReplay::*member, const Extents& extents, const Container& shape) {
  const std::vector<double> all =
      read_checked<double>(file, name, extents, is_time_or_nan, "0 or more, or NaN where unknown");
  auto part = all.begin();
  for (MappingReplay& replay : replays) {
    replay.*member = shape;
    const auto end = part + static_cast<std::ptrdiff_t>(shape.values().size());
    std::copy(part, end, (replay.*member).values().begin());
    part = end;
  }
}

/// Derived from the other times, for readers that know only the file.
void write_waiting(Hdf5Output& file, const std::vector<MappingReplay>& replays) {
  std::vector<double> all;
  for (const MappingReplay& replay : replays) {
    const Cube<double> waiting = waiting_of(replay);
    all.insert(all.end(), waiting.values().begin(), waiting.values().end());
  }
  const Cube<double>& shape = replays.front().compute_s;
  file.write({"/waiting_s", "s", "mapping, step, layer, device"}, all,
             {replays.size(), shape.planes(), shape.rows(), shape.columns()});
}

void write_exchange_cost(Hdf5Output& file, const ExchangeLaw& cost) {
  file.write({"/exchange/fixed_s", "s", "one"}, std::vector<double>{cost.fixed_s}, {1});
  file.write({"/exchange/row_s", "s", "one"}, std::vector<double>{cost.row_s}, {1});
  file.write({"/exchange/explained", "1", "one"}, std::vector<double>{cost.explained}, {1});
}

template <class T>
void write_per_mapping(Hdf5Output& file, const std::string& name, const std::string& units,
                       const std::vector<MappingReplay>& replays, T MappingReplay::*member) {
  file.write({name, units, "mapping"}, column(replays, member), {replays.size()});
}

void write_summary(Hdf5Output& file, const std::vector<MappingSummary>& summaries) {
  const auto write = [&](const char* name, const char* units,
                         const std::function<double(const MappingSummary&)>& value) {
    std::vector<double> values;
    for (const MappingSummary& summary : summaries) values.push_back(value(summary));
    file.write({std::string("/summary/") + name, units, "mapping"}, values, {values.size()});
  };
  write("straggler_s", "s", [](const MappingSummary& s) { return s.straggler_s; });
  write("predicted_s", "s", [](const MappingSummary& s) { return s.predicted_s; });
  write("relative", "1", [](const MappingSummary& s) { return s.relative; });
  write("relative_low", "1", [](const MappingSummary& s) { return s.interval.low; });
  write("relative_high", "1", [](const MappingSummary& s) { return s.interval.high; });
  write("raw_relative", "1", [](const MappingSummary& s) { return s.raw_relative; });
  write("layer_relative", "1", [](const MappingSummary& s) { return s.layer_relative; });
  write("layer_relative_low", "1", [](const MappingSummary& s) { return s.layer_interval.low; });
  write("layer_relative_high", "1", [](const MappingSummary& s) { return s.layer_interval.high; });
  write("p50_s", "s", [](const MappingSummary& s) { return s.p50_s; });
  write("p90_s", "s", [](const MappingSummary& s) { return s.p90_s; });
  write("p99_s", "s", [](const MappingSummary& s) { return s.p99_s; });
  write("imbalance", "1", [](const MappingSummary& s) { return s.imbalance; });
  write("median_error", "1", [](const MappingSummary& s) { return s.median_error; });
  write("dispatch_s", "s", [](const MappingSummary& s) { return s.dispatch_s; });
  write("compute_s", "s", [](const MappingSummary& s) { return s.compute_s; });
  write("waiting_s", "s", [](const MappingSummary& s) { return s.waiting_s; });
  write("combine_s", "s", [](const MappingSummary& s) { return s.combine_s; });
  write("waiting_share", "1", [](const MappingSummary& s) { return s.waiting_share; });
}

// Parts of whole steps by name: of layers [step, layer, device], of what follows them [step, 1, device].
std::string part_path(const std::string& group, StepPart part) {
  return group + "/parts/" + word_of(part) + "_s";
}

void write_parts(Hdf5Output& file, const std::string& group, const std::vector<MappingReplay>& replays) {
  for (std::size_t index = 0; index < step_part_count; ++index) {
    const auto part = static_cast<StepPart>(index);
    const Cube<double>& shape = replays.front().part_s[index];
    if (shape.planes() == 0) continue;
    std::vector<double> all;
    for (const MappingReplay& replay : replays)
      all.insert(all.end(), replay.part_s[index].values().begin(), replay.part_s[index].values().end());
    file.write(
        {part_path(group, part), "s", is_tail(part) ? "mapping, step, one, device" : "mapping, step, layer, device"},
        all, {replays.size(), shape.planes(), shape.rows(), shape.columns()});
  }
}

void read_parts(const Hdf5Input& file, const std::string& group, const Extents& extents,
                std::vector<MappingReplay>& replays) {
  for (std::size_t index = 0; index < step_part_count; ++index) {
    const std::string path = part_path(group, static_cast<StepPart>(index));
    if (!file.has_dataset(path)) continue;
    const std::size_t layers = is_tail(static_cast<StepPart>(index)) ? 1 : extents[2];
    const std::vector<double> all = read_checked<double>(file, path, {replays.size(), extents[1], layers, extents[3]},
                                                         is_time_or_nan, "0 or more, or NaN where unknown");
    auto part = all.begin();
    for (MappingReplay& replay : replays) {
      replay.part_s[index] = Cube<double>(extents[1], layers, extents[3]);
      const auto end = part + static_cast<std::ptrdiff_t>(replay.part_s[index].values().size());
      std::copy(part, end, replay.part_s[index].values().begin());
      part = end;
    }
  }
}

// The times of replays below a group; "" for the file's own.
void write_times(Hdf5Output& file, const std::string& group, const std::vector<MappingReplay>& replays) {
  const Cube<double>& shape = replays.front().compute_s;
  for (const CubeField& field : cube_fields)
    write_stacked(file, {group + field.name, "s", "mapping, step, layer, device"}, replays, field.member,
                  {replays.size(), shape.planes(), shape.rows(), shape.columns()});
  const Extents cells{replays.size(), shape.planes(), shape.rows()};
  for (const MatrixField& field : matrix_fields)
    write_stacked(file, {group + field.name, "s", "mapping, step, layer"}, replays, field.member, cells);
  if (replays.front().most_rows.rows() > 0)
    write_stacked(file, {group + "/most_rows", "token", "mapping, step, layer"}, replays, &MappingReplay::most_rows,
                  cells);
}

void read_times(const Hdf5Input& file, const std::string& group, const Extents& extents,
                std::vector<MappingReplay>& replays) {
  const Extents devices{replays.size(), extents[1], extents[2], extents[3]};
  const Extents cells{replays.size(), extents[1], extents[2]};
  for (const CubeField& field : cube_fields)
    read_stacked(file, group + field.name, replays, field.member, devices,
                 Cube<double>(extents[1], extents[2], extents[3]));
  for (const MatrixField& field : matrix_fields)
    read_stacked(file, group + field.name, replays, field.member, cells, Matrix<double>(extents[1], extents[2]));
  if (file.has_dataset(group + "/most_rows"))
    read_stacked(file, group + "/most_rows", replays, &MappingReplay::most_rows, cells,
                 Matrix<double>(extents[1], extents[2]));
}

const char* const step_group = "/whole_step";
const char* const balanced_group = "/whole_step/balanced";

// What readers that know only the file would have to derive; the force-balanced steps are the last of `names`.
void write_whole_steps(Hdf5Output& file, const std::vector<WholeStep>& steps) {
  const auto path = [](const char* name) { return std::string(step_group) + "/" + name; };
  file.write({path("names"), "1", "mapping"}, column(steps, &WholeStep::name));
  std::vector<double> all;
  for (const WholeStep& step : steps) all.insert(all.end(), step.step_s.begin(), step.step_s.end());
  file.write({path("step_s"), "s", "mapping, step"}, all, {steps.size(), steps.front().step_s.size()});
  const auto write = [&](const std::string& name, const char* units,
                         const std::function<double(const WholeStep&)>& value) {
    std::vector<double> values;
    for (const WholeStep& step : steps) values.push_back(value(step));
    file.write({path(name.c_str()), units, "mapping"}, values, {values.size()});
  };
  for (const auto& [prefix, member] : {std::pair{"", &WholeStep::step}, std::pair{"output_", &WholeStep::output}}) {
    const auto write_time = [&, prefix = prefix, member = member](const char* name, double TimesPerToken::*value) {
      write(std::string(prefix) + name, "s", [&](const WholeStep& step) { return step.*member.*value; });
    };
    write_time("mean_s", &TimesPerToken::mean_s);
    write_time("p50_s", &TimesPerToken::p50_s);
    write_time("p90_s", &TimesPerToken::p90_s);
    write_time("p99_s", &TimesPerToken::p99_s);
    write(std::string(prefix) + "relative", "1", [&, m = member](const WholeStep& s) { return (s.*m).relative; });
    write(std::string(prefix) + "relative_low", "1",
          [&, m = member](const WholeStep& s) { return (s.*m).interval.low; });
    write(std::string(prefix) + "relative_high", "1",
          [&, m = member](const WholeStep& s) { return (s.*m).interval.high; });
  }
  for (const auto& [name, share] :
       {std::pair{"shares/attention_s", &StepShares::attention_s},
        std::pair{"shares/experts_s", &StepShares::experts_s}, std::pair{"shares/shared_s", &StepShares::shared_s},
        std::pair{"shares/exchange_s", &StepShares::exchange_s}, std::pair{"shares/waiting_s", &StepShares::waiting_s},
        std::pair{"shares/tail_s", &StepShares::tail_s}})
    write(name, "s", [s = share](const WholeStep& step) { return step.shares.*s; });
  write("predicted_s", "s", [](const WholeStep& step) { return step.predicted_s; });
  write("median_error", "1", [](const WholeStep& step) { return step.median_error; });
  write("above_balanced", "1", [](const WholeStep& step) { return step.above_balanced; });
}

void write_step_setting(Hdf5Output& file, const StepSetting& setting) {
  file.attribute("whole_step_rest", setting.rest);
  file.attribute("whole_step_context", setting.context);
  file.attribute("whole_step_output_tokens", setting.output_tokens);
  file.attribute("whole_step_moe_layers", setting.moe_layers);
  file.attribute("whole_step_dense_layers", setting.dense_layers);
  file.write({std::string(step_group) + "/exchange_law", "s", "fixed, row"},
             std::vector<double>{setting.exchange_fixed_s, setting.exchange_row_s}, {2});
  if (!setting.attention_layers.empty())
    file.write({std::string(step_group) + "/attention_layers", "layer", "layer"}, setting.attention_layers,
               {setting.attention_layers.size()});
}

void write_step_estimate(Hdf5Output& file, const VerificationReport& report,
                         const std::vector<StepEstimate>& estimates) {
  file.write({"/step_estimate/rest_per_layer_s", "s", "1"}, std::vector<double>{report.rest_per_layer_s}, {1});
  const auto write = [&](const char* name, const char* units, double StepEstimate::*member) {
    file.write({std::string("/step_estimate/") + name, units, "mapping"}, column(estimates, member),
               {estimates.size()});
  };
  write("moe_s", "s", &StepEstimate::moe_s);
  write("rest_s", "s", &StepEstimate::rest_s);
  write("step_s", "s", &StepEstimate::step_s);
  write("relative", "1", &StepEstimate::relative);
  write("relative_low", "1", &StepEstimate::relative_low);
  write("relative_high", "1", &StepEstimate::relative_high);
}

}  // namespace

void write_report(const std::string& path, const VerificationReport& report, const Findings& findings,
                  const Provenance& provenance) {
  Hdf5Output file(path);
  write_header(file, file_format, provenance);
  file.attribute("task", report.task);
  file.attribute("part", report.part);
  file.attribute("judged", report.judged);
  file.attribute("judged_by", word_of(report.judged_by));
  file.attribute("weight_dtype", report.weight_dtype);
  file.attribute("device_kind", report.device_kind);
  file.attribute("device_note", report.device_note);
  file.attribute("device_difference", report.device_difference);
  file.attribute("profile_doubts", report.profile_doubts);
  file.attribute("sample_note", report.sample_note);
  file.attribute("tokens_per_step", report.tokens_per_step);
  file.attribute("first_step", report.first_step);
  file.attribute("rounds", report.rounds);
  file.attribute("model_layers", report.model_layers);

  file.write({"/mappings", "1", "mapping"}, column(report.mappings, &MappingReplay::name));
  file.write({"/layer_ids", "1", "layer"}, report.layer_ids, {report.layer_ids.size()});
  write_times(file, "", report.mappings);
  write_waiting(file, report.mappings);
  if (findings.exchange) write_exchange_cost(file, *findings.exchange);
  write_per_mapping(file, "/checks/wrong_values", "value", report.mappings, &MappingReplay::wrong_values);
  write_per_mapping(file, "/checks/checked_values", "value", report.mappings, &MappingReplay::checked_values);
  write_per_mapping(file, "/checks/output_error", "1", report.mappings, &MappingReplay::output_error);
  write_per_mapping(file, "/moved_bytes", "byte", report.mappings, &MappingReplay::moved_bytes);
  write_per_mapping(file, "/move_s", "s", report.mappings, &MappingReplay::move_s);
  write_summary(file, findings.summaries);
  if (!findings.estimates.empty()) write_step_estimate(file, report, findings.estimates);
  if (report.whole_step) {
    write_step_setting(file, *report.whole_step);
    write_parts(file, step_group, report.mappings);
    write_times(file, balanced_group, {*report.balanced});
    write_parts(file, balanced_group, {*report.balanced});
    write_whole_steps(file, findings.whole_steps);
  }
  if (!report.device_speeds.empty())
    file.write({"/devices/relative_speed", "1", "device"}, report.device_speeds, {report.device_speeds.size()});
  for (const auto& [name, clocks_hz] : {std::pair{"/devices/sm_clock_hz", &report.sm_clock_hz},
                                        std::pair{"/devices/profile_sm_clock_hz", &report.profile_sm_clock_hz}})
    if (!clocks_hz->empty()) file.write({name, "Hz", "device"}, *clocks_hz, {clocks_hz->size()});
  file.commit();
}

namespace {

void read_whole_step(const Hdf5Input& file, const Extents& extents, VerificationReport& report) {
  const auto count = [&](const char* name) { return static_cast<std::size_t>(file.count_attribute(name)); };
  StepSetting& setting = report.whole_step.emplace();
  setting.rest = file.text_attribute("whole_step_rest");
  setting.context = count("whole_step_context");
  setting.output_tokens = count("whole_step_output_tokens");
  setting.moe_layers = count("whole_step_moe_layers");
  setting.dense_layers = count("whole_step_dense_layers");
  const std::vector<double> law = read_checked<double>(file, std::string(step_group) + "/exchange_law", {2},
                                                       is_time_or_nan, "0 or more seconds, or NaN where not counted");
  setting.exchange_fixed_s = law[0];
  setting.exchange_row_s = law[1];
  const std::string attention_layers = std::string(step_group) + "/attention_layers";
  if (file.has_dataset(attention_layers))
    setting.attention_layers = read_checked<double>(
        file, attention_layers, {extents[2]}, [](double layers) { return layers > 0.0 && std::isfinite(layers); },
        "more than 0");
  read_parts(file, step_group, extents, report.mappings);
  std::vector<MappingReplay> balanced(1);
  balanced[0].name = force_balanced_name;
  read_times(file, balanced_group, extents, balanced);
  read_parts(file, balanced_group, extents, balanced);
  report.balanced = balanced[0];
  if (std::isnan(setting.exchange_fixed_s)) return;
  for (const std::string& group : {std::string(), std::string(balanced_group)})
    if (!file.has_dataset(group + "/most_rows"))
      file.reject("dataset " + group + "/most_rows is missing, which " + step_group +
                  "/exchange_law needs; make the file again");
}

}  // namespace

VerificationReport read_report(const std::string& path) {
  const Hdf5Input file = open_gem_file(path, file_format);
  const Extents extents = file.extents("/measured_s", 4);
  for (const std::size_t extent : extents)
    if (extent == 0) file.reject("/measured_s is empty: " + to_string(extents) + "; verify again");
  VerificationReport report;
  report.model = file.text_attribute("model");
  const auto text = [&](const char* name) {
    return file.has_attribute(name) ? file.text_attribute(name) : std::string();
  };
  const auto count = [&](const char* name) {
    return file.has_attribute(name) ? static_cast<std::size_t>(file.count_attribute(name)) : std::size_t{0};
  };
  report.task = text("task");
  report.part = text("part");
  report.judged = text("judged");
  for (const auto& known : words_of(JudgedBy{}))
    if (known.word == text("judged_by")) report.judged_by = known.value;
  report.weight_dtype = text("weight_dtype");
  report.device_kind = text("device_kind");
  report.device_note = text("device_note");
  report.device_difference = text("device_difference");
  report.profile_doubts = text("profile_doubts");
  report.sample_note = text("sample_note");
  report.tokens_per_step = count("tokens_per_step");
  report.first_step = count("first_step");
  report.rounds = count("rounds");
  report.model_layers = count("model_layers");
  if (file.has_dataset("/step_estimate/rest_per_layer_s"))
    report.rest_per_layer_s = read_checked<double>(file, "/step_estimate/rest_per_layer_s", {1}, is_time_or_nan,
                                                   "0 or more seconds, or NaN where unknown")[0];
  if (file.has_dataset("/devices/relative_speed"))
    report.device_speeds = read_checked<double>(
        file, "/devices/relative_speed", {extents[3]}, [](double speed) { return speed > 0.0 && speed <= 1.0; },
        "above 0 and at most 1");
  const auto is_clock = [](double hz) { return std::isnan(hz) || hz >= 0.0; };
  if (file.has_dataset("/devices/sm_clock_hz"))
    report.sm_clock_hz =
        read_checked<double>(file, "/devices/sm_clock_hz", {extents[3]}, is_clock, "0 or more, or NaN if unknown");
  if (file.has_dataset("/devices/profile_sm_clock_hz"))
    report.profile_sm_clock_hz = read_checked<double>(file, "/devices/profile_sm_clock_hz", {extents[3]}, is_clock,
                                                      "0 or more, or NaN if unknown");
  report.layer_ids = read_layer_ids(file, extents[2]);

  const std::vector<std::string> names = file.read_texts("/mappings", extents[0]);
  report.mappings.resize(extents[0]);
  for (std::size_t m = 0; m < names.size(); ++m) report.mappings[m].name = names[m];
  read_times(file, "", extents, report.mappings);
  if (file.has_attribute("whole_step_rest")) read_whole_step(file, extents, report);
  const auto wrong = file.read<std::uint64_t>("/checks/wrong_values", {extents[0]});
  const auto checked = file.read<std::uint64_t>("/checks/checked_values", {extents[0]});
  const auto error = file.read<double>("/checks/output_error", {extents[0]});
  const auto moved = file.read<std::uint64_t>("/moved_bytes", {extents[0]});
  std::vector<double> move_s(extents[0], std::numeric_limits<double>::quiet_NaN());
  if (file.has_dataset("/move_s"))
    move_s = read_checked<double>(file, "/move_s", {extents[0]}, is_time_or_nan, "0 or more seconds, or NaN");
  for (std::size_t m = 0; m < extents[0]; ++m) {
    report.mappings[m].wrong_values = wrong[m];
    report.mappings[m].checked_values = checked[m];
    report.mappings[m].output_error = error[m];
    report.mappings[m].moved_bytes = moved[m];
    report.mappings[m].move_s = move_s[m];
  }
  return report;
}

}  // namespace gem
