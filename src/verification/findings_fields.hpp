#pragma once

#include <functional>
#include <string>
#include <type_traits>

#include "base/field.hpp"
#include "verification/findings.hpp"

namespace gem {

/// The fields of `gem.report` that are not read: what was found of the others, for readers that know only the file.
template <class Visit>
void visit_fields(const Findings& findings, Visit&& visit) {
  const auto column = [&](const std::string& name, const char* unit, const char* axes, const char* meaning,
                          const auto& rows, auto member) {
    visit(Field{.name = name, .unit = unit, .axes = axes, .presence = Presence::OrEmpty, .meaning = meaning},
          Column(rows, member));
  };
  column(
      "/waiting_s", "s", "mapping, step, layer, device", "from the end of a device's part to that of the slowest's",
      findings.waiting, [](const auto& waiting) -> const auto& { return waiting; });

  const auto summary = [&](const std::string& name, const char* unit, const char* meaning, auto member) {
    column("/summary/" + name, unit, "mapping", meaning, findings.summaries, member);
  };
  using Summary = MappingSummary;
  summary("straggler_s", "s", "mean over steps of sum over layers of the slowest device's time", &Summary::straggler_s);
  summary("predicted_s", "s", "the same, predicted", &Summary::predicted_s);
  summary("relative", "1", "straggler time relative to the first mapping's", &Summary::relative);
  summary("relative_low", "1", "95 % bootstrap interval of it over steps",
          [](const Summary& s) -> const double& { return s.interval.low; });
  summary("relative_high", "1", "likewise", [](const Summary& s) -> const double& { return s.interval.high; });
  summary("raw_relative", "1", "with the maximum over devices taken round by round, noise and all",
          &Summary::raw_relative);
  summary("layer_relative", "1", "whole layers relative to the first mapping's; NaN where none were timed",
          &Summary::layer_relative);
  summary("layer_relative_low", "1", "95 % bootstrap interval of it over steps",
          [](const Summary& s) -> const double& { return s.layer_interval.low; });
  summary("layer_relative_high", "1", "likewise",
          [](const Summary& s) -> const double& { return s.layer_interval.high; });
  summary("p50_s", "s", "quantile of the steps' straggler time", &Summary::p50_s);
  summary("p90_s", "s", "likewise", &Summary::p90_s);
  summary("p99_s", "s", "likewise", &Summary::p99_s);
  summary("imbalance", "1", "mean over steps and layers of maximum over mean of devices", &Summary::imbalance);
  summary("median_error", "1", "median over steps of |predicted / measured - 1|", &Summary::median_error);
  summary("dispatch_s", "s", "the mean device's step; NaN where the exchange wasn't timed", &Summary::dispatch_s);
  summary("compute_s", "s", "the mean device's step", &Summary::compute_s);
  summary("waiting_s", "s", "the mean device's step", &Summary::waiting_s);
  summary("combine_s", "s", "the mean device's step; NaN where the exchange wasn't timed", &Summary::combine_s);
  summary("waiting_share", "1", "waiting, of the time until the slowest device's part ends", &Summary::waiting_share);

  using Cost = std::remove_cvref_t<decltype(*findings.exchange)>;
  const auto exchange = [&](const char* name, const char* unit, const char* meaning, auto member) {
    if (findings.exchange)
      visit(Field{.name = name, .unit = unit, .axes = "one", .presence = Presence::OrEmpty, .meaning = meaning},
            (*findings.exchange).*member);
  };
  exchange("/exchange/fixed_s", "s", "of a layer, by a straight line through all", &Cost::fixed_s);
  exchange("/exchange/row_s", "s", "of each row of the device that gets most", &Cost::row_s);
  exchange("/exchange/explained", "1", "part of the variance that the line explains", &Cost::explained);

  const auto estimate = [&](const std::string& name, const char* unit, const char* meaning, auto member) {
    column("/step_estimate/" + name, unit, "mapping", meaning, findings.estimates, member);
  };
  estimate("moe_s", "s", "measured MoE layers of a step", &StepEstimate::moe_s);
  estimate("rest_s", "s", "the rest as stated", &StepEstimate::rest_s);
  estimate("step_s", "s", "both", &StepEstimate::step_s);
  estimate("relative", "1", "steps relative to the first mapping's", &StepEstimate::relative);
  estimate("relative_low", "1", "95 % bootstrap interval of it over steps", &StepEstimate::relative_low);
  estimate("relative_high", "1", "likewise", &StepEstimate::relative_high);

  const auto whole = [&](const std::string& name, const char* unit, const char* meaning, auto member,
                         const char* axes = "case") {
    column("/whole_step/" + name, unit, axes, meaning, findings.whole_steps, member);
  };
  whole("names", "1", "the mappings and, last, force-balanced", &WholeStep::name);
  whole("step_s", "s", "whole decoder steps", &WholeStep::step_s, "case, step");
  const auto times = [&](const std::string& prefix, const char* meaning, TimesPerToken WholeStep::*member) {
    const auto time = [&](const char* name, const char* unit, auto part) {
      whole(prefix + name, unit, meaning,
            [=](const WholeStep& step) -> const double& { return std::invoke(part, step.*member); });
    };
    time("mean_s", "s", &TimesPerToken::mean_s);
    time("p50_s", "s", &TimesPerToken::p50_s);
    time("p90_s", "s", &TimesPerToken::p90_s);
    time("p99_s", "s", &TimesPerToken::p99_s);
    time("relative", "1", &TimesPerToken::relative);
    time("relative_low", "1", [](const TimesPerToken& t) -> const double& { return t.interval.low; });
    time("relative_high", "1", [](const TimesPerToken& t) -> const double& { return t.interval.high; });
  };
  times("", "of steps; relative to the first mapping's, with a 95 % bootstrap interval", &WholeStep::step);
  times("output_", "the same of a token over the output of a request", &WholeStep::output);
  const auto share = [&](const char* name, const char* meaning, double StepShares::*member) {
    whole(std::string("shares/") + name, "s", meaning,
          [=](const WholeStep& step) -> const double& { return step.shares.*member; });
  };
  share("attention_s", "of the mean device's mean step: all before dispatch", &StepShares::attention_s);
  share("experts_s", "routed experts", &StepShares::experts_s);
  share("shared_s", "shared experts", &StepShares::shared_s);
  share("exchange_s", "dispatch and combine", &StepShares::exchange_s);
  share("waiting_s", "for the slowest device", &StepShares::waiting_s);
  share("tail_s", "layers without experts beside their attention, and the head", &StepShares::tail_s);
  whole("predicted_s", "s", "mean step with the experts' compute as predicted", &WholeStep::predicted_s);
  whole("median_error", "1", "median over steps of |predicted / measured - 1|", &WholeStep::median_error);
  whole("above_balanced", "1", "mean step relative to the force-balanced one's, minus 1", &WholeStep::above_balanced);
}

}  // namespace gem
