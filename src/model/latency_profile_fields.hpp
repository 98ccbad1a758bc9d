#pragma once

#include <string>

#include "base/field.hpp"
#include "model/device_fields.hpp"
#include "model/latency_profile.hpp"
#include "model/shared_fields.hpp"

namespace gem {

/// The fields of `gem.profile`. An unfinished one has NaN where nothing was measured yet.
template <ConstOr<LatencyProfile> Profile, class Visit>
void visit_fields(Profile& profile, Visit&& visit) {
  // A new member doesn't compile until it has a name here, and then a line below.
  auto& [model, device_kind, weight_dtype, expert, tile_tokens, experts_per_device, rule, devices, points, median_s,
         p95_s, samples_s, settled, sm_clock_hz, power_w, temperature_c, throttle_reasons, drift, exchange,
         exchange_law, topology, pace, serving_clock_hz, regimes, regime_points, regime_median_s, shared_tokens,
         shared_s, program] = profile;
  auto& [hidden_size, intermediate_size] = expert;
  auto& [last_tile_rows, row_s, bends] = rule;
  auto& [transport, exchange_latency_s, bytes_per_s] = exchange;
  auto& [topology_source, node_of, links] = topology;
  static_cast<void>(device_kind);  // sent with the devices

  constexpr double greatest = 2147483647.0;  // of what must fit an i32
  constexpr ValueRule load{.least = 1, .greatest = static_cast<double>(greatest_load)};
  constexpr ValueRule latency{.least = 1e-9, .greatest = 1e6, .or_unknown = true};  // the search counts nanoseconds
  constexpr ValueRule cost{.least = 0, .greatest = 1};
  constexpr ValueRule any_or_unknown{.or_unknown = true};

  visit(model_field, model);
  visit_devices(devices, Presence::Always, visit);
  visit(Field{.name = "device_kind",
              .presence = Presence::OrDefault,
              .planned = true,
              .meaning = "\"cuda\", \"host\", \"simulated\" or \"command\""},
        DeviceKindOf<Profile>{&profile});
  visit(Field{.name = "weight_dtype",
              .presence = Presence::OrDefault,
              .planned = true,
              .meaning = "\"bf16\", \"f32\" or \"fp8\"; without it bf16"},
        weight_dtype);
  visit(Field{.name = "hidden_size",
              .rule = {.least = 1, .greatest = greatest},
              .presence = Presence::OrEmpty,
              .planned = true,
              .meaning = "columns of an expert's input"},
        hidden_size);
  visit(Field{.name = "intermediate_size",
              .rule = {.least = 1, .greatest = greatest},
              .presence = Presence::OrEmpty,
              .planned = true,
              .meaning = "rows of an expert's gate and up matrices"},
        intermediate_size);
  visit(Field{.name = "tile_tokens",
              .unit = "token",
              .rule = {.least = 1, .greatest = greatest},
              .planned = true,
              .meaning = "rows that the kernel computes together"},
        tile_tokens);
  visit(Field{.name = "experts_per_device",
              .rule = {.least = 1, .greatest = greatest},
              .presence = Presence::OrEmpty,
              .planned = true,
              .meaning = "most experts that are active on a device; without it, the most of /points/active_experts"},
        experts_per_device);
  visit(Field{.name = "/points/tiles",
              .unit = "tile",
              .axes = "point",
              .rule = load,
              .planned = true,
              .meaning = "load of each point: tiles of all experts"},
        Column(points, &LoadPoint::tiles));
  visit(Field{.name = "/points/active_experts",
              .unit = "expert",
              .axes = "point",
              .rule = load,
              .planned = true,
              .meaning = "load of each point: experts with a token"},
        Column(points, &LoadPoint::active_experts));
  visit(Field{.name = "/points/tokens",
              .unit = "token",
              .axes = "point",
              .rule = load,
              .planned = true,
              .meaning = "load of each point: rows before they are filled up to tiles"},
        Column(points, &LoadPoint::tokens));

  visit(Field{.name = "/latency/median",
              .unit = "s",
              .axes = "device, point",
              .rule = latency,
              .meaning = "median of the samples"},
        median_s);
  visit(Field{.name = "/latency/p95",
              .unit = "s",
              .axes = "device, point",
              .rule = latency,
              .meaning = "95th percentile of the samples"},
        p95_s);
  visit(Field{.name = "/latency/samples",
              .unit = "s",
              .axes = "device, point, sample",
              .rule = {.least = above_zero, .or_unknown = true},
              .presence = Presence::OrDefault,
              .meaning = "each measurement; NaN where a device has fewer"},
        samples_s);
  visit(Field{.name = "/latency/settled",
              .axes = "device, point",
              .presence = Presence::OrDefault,
              .otherwise = 1,
              .meaning = "0 where time or number of samples ran out before the median was certain enough, else 1"},
        settled);
  visit(Field{.name = "/latency/drift",
              .axes = "device",
              .rule = any_or_unknown,
              .presence = Presence::OrDefault,
              .meaning = "first point measured again at the end, relative to the first time, minus 1"},
        drift);
  visit(Field{.name = "/telemetry/sm_clock_hz",
              .unit = "Hz",
              .axes = "device, point",
              .rule = any_or_unknown,
              .presence = Presence::OrDefault,
              .meaning = "clock after the last sample"},
        sm_clock_hz);
  visit(Field{.name = "/telemetry/power_w",
              .unit = "W",
              .axes = "device, point",
              .rule = any_or_unknown,
              .presence = Presence::OrDefault,
              .meaning = "power after the last sample"},
        power_w);
  visit(Field{.name = "/telemetry/temperature_c",
              .unit = "degC",
              .axes = "device, point",
              .rule = any_or_unknown,
              .presence = Presence::OrDefault,
              .meaning = "temperature after the last sample"},
        temperature_c);
  visit(Field{.name = "/telemetry/throttle_reasons",
              .axes = "device, point",
              .presence = Presence::OrDefault,
              .otherwise = 0,
              .meaning = "why the clock was held down, bits of NVML; 0 if it wasn't"},
        throttle_reasons);

  visit(Field{.name = "last_tile_rows",
              .unit = "token",
              .rule = {.least = 0, .greatest = 1 << 20},
              .presence = Presence::OrDefault,
              .meaning = "rows in each active expert's last tile at the points; each further one costs /rule/row"},
        last_tile_rows);
  visit(Field{.name = "/rule/row",
              .unit = "s",
              .axes = "one",
              .rule = cost,
              .presence = Presence::OrDefault,
              .otherwise = 0,
              .meaning = "time of each row of a last tile beyond last_tile_rows; each one less saves it"},
        row_s);
  visit(Field{.name = "/rule/bend_tiles",
              .unit = "tile",
              .axes = "bend",
              .rule = {.least = 1, .greatest = 64},
              .presence = Presence::OrEmpty,
              .meaning = "each tile of an expert beyond these costs /rule/surplus_tile"},
        Column(bends, &LoadCosts::Bend::tiles));
  visit(Field{.name = "/rule/surplus_tile",
              .unit = "s",
              .axes = "bend",
              .rule = cost,
              .presence = Presence::OrEmpty,
              .meaning = "what these tiles cost, beside what evenly spread ones do"},
        Column(bends, &LoadCosts::Bend::tile_s));

  visit(Field{.name = "exchange_transport",
              .presence = Presence::OrEmpty,
              .meaning = "\"nccl\" or \"mpi\"; only where the exchange was measured"},
        transport);
  visit(Field{.name = "/exchange/latency",
              .unit = "s",
              .axes = "device, device",
              .rule = {.least = above_zero, .or_unknown = true},
              .presence = Presence::OrEmpty,
              .meaning = "time in which two devices send each other a few bytes; NaN for a device with itself"},
        exchange_latency_s);
  visit(Field{.name = "/exchange/bandwidth",
              .unit = "byte/s",
              .axes = "device, device",
              .rule = {.least = above_zero, .or_unknown = true},
              .presence = Presence::OrEmpty,
              .meaning = "each way, of messages so large that latency doesn't count; NaN likewise"},
        bytes_per_s);
  static_cast<void>([](const ExchangeLaw& law) {
    [[maybe_unused]] const auto& [law_tokens, mean_s, fixed_s, law_row_s, explained] = law;
  });
  visit(Field{.name = "/exchange/law/tokens",
              .unit = "token",
              .axes = "law",
              .rule = {.least = 1, .greatest = static_cast<double>(greatest_load), .distinct = true},
              .presence = Presence::OrEmpty,
              .meaning = "dispatch and combine of a whole layer were measured in steps of so many tokens, ascending"},
        Column(exchange_law, &ExchangeLaw::tokens));
  visit(Field{.name = "/exchange/law/mean",
              .unit = "s",
              .axes = "law",
              .rule = {.least = 0, .greatest = 1e6},
              .presence = Presence::OrEmpty,
              .meaning = "mean time of dispatch and combine together"},
        Column(exchange_law, &ExchangeLaw::mean_s));
  visit(Field{.name = "/exchange/law/fixed",
              .unit = "s",
              .axes = "law",
              .rule = {.least = -1e6, .greatest = 1e6},
              .presence = Presence::OrEmpty,
              .meaning = "of a straight line through these times, what they take whatever is sent"},
        Column(exchange_law, &ExchangeLaw::fixed_s));
  visit(Field{.name = "/exchange/law/row",
              .unit = "s",
              .axes = "law",
              .rule = {.least = -1, .greatest = 1},
              .presence = Presence::OrEmpty,
              .meaning = "of the same line, for each row of the device that gets most"},
        Column(exchange_law, &ExchangeLaw::row_s));
  visit(Field{.name = "/exchange/law/explained",
              .axes = "law",
              .rule = {.least = 0, .greatest = 1},
              .presence = Presence::OrEmpty,
              .meaning = "part of the variance that the line explains"},
        Column(exchange_law, &ExchangeLaw::explained));

  static_cast<void>([](const Link& link) { [[maybe_unused]] const auto& [latency_s, bandwidth_bytes_per_s] = link; });
  visit(Field{.name = "topology_source",
              .rule = {.words = "mpi, stated, measured"},
              .presence = Presence::OrEmpty,
              .meaning = "who says which devices share a node: MPI, the user, or, of the links, what was measured"},
        topology_source);
  visit(Field{.name = "/topology/node",
              .axes = "device",
              .rule = {.least = 0, .index_of = "device"},
              .presence = Presence::OrEmpty,
              .meaning = "node (host or NVLink domain) of each device, numbered from 0 without gaps"},
        node_of);
  visit(Field{.name = "/topology/latency",
              .unit = "s",
              .axes = "link",
              .rule = {.least = 0, .greatest = 1e6},
              .presence = Presence::OrEmpty,
              .meaning = "of a few bytes inside a node, then across nodes"},
        Column(links, &Link::latency_s));
  visit(Field{.name = "/topology/bandwidth",
              .unit = "byte/s",
              .axes = "link",
              .rule = {.least = above_zero},
              .presence = Presence::OrEmpty,
              .meaning = "into one device, from its own node, then from other nodes"},
        Column(links, &Link::bytes_per_s));

  visit(Field{.name = "pace",
              .rule = {.words = "serving"},
              .presence = Presence::OrEmpty,
              .planned = true,
              .meaning =
                  "\"serving\": between samples devices did what they do in a step; without it they had experts to "
                  "run all the time, or nothing to do"},
        pace);
  visit(Field{.name = "/telemetry/serving_clock_hz",
              .unit = "Hz",
              .axes = "device",
              .rule = any_or_unknown,
              .presence = Presence::OrEmpty,
              .meaning = "clock at the pace of serving, before the sweep: a point is throttled where it is below"},
        serving_clock_hz);

  // Kernels that change their tile with the load have a surface for each tile.
  static_cast<void>([](const TileRegime& regime) {
    [[maybe_unused]] const auto& [rows_from, rows_to, regime_tile_tokens, point_count] = regime;
  });
  visit(Field{.name = "/regimes/rows_from",
              .unit = "token",
              .axes = "regime",
              .rule = load,
              .presence = Presence::OrEmpty,
              .planned = true,
              .meaning = "for kernels that change their tile with the load: fewest rows of a device with this tile"},
        Column(regimes, &TileRegime::rows_from));
  visit(Field{.name = "/regimes/rows_to",
              .unit = "token",
              .axes = "regime",
              .rule = load,
              .presence = Presence::OrEmpty,
              .planned = true,
              .meaning = "most rows of a device with this tile"},
        Column(regimes, &TileRegime::rows_to));
  visit(Field{.name = "/regimes/tile_tokens",
              .unit = "token",
              .axes = "regime",
              .rule = {.least = 1, .greatest = greatest},
              .presence = Presence::OrEmpty,
              .planned = true,
              .meaning = "rows that the kernel computes together then"},
        Column(regimes, &TileRegime::tile_tokens));
  visit(Field{.name = "/regimes/point_count",
              .axes = "regime",
              .rule = load,
              .presence = Presence::OrEmpty,
              .planned = true,
              .meaning = "how many of /regimes/points are this regime's; one regime's follow the other's"},
        Column(regimes, &TileRegime::point_count));
  visit(Field{.name = "/regimes/points/tiles",
              .unit = "tile",
              .axes = "regime point",
              .rule = load,
              .presence = Presence::OrEmpty,
              .planned = true,
              .meaning = "as /points/tiles, in the regime's tiles"},
        Column(regime_points, &LoadPoint::tiles));
  visit(Field{.name = "/regimes/points/active_experts",
              .unit = "expert",
              .axes = "regime point",
              .rule = load,
              .presence = Presence::OrEmpty,
              .planned = true,
              .meaning = "as /points/active_experts"},
        Column(regime_points, &LoadPoint::active_experts));
  visit(Field{.name = "/regimes/points/tokens",
              .unit = "token",
              .axes = "regime point",
              .rule = load,
              .presence = Presence::OrEmpty,
              .planned = true,
              .meaning = "as /points/tokens"},
        Column(regime_points, &LoadPoint::tokens));
  visit(Field{.name = "/regimes/latency/median",
              .unit = "s",
              .axes = "device, regime point",
              .rule = latency,
              .presence = Presence::OrEmpty,
              .meaning = "as /latency/median"},
        regime_median_s);
  visit(Field{.name = "/shared_experts/tokens",
              .unit = "token",
              .axes = "shared load",
              .rule = {.least = 1, .greatest = static_cast<double>(greatest_load), .distinct = true},
              .presence = Presence::OrEmpty,
              .meaning = "for models with shared experts: these were measured for so many tokens of one device, "
                         "ascending"},
        shared_tokens);
  visit(Field{.name = "/shared_experts/median",
              .unit = "s",
              .axes = "device, shared load",
              .rule = {.least = 1e-9, .greatest = 1e6},
              .presence = Presence::OrEmpty,
              .meaning = "median time of a device's shared experts, which it runs beside its routed ones"},
        shared_s);
  visit_device_program(program, visit);
}

}  // namespace gem
