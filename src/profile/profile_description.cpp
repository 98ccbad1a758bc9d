#include <fmt/format.h>
#include <algorithm>

#include "base/option.hpp"
#include "base/text.hpp"
#include "device/device_estimate.hpp"
#include "profile/profile_request.hpp"

namespace gem {
namespace {

// Seconds of a load's samples, as many as it takes until the rule is content in the usual case.
double samples_s(const ProfileRequest& request, const MeasurementOptions& measurement, double layer_s, double busy_s) {
  std::size_t samples = next_round(request.stopping, 0, layer_s);
  double overhead_s = 0.0;
  if (!measurement.busy_tokens.empty()) {
    // A GPU: its clock wavers, its cache is flushed, the stream is filled and emptied.
    samples *= 2;
    overhead_s = 2e-4 + busy_s;
  }
  if (measurement.paced) overhead_s = 2e-3;  // steps for a millisecond, and their pauses
  return static_cast<double>(samples + measurement.warm_up) * (layer_s + overhead_s);
}

/// Seconds of the whole job.
struct ExpectedTime {
  double usual_s = 0.0, longest_s = 0.0;  ///< the longest where every load takes all of its time
};

ExpectedTime expected_time(const ProfileRequest& request, const ProfileSetup& setup, const DeviceEstimate& estimate,
                           std::size_t rank_count) {
  const MeasurementOptions& measurement = setup.sweep.measurement;
  const std::size_t experts = setup.plan.experts_per_device, tile = setup.devices.tile_tokens;
  double launch_s = 0.0;
  if (!measurement.busy_tokens.empty())
    launch_s = estimate.layer_s(experts * ((measurement.busy_tokens.front() + tile - 1) / tile), experts);
  const auto busy_s = [&](std::size_t rows) {
    return static_cast<double>(busy_launches(measurement, rows)) * launch_s;
  };
  double measuring_s = 0.0;
  const LatencyProfile& plan = setup.plan;
  for (std::size_t load = 0; load < load_count(plan); ++load) {
    const LoadPoint& point =
        load < plan.points.size() ? plan.points[load] : plan.regime_points[regime_point_of(plan, load)];
    measuring_s += samples_s(
        request, measurement,
        estimate.layer_s(static_cast<std::size_t>(point.tiles), static_cast<std::size_t>(point.active_experts)),
        busy_s(static_cast<std::size_t>(point.tokens)));
  }
  const auto points = static_cast<double>(load_count(plan));
  const double loads = points + static_cast<double>(setup.sweep.rule_loads.size() + setup.shared.tokens.size());
  measuring_s *= loads / points;
  const double ranks_in_turn = measurement.take_turns ? static_cast<double>(rank_count) : 1.0;
  const auto placed = static_cast<double>(experts * measurement.layer_count);
  const double fixed_s = measurement.device_warm_up_s + estimate.placement_s() * placed;
  const double longest_s = std::max(measuring_s, loads * request.stopping.max_time_s);
  return {fixed_s + measuring_s * ranks_in_turn, fixed_s + longest_s * ranks_in_turn};
}

std::string describe_pace(const PacedStep& step) {
  std::string text = fmt::format("between samples: the mean step, {} of {} experts",
                                 counted(row_count(step.tokens), "row"), step.tokens.size());
  if (step.attention)
    text += fmt::format(", {} of {}", step.attention->context > 0 ? "attention" : "the products of attention",
                        counted(step.attention->tokens, "token"));
  return text + fmt::format(", {:.0f} % pauses", 100.0 * step.idle_share);
}

// Of GPUs that are kept busy because nothing else can be done.
std::string describe_missing_pace(const ProfileRequest& request, const ProfileSetup& setup) {
  if (request.pace || setup.pace == Pace::Serving || !paced_unless_told(request.devices)) return "";
  return wrap(fmt::format("note: busy GPUs are slower than serving ones, but what attention {} has is unknown; a CSV "
                          "file as {} can tell it (columns attention, query_heads and so on)",
                          setup.plan.model, option_name(&ProfileRequest::model))) +
         "\n";
}

std::string describe_regimes(const LatencyProfile& plan) {
  if (plan.regimes.empty()) return "";
  std::vector<std::string> tiles;
  for (const TileRegime& regime : plan.regimes)
    tiles.push_back(fmt::format("of {} for {} to {} rows of a device ({})", regime.tile_tokens, regime.rows_from,
                                regime.rows_to < greatest_load ? fmt::format("{}", regime.rows_to) : "all more",
                                counted(regime.point_count, "point")));
  return wrap("tiles change with the load: " + join(tiles)) + "\n";
}

// Where engines serve the model with other weights than are measured.
std::string about_weights(const ProfileSetup& setup) {
  const std::string why = why_other_weights(setup.devices, setup.served_dtype);
  if (why.empty()) return "";
  return wrap(fmt::format("note: this model is served with {} weights, but {}: {} is measured",
                          served_weights(setup.served_dtype), why, setup.plan.weight_dtype)) +
         "\n";
}

}  // namespace

std::string describe_plan(const ProfileRequest& request, const ProfileSetup& setup, std::size_t rank_count) {
  const LatencyProfile& plan = setup.plan;
  const auto most_tiles =
      std::ranges::max(plan.regimes.empty() ? plan.points : plan.regime_points, {}, &LoadPoint::tiles).tiles;
  std::string text = fmt::format(
      "Profile: {}, experts {}x{} {}{},\n    tiles of {} tokens, {} experts a device\n"
      "{} up to {} tiles on {}, {}\n",
      plan.model, plan.expert.hidden_size, plan.expert.intermediate_size, plan.weight_dtype,
      request.expert_shape.empty() ? "" : " (not the model's own)", plan.tile_tokens, plan.experts_per_device,
      counted(load_count(plan), "point"), most_tiles, counted(setup.device_count, setup.devices.kind + " device"),
      counted(rank_count, "rank"));
  text += describe_regimes(plan) + about_weights(setup);
  if (setup.device_count == 1) text += "note: one device alone; gem-map needs a profile of all that it maps to\n";
  const DeviceKind& kind = device_kind(setup.devices.kind);
  if (kind.is_virtual()) return text + "simulated: a stated model on a virtual clock, nothing is measured\n";

  if (!kind.measuring.last_tiles_filled)
    text += fmt::format(
        "{} rows in each active expert's last tile, the mean of {} loads{}\n", plan.rule.last_tile_rows,
        request.workloads.empty() ? "real" : "the workloads'",
        kind.measuring.kept_busy && setup.pace == Pace::Busy ? ";\nthe GPU is kept busy between samples" : "");
  if (setup.sweep.uneven_ways > 0)
    text += fmt::format("a point's tokens are spread unevenly, in {} ways in turn\n", setup.sweep.uneven_ways);
  text += describe_missing_pace(request, setup);
  if (setup.sweep.measurement.paced) text += wrap(describe_pace(*setup.sweep.measurement.paced)) + "\n";
  if (!setup.devices.command.empty())
    text += wrap("each rank starts: " + setup.devices.command +
                 (setup.devices.tile_rule.empty() ? "; it says in which tiles it works, or a probe finds them" : "")) +
            "\n";
  text += describe_topology(plan.topology);
  if (setup.exchange) text += "exchange: " + counted(rank_count * (rank_count - 1) / 2, "pair") + " of devices";
  if (setup.exchange) text += fmt::format(", and steps of {} tokens\n", fmt::join(setup.exchange_tokens, ", "));
  if (!setup.shared.tokens.empty())
    text += fmt::format("shared experts: {} tokens of a device\n", fmt::join(setup.shared.tokens, ", "));
  const DeviceEstimate estimate(setup.devices);
  const std::size_t experts = plan.experts_per_device * setup.sweep.measurement.layer_count;
  const ExpectedTime time = expected_time(request, setup, estimate, rank_count);
  // Of a program that has measured nothing yet no more is known.
  const std::string usual = kind.tells_tiles ? "at most" : format_duration(time.usual_s) + ", up to";
  return text +
         wrap(fmt::format("expected: {} {} where latencies are noisy ({} {:g}); {} of weights a rank ({} experts)",
                          usual, format_duration(time.longest_s), option_name(&StoppingRule::max_time_s),
                          request.stopping.max_time_s,
                          format_bytes(static_cast<double>(experts * estimate.expert_bytes())), experts)) +
         "\n";
}

}  // namespace gem
