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

void write_exchange_cost(Hdf5Output& file, const ExchangeCost& cost) {
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
  file.attribute("judged_by", report.judged_by == JudgedBy::Layer ? "layer" : "straggler");
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

  const std::size_t mappings = report.mappings.size();
  const Cube<double>& shape = report.mappings.front().compute_s;
  file.write({"/mappings", "1", "mapping"}, column(report.mappings, &MappingReplay::name));
  file.write({"/layer_ids", "1", "layer"}, report.layer_ids, {report.layer_ids.size()});
  for (const CubeField& field : cube_fields)
    write_stacked(file, {field.name, "s", "mapping, step, layer, device"}, report.mappings, field.member,
                  {mappings, shape.planes(), shape.rows(), shape.columns()});
  write_waiting(file, report.mappings);
  for (const MatrixField& field : matrix_fields)
    write_stacked(file, {field.name, "s", "mapping, step, layer"}, report.mappings, field.member,
                  {mappings, shape.planes(), shape.rows()});
  if (report.mappings.front().most_rows.rows() > 0)
    write_stacked(file, {"/most_rows", "token", "mapping, step, layer"}, report.mappings, &MappingReplay::most_rows,
                  {mappings, shape.planes(), shape.rows()});
  if (findings.exchange) write_exchange_cost(file, *findings.exchange);
  write_per_mapping(file, "/checks/wrong_values", "value", report.mappings, &MappingReplay::wrong_values);
  write_per_mapping(file, "/checks/checked_values", "value", report.mappings, &MappingReplay::checked_values);
  write_per_mapping(file, "/checks/output_error", "1", report.mappings, &MappingReplay::output_error);
  write_per_mapping(file, "/moved_bytes", "byte", report.mappings, &MappingReplay::moved_bytes);
  write_per_mapping(file, "/move_s", "s", report.mappings, &MappingReplay::move_s);
  write_summary(file, findings.summaries);
  if (!findings.estimates.empty()) write_step_estimate(file, report, findings.estimates);
  if (!report.device_speeds.empty())
    file.write({"/devices/relative_speed", "1", "device"}, report.device_speeds, {report.device_speeds.size()});
  for (const auto& [name, clocks_hz] : {std::pair{"/devices/sm_clock_hz", &report.sm_clock_hz},
                                        std::pair{"/devices/profile_sm_clock_hz", &report.profile_sm_clock_hz}})
    if (!clocks_hz->empty()) file.write({name, "Hz", "device"}, *clocks_hz, {clocks_hz->size()});
  file.commit();
}

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
  report.judged_by = text("judged_by") == "layer" ? JudgedBy::Layer : JudgedBy::Straggler;
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
  for (const CubeField& field : cube_fields)
    read_stacked(file, field.name, report.mappings, field.member, extents,
                 Cube<double>(extents[1], extents[2], extents[3]));
  for (const MatrixField& field : matrix_fields)
    read_stacked(file, field.name, report.mappings, field.member, {extents[0], extents[1], extents[2]},
                 Matrix<double>(extents[1], extents[2]));
  if (file.has_dataset("/most_rows"))
    read_stacked(file, "/most_rows", report.mappings, &MappingReplay::most_rows, {extents[0], extents[1], extents[2]},
                 Matrix<double>(extents[1], extents[2]));
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
