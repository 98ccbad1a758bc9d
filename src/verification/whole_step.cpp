#include "verification/whole_step.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>

#include "base/table.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

double max_of(std::span<const double> devices) {
  return *std::max_element(devices.begin(), devices.end());
}

// One phase of a layer and step: parts that each device runs without waiting for another.
class Phase {
 public:
  Phase(std::size_t devices) : device_s_(devices, 0.0) {}
  void add(const Cube<double>& part_s, std::size_t step, std::size_t layer) {
    if (part_s.planes() == 0) return;
    const auto devices = part_s.row(step, layer);
    for (std::size_t d = 0; d < device_s_.size(); ++d) device_s_[d] += devices[d];
  }
  double max_s() const { return max_of(device_s_); }
  double waiting_s() const { return max_s() - mean(device_s_); }

 private:
  std::vector<double> device_s_;
};

// Seconds of one step, by share; their sum is the step's time.
class StepSum {
 public:
  StepSum(const MappingReplay& replay, const Cube<double>& experts_s, const StepSetting& setting)
      : replay_(replay), experts_s_(experts_s), setting_(setting), devices_(experts_s.columns()) {}

  StepShares of(std::size_t step) const {
    StepShares sum;
    const std::size_t layers = experts_s_.rows();
    double attention_waiting_s = 0.0;
    for (std::size_t layer = 0; layer < layers; ++layer) {
      add_attention(step, layer, sum, attention_waiting_s);
      add_experts(step, layer, sum);
    }
    const double scale = static_cast<double>(setting_.moe_layers) / static_cast<double>(layers);
    StepShares all{sum.attention_s,
                   scale * sum.experts_s,
                   scale * sum.shared_s,
                   scale * sum.exchange_s,
                   scale * sum.waiting_s + attention_waiting_s,
                   0.0};
    for (const auto& [part, times] : {std::pair{StepPart::DenseFfn, setting_.dense_layers}, {StepPart::Head, 1}}) {
      Phase phase(devices_);
      phase.add(replay_.part_s[index_of(part)], step, 0);
      all.waiting_s += static_cast<double>(times) * phase.waiting_s();
      all.tail_s += static_cast<double>(times) * (phase.max_s() - phase.waiting_s());
    }
    return all;
  }

 private:
  void add_attention(std::size_t step, std::size_t layer, StepShares& sum, double& waiting_s) const {
    Phase phase(devices_);
    for (const StepPart part : attention_parts) phase.add(replay_.part_s[index_of(part)], step, layer);
    const double layers = attention_layers(layer);
    sum.attention_s += layers * (phase.max_s() - phase.waiting_s());
    waiting_s += layers * phase.waiting_s();
  }

  // Reports of before they were told apart count all in proportion.
  double attention_layers(std::size_t layer) const {
    if (!setting_.attention_layers.empty()) return setting_.attention_layers[layer];
    return static_cast<double>(setting_.moe_layers + setting_.dense_layers) / static_cast<double>(experts_s_.rows());
  }

  void add_experts(std::size_t step, std::size_t layer, StepShares& sum) const {
    const Cube<double>& shared_s = replay_.part_s[index_of(StepPart::SharedExperts)];
    Phase phase(devices_);
    phase.add(experts_s_, step, layer);
    phase.add(shared_s, step, layer);
    const double own_shared_s = shared_s.planes() == 0 ? 0.0 : mean(shared_s.row(step, layer));
    sum.shared_s += own_shared_s;
    sum.experts_s += mean(experts_s_.row(step, layer));
    if (std::isnan(replay_.layer_s(step, layer))) {
      sum.waiting_s += phase.waiting_s();
      if (!std::isnan(setting_.exchange_fixed_s))
        sum.exchange_s += setting_.exchange_fixed_s + setting_.exchange_row_s * replay_.most_rows(step, layer);
      return;
    }
    phase.add(replay_.dispatch_s, step, layer);
    sum.waiting_s += phase.waiting_s();
    sum.exchange_s += mean(replay_.dispatch_s.row(step, layer)) + max_of(replay_.combine_s.row(step, layer));
  }

  const MappingReplay& replay_;
  const Cube<double>& experts_s_;
  const StepSetting& setting_;
  std::size_t devices_;
};

// [request] mean time of a token over so many steps that follow each other, from each step that has enough behind it.
std::vector<double> request_times(const std::vector<double>& step_s, std::size_t tokens) {
  const std::size_t length = std::min(tokens, step_s.size());
  std::vector<double> requests;
  for (std::size_t first = 0; first + length <= step_s.size(); ++first)
    requests.push_back(mean(std::span(step_s).subspan(first, length)));
  return requests;
}

TimesPerToken compare(const std::vector<double>& times, const std::vector<double>& base, std::uint64_t seed) {
  return {mean(times),           quantile(times, 0.5),     quantile(times, 0.9),
          quantile(times, 0.99), mean(times) / mean(base), bootstrap_ratio(times, base, seed)};
}

StepShares mean_shares(const MappingReplay& replay, const StepSetting& setting) {
  const StepSum sum(replay, replay.compute_s, setting);
  const auto steps = static_cast<double>(replay.compute_s.planes());
  StepShares all;
  for (std::size_t step = 0; step < replay.compute_s.planes(); ++step) {
    const StepShares one = sum.of(step);
    for (double StepShares::*share : {&StepShares::attention_s, &StepShares::experts_s, &StepShares::shared_s,
                                      &StepShares::exchange_s, &StepShares::waiting_s, &StepShares::tail_s})
      all.*share += one.*share / steps;
  }
  return all;
}

WholeStep whole_step(const MappingReplay& replay, const VerificationReport& report, const std::vector<double>& base,
                     double balanced_s, std::uint64_t seed) {
  const StepSetting& setting = *report.whole_step;
  WholeStep result;
  result.name = replay.name;
  result.step_s = whole_step_times(replay, replay.compute_s, setting);
  result.step = compare(result.step_s, base, seed);
  if (setting.output_tokens > 0)
    result.output =
        compare(request_times(result.step_s, setting.output_tokens), request_times(base, setting.output_tokens), seed);
  result.shares = mean_shares(replay, setting);
  const std::vector<double> predicted = whole_step_times(replay, replay.predicted_s, setting);
  result.predicted_s = mean(predicted);
  std::vector<double> errors;
  for (std::size_t step = 0; step < predicted.size(); ++step)
    errors.push_back(std::fabs(predicted[step] / result.step_s[step] - 1.0));
  result.median_error = median(errors);
  result.above_balanced = result.step.mean_s / balanced_s - 1.0;
  return result;
}

// Four digits, so that a step of a second doesn't make the table wider.
std::string milliseconds(double seconds) {
  const double ms = seconds * 1e3;
  return fmt::format("{:.{}f}", ms, ms < 10.0 ? 3 : ms < 100.0 ? 2 : ms < 1000.0 ? 1 : 0);
}

std::vector<std::string> times_row(const std::string& name, const TimesPerToken& times, bool is_first) {
  return {name,
          milliseconds(times.mean_s),
          fmt::format("{:.3f}", times.relative),
          is_first ? "-" : fmt::format("{:.3f} - {:.3f}", times.interval.low, times.interval.high),
          milliseconds(times.p50_s),
          milliseconds(times.p90_s),
          milliseconds(times.p99_s)};
}

std::string sources(const VerificationReport& report) {
  const StepSetting& setting = *report.whole_step;
  std::string text = fmt::format("Whole decoder steps: {} tokens a step, ", report.tokens_per_step);
  text += setting.context > 0 ? fmt::format("{} tokens in each sequence's cache", setting.context)
                              : std::string("attention itself not measured");
  text += fmt::format("; all but the experts: {}; ", setting.rest);
  if (has_whole_layers(report))
    text += "exchange: measured";
  else if (std::isnan(setting.exchange_fixed_s))
    text += "exchange: not counted";
  else
    text += fmt::format("exchange: composed, {:.3g} us a layer and {:.3g} ns for each row of the device that gets most",
                        setting.exchange_fixed_s * 1e6, setting.exchange_row_s * 1e9);
  const std::size_t replayed = report.layer_ids.size();
  if (replayed < setting.moe_layers)
    text += fmt::format("; {} of {} MoE layers replayed, the others in proportion", replayed, setting.moe_layers);
  if (setting.dense_layers > 0) text += fmt::format("; {} without experts", counted(setting.dense_layers, "layer"));
  return text +
         ". A step is composed of its parts: at each barrier all wait for the slowest device. No queueing, no "
         "sampling: this is not the latency of serving.";
}

}  // namespace

std::vector<double> whole_step_times(const MappingReplay& replay, const Cube<double>& experts_s,
                                     const StepSetting& setting) {
  const StepSum sum(replay, experts_s, setting);
  std::vector<double> steps;
  for (std::size_t step = 0; step < experts_s.planes(); ++step) steps.push_back(sum.of(step).sum_s());
  return steps;
}

std::vector<WholeStep> whole_steps(const VerificationReport& report, std::uint64_t seed) {
  const auto times_of = [&](const MappingReplay& replay) {
    return whole_step_times(replay, replay.compute_s, *report.whole_step);
  };
  const std::vector<double> base = times_of(report.mappings.front());
  const double balanced_s = mean(times_of(report.balanced.front()));
  std::vector<WholeStep> steps;
  for (const MappingReplay& replay : report.mappings)
    steps.push_back(whole_step(replay, report, base, balanced_s, seed));
  steps.push_back(whole_step(report.balanced.front(), report, base, balanced_s, seed));
  return steps;
}

std::string whole_step_table(const VerificationReport& report, const std::vector<WholeStep>& steps) {
  const std::string versus = "vs " + steps.front().name;
  std::vector<Table::Column> columns{{"mapping", ""},  {"TPOT", "ms"},   {versus, "ratio"}, {"95 % interval", "ratio"},
                                     {"p50", "ms", 1}, {"p90", "ms", 2}, {"p99", "ms", 3}};
  Table outputs(columns);
  columns.push_back({"over bal.", "%", 4});
  Table times(columns);
  Table shares({{"mapping", ""},
                {"experts", "%"},
                {"exchange", "%"},
                {"attention", "%"},
                {"waiting", "%"},
                {"shared", "%", 2},
                {"rest", "%", 1},
                {"error", "%"}});
  for (std::size_t m = 0; m < steps.size(); ++m) {
    const WholeStep& s = steps[m];
    const auto share = [&](double seconds) { return fmt::format("{:.1f}", 100.0 * seconds / s.shares.sum_s()); };
    std::vector<std::string> row = times_row(s.name, s.step, m == 0);
    row.push_back(fmt::format("{:.1f}", 100.0 * s.above_balanced));
    times.add_row(row);
    outputs.add_row(times_row(s.name, s.output, m == 0));
    shares.add_row({s.name, share(s.shares.experts_s), share(s.shares.exchange_s), share(s.shares.attention_s),
                    share(s.shares.waiting_s), share(s.shares.shared_s), share(s.shares.tail_s),
                    fmt::format("{:.1f}", 100.0 * s.median_error)});
  }
  std::string text = wrap(sources(report)) + "\n" + times.to_string();
  if (report.whole_step->output_tokens > 0)
    text += fmt::format("\nA token of a request's {} (steps in order):\n", report.whole_step->output_tokens) +
            outputs.to_string();
  text +=
      "\nShares of the mean step (rest: head, layers without experts), and how far the\n"
      "experts as predicted put steps wrong:\n" +
      shares.to_string();
  text += wrap(fmt::format(
      "{}: each step's active experts, tiles and tokens spread over the devices by their speeds, evenly over a "
      "device's experts: what an even spread reaches, not a bound",
      force_balanced_name));
  return text + "\n";
}

}  // namespace gem
