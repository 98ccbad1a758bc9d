#include "verification/report.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/table.hpp"
#include "base/text.hpp"
#include "model/weight_type.hpp"
#include "verification/block_interval.hpp"
#include "verification/whole_step.hpp"

namespace gem {
namespace {

double imbalance_of(const Cube<double>& device_s) {
  double sum = 0.0;
  std::size_t count = 0;
  for (std::size_t step = 0; step < device_s.planes(); ++step)
    for (std::size_t layer = 0; layer < device_s.rows(); ++layer) {
      const auto devices = device_s.row(step, layer);
      const double center = mean(devices);
      if (center <= 0.0) continue;
      sum += *std::max_element(devices.begin(), devices.end()) / center;
      ++count;
    }
  return count == 0 ? 1.0 : sum / static_cast<double>(count);
}

// Of a step, all layers together: mean over devices and steps.
double mean_of_step(const Cube<double>& device_s) {
  return mean(device_s.values()) * static_cast<double>(device_s.rows());
}

std::string or_dash(double value) {
  return std::isnan(value) ? "-" : fmt::format("{:.3f}", value);
}

double median_relative_error(const std::vector<double>& predicted, const std::vector<double>& measured) {
  std::vector<double> errors;
  for (std::size_t i = 0; i < measured.size(); ++i)
    if (measured[i] > 0.0) errors.push_back(std::fabs(predicted[i] / measured[i] - 1.0));
  return median(errors);
}

}  // namespace

bool has_whole_layers(const VerificationReport& report) {
  const std::vector<double>& layer_s = report.mappings.front().layer_s.values();
  return std::none_of(layer_s.begin(), layer_s.end(), [](double seconds) { return std::isnan(seconds); });
}

std::vector<double> straggler_of_steps(const Cube<double>& device_s) {
  std::vector<double> steps(device_s.planes(), 0.0);
  for (std::size_t step = 0; step < device_s.planes(); ++step)
    for (std::size_t layer = 0; layer < device_s.rows(); ++layer) {
      const auto devices = device_s.row(step, layer);
      steps[step] += *std::max_element(devices.begin(), devices.end());
    }
  return steps;
}

std::vector<double> sum_of_steps(const Matrix<double>& layer_s) {
  std::vector<double> steps(layer_s.rows(), 0.0);
  for (std::size_t step = 0; step < layer_s.rows(); ++step)
    for (double value : layer_s.row(step)) steps[step] += value;
  return steps;
}

Cube<double> waiting_of(const MappingReplay& replay) {
  Cube<double> waiting = replay.compute_s;
  for (std::size_t step = 0; step < waiting.planes(); ++step)
    for (std::size_t layer = 0; layer < waiting.rows(); ++layer) {
      const auto devices = waiting.row(step, layer);
      if (!std::isnan(replay.layer_s(step, layer)))
        for (std::size_t d = 0; d < devices.size(); ++d) devices[d] += replay.dispatch_s(step, layer, d);
      const double last = *std::max_element(devices.begin(), devices.end());
      for (double& own : devices) own = last - own;
    }
  return waiting;
}

std::vector<MappingSummary> summarize(const VerificationReport& report, std::uint64_t seed) {
  const std::vector<double> base = straggler_of_steps(report.mappings.front().compute_s);
  const std::vector<double> base_raw = sum_of_steps(report.mappings.front().raw_straggler_s);
  const std::vector<double> base_layer = sum_of_steps(report.mappings.front().layer_s);
  const bool has_layers = has_whole_layers(report);
  std::vector<double> base_step;
  if (report.whole_step)
    base_step = whole_step_times(report.mappings.front(), report.mappings.front().compute_s, *report.whole_step);
  std::vector<MappingSummary> summaries;
  for (const MappingReplay& replay : report.mappings) {
    const std::vector<double> steps = straggler_of_steps(replay.compute_s);
    const std::vector<double> predicted = straggler_of_steps(replay.predicted_s);
    MappingSummary summary;
    summary.name = replay.name;
    summary.straggler_s = mean(steps);
    summary.predicted_s = mean(predicted);
    summary.relative = mean(steps) / mean(base);
    summary.interval = bootstrap_ratio(steps, base, seed);
    summary.block_interval = bootstrap_blocks(steps, base, block_length(steps.size()), seed);
    summary.raw_relative = mean(sum_of_steps(replay.raw_straggler_s)) / mean(base_raw);
    summary.layer_relative = std::numeric_limits<double>::quiet_NaN();
    if (has_layers) {
      const std::vector<double> layers = sum_of_steps(replay.layer_s);
      summary.layer_relative = mean(layers) / mean(base_layer);
      summary.layer_interval = bootstrap_ratio(layers, base_layer, seed);
      summary.layer_block_interval = bootstrap_blocks(layers, base_layer, block_length(layers.size()), seed);
    }
    if (!base_step.empty()) {
      const std::vector<double> whole = whole_step_times(replay, replay.compute_s, *report.whole_step);
      summary.step_relative = mean(whole) / mean(base_step);
      summary.step_interval = bootstrap_ratio(whole, base_step, seed);
      summary.step_block_interval = bootstrap_blocks(whole, base_step, block_length(whole.size()), seed);
    }
    summary.p50_s = quantile(steps, 0.5);
    summary.p90_s = quantile(steps, 0.9);
    summary.p99_s = quantile(steps, 0.99);
    summary.imbalance = imbalance_of(replay.compute_s);
    summary.dispatch_s = mean_of_step(replay.dispatch_s);
    summary.compute_s = mean_of_step(replay.compute_s);
    summary.waiting_s = mean_of_step(waiting_of(replay));
    summary.combine_s = mean_of_step(replay.combine_s);
    summary.waiting_share =
        summary.waiting_s / (summary.waiting_s + summary.compute_s + (has_layers ? summary.dispatch_s : 0.0));
    summary.median_error = median_relative_error(predicted, steps);
    summaries.push_back(summary);
  }
  return summaries;
}

DeviceErrors device_errors(const VerificationReport& report) {
  std::vector<double> predicted, measured, ratios;
  for (const MappingReplay& replay : report.mappings)
    for (std::size_t i = 0; i < replay.predicted_s.values().size(); ++i)
      if (replay.predicted_s.values()[i] > 0.0 && replay.compute_s.values()[i] > 0.0) {
        predicted.push_back(replay.predicted_s.values()[i]);
        measured.push_back(replay.compute_s.values()[i]);
        ratios.push_back(predicted.back() / measured.back());
      }
  if (ratios.empty()) return {};
  DeviceErrors errors{median_relative_error(predicted, measured), median(ratios) - 1.0, 0.0};
  for (double& value : predicted) value /= 1.0 + errors.common;
  errors.beside = median_relative_error(predicted, measured);
  return errors;
}

std::string prediction_lines(const VerificationReport& report) {
  const DeviceErrors errors = device_errors(report);
  std::string lines = fmt::format(
      "Prediction per device: median error {:.1f} %; all loads have {:+.1f} % in common,\nbeside that it is {:.1f} %\n",
      100.0 * errors.median, 100.0 * errors.common, 100.0 * errors.beside);
  const double clock_hz = mean(report.sm_clock_hz), profile_hz = mean(report.profile_sm_clock_hz);
  if (std::isfinite(clock_hz) && std::isfinite(profile_hz))
    lines += fmt::format("Clocks: {:.2f} GHz in the replay, {:.2f} GHz in the profile (means)\n", clock_hz * 1e-9,
                         profile_hz * 1e-9);
  return lines;
}

JudgedRatio judged_ratio(const VerificationReport& report, const MappingSummary& judged) {
  switch (report.judged_by) {
    case JudgedBy::Layer:
      return {judged.layer_relative, judged.layer_interval, judged.layer_block_interval, "whole layers"};
    case JudgedBy::Step:
      return {judged.step_relative, judged.step_interval, judged.step_block_interval, "whole steps"};
    case JudgedBy::Straggler:
      break;
  }
  return {judged.relative, judged.interval, judged.block_interval, "straggler time"};
}

Verdict judge(const VerificationReport& report, const MappingSummary& judged, double output_tolerance) {
  for (const MappingReplay& replay : report.mappings)
    if (replay.wrong_values > 0 || replay.output_error > output_tolerance) return Verdict::Wrong;
  const JudgedRatio ratio = judged_ratio(report, judged);
  if (std::max(ratio.interval.high, ratio.blocks.high) < 1.0) return Verdict::Faster;
  if (std::min(ratio.interval.low, ratio.blocks.low) > 1.0) return Verdict::Slower;
  return Verdict::Unproven;
}

double output_tolerance(const std::string& weight_dtype) {
  return weight_dtype == word_of(WeightType::F32) ? 1e-4 : 2e-2;
}

std::string emulation_note(const std::vector<double>& slowdowns) {
  if (std::all_of(slowdowns.begin(), slowdowns.end(), [](double slowdown) { return slowdown == 1.0; })) return "";
  std::vector<std::string> words;
  for (double slowdown : slowdowns) words.push_back(fmt::format("x{:.2f}", slowdown));
  if (words.size() > 8) return "emulated slowdowns up to " + *std::max_element(words.begin(), words.end());
  return "emulated " + join(words);
}

std::string verdict_word(Verdict verdict) {
  switch (verdict) {
    case Verdict::Faster:
      return "faster";
    case Verdict::Slower:
      return "slower";
    case Verdict::Unproven:
      return "unproven";
    case Verdict::Wrong:
      break;
  }
  return "wrong";
}

std::string verdict_sentence(const VerificationReport& report, const MappingSummary& judged, Verdict verdict) {
  const std::string base = report.mappings.front().name;
  const std::string on = report.device_kind + " devices" +
                         (report.device_difference.empty() ? "" : ", not the profile's") +
                         (report.device_note.empty() ? "" : ", " + report.device_note);
  const JudgedRatio ratio = judged_ratio(report, judged);
  std::string figures = fmt::format("{:.3f} of {}'s {}, 95 % interval {:.3f} to {:.3f}", ratio.relative, base,
                                    ratio.what, ratio.interval.low, ratio.interval.high);
  if (report.judged_by != JudgedBy::Straggler)
    figures += fmt::format(", and {:.3f} of its straggler time", judged.relative);
  switch (verdict) {
    case Verdict::Faster:
      return fmt::format("VERDICT: FASTER - {} takes {} ({}; {})", judged.name, figures, on, report.sample_note);
    case Verdict::Slower:
      return fmt::format("VERDICT: SLOWER - {} takes {} ({}; {}); keep {}", judged.name, figures, on,
                         report.sample_note, base);
    case Verdict::Unproven:
      return fmt::format(
          "VERDICT: NOT PROVEN - {} takes {} ({}; {}); more steps or rounds narrow the interval{}", judged.name,
          figures, on, report.sample_note,
          ratio.interval.high < 1.0 || ratio.interval.low > 1.0 ? ", which over blocks of steps holds 1" : "");
    case Verdict::Wrong:
      break;
  }
  return "VERDICT: WRONG - data did not arrive as sent or outputs differ from the one-rank reference (columns #wrong "
         "and "
         "error); times mean nothing until that is mended";
}

std::string summary_table(const VerificationReport& report, const std::vector<MappingSummary>& summaries) {
  const std::string versus = "vs " + summaries[0].name;
  Table times({{"mapping", ""},
               {"straggler", "ms/step"},
               {versus, "ratio"},
               {"95 % interval", "ratio"},
               {"predicted", "ms/step", 3},
               {"error", "%", 2},
               {"p99", "ms/step", 1}});
  Table details({{"mapping", ""},
                 {"p50", "ms/step", 1},
                 {"p90", "ms/step", 2},
                 {"imbal.", "max/mean", 4},
                 {"raw", "ratio", 3},
                 {"layer", "ratio"},
                 {"#wrong", "values"},
                 {"error", "out"}});
  Table parts({{"mapping", ""},
               {"dispatch", "ms/step"},
               {"compute", "ms/step"},
               {"waiting", "ms/step"},
               {"combine", "ms/step"},
               {"waiting", "%", 3},
               {"to move", "", 2},
               {"moved in", "s", 1}});
  for (std::size_t i = 0; i < summaries.size(); ++i) {
    const MappingSummary& s = summaries[i];
    const MappingReplay& replay = report.mappings[i];
    times.add_row({s.name, fmt::format("{:.3f}", s.straggler_s * 1e3), fmt::format("{:.3f}", s.relative),
                   i == 0 ? "-" : fmt::format("{:.3f} - {:.3f}", s.interval.low, s.interval.high),
                   fmt::format("{:.3f}", s.predicted_s * 1e3), fmt::format("{:.1f}", 100.0 * s.median_error),
                   fmt::format("{:.3f}", s.p99_s * 1e3)});
    details.add_row({s.name, fmt::format("{:.3f}", s.p50_s * 1e3), fmt::format("{:.3f}", s.p90_s * 1e3),
                     fmt::format("{:.3f}", s.imbalance), fmt::format("{:.3f}", s.raw_relative),
                     or_dash(s.layer_relative),
                     replay.checked_values == 0 ? "-" : fmt::format("{}", replay.wrong_values),
                     std::isnan(replay.output_error) ? "-" : fmt::format("{:.1e}", replay.output_error)});
    parts.add_row({s.name, or_dash(s.dispatch_s * 1e3), or_dash(s.compute_s * 1e3), or_dash(s.waiting_s * 1e3),
                   or_dash(s.combine_s * 1e3), fmt::format("{:.1f}", 100.0 * s.waiting_share),
                   format_bytes(static_cast<double>(replay.moved_bytes)), or_dash(replay.move_s)});
  }
  return times.to_string() + "\n" + details.to_string() + "\nThe mean device's step:\n" + parts.to_string();
}

}  // namespace gem
