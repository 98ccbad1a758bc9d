#include "profile/summary.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <utility>

#include "base/statistics.hpp"
#include "base/table.hpp"
#include "base/text.hpp"
#include "device/device_kind.hpp"
#include "model/profile_doubts.hpp"
#include "model/shared_time.hpp"
#include "profile/stopping.hpp"

namespace gem {
namespace {

// The best pair of devices, and the worst where there are several.
std::string exchange_line(const PairExchange& exchange) {
  struct Pair {
    double value;
    std::size_t a, b;
  };
  const auto first_by = [](const Matrix<double>& values, auto before) {
    Pair found{values(0, 1), 0, 1};
    for (std::size_t a = 0; a < values.rows(); ++a)
      for (std::size_t b = a + 1; b < values.columns(); ++b)
        if (before(values(a, b), found.value)) found = {values(a, b), a, b};
    return found;
  };
  const Pair soonest = first_by(exchange.latency_s, std::less<>());
  const Pair fastest = first_by(exchange.bytes_per_s, std::greater<>());
  std::string text = fmt::format("exchange of two devices by {}, both ways at once: {}, {:.3g} GB/s each way\n",
                                 exchange.transport, format_seconds(soonest.value), 1e-9 * fastest.value);
  if (exchange.latency_s.rows() == 2) return text;
  const Pair latest = first_by(exchange.latency_s, std::greater<>());
  const Pair slowest = first_by(exchange.bytes_per_s, std::less<>());
  return text + fmt::format("at worst: {} (devices {} and {}), {:.3g} GB/s (devices {} and {})\n",
                            format_seconds(latest.value), latest.a, latest.b, 1e-9 * slowest.value, slowest.a,
                            slowest.b);
}

// What the listed devices are and where: a line for all of one name on one host.
std::string name_lines(const LatencyProfile& profile, std::vector<std::size_t> listed) {
  std::ranges::sort(listed);
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> numbers;
  for (const std::size_t d : listed)
    numbers[{profile.devices[d].hostname, profile.devices[d].name}].push_back(fmt::format("{}", d));
  std::string lines;
  for (const auto& [place, devices] : numbers)
    lines += wrap((devices.size() == 1 ? "device " : "devices ") + join(devices) + ": " + place.second +
                  (place.first.empty() ? "" : " on " + place.first)) +
             "\n";
  return lines;
}

// At which pace it was measured, and what "throttled" means then.
std::string pace_lines(const LatencyProfile& profile) {
  if (profile.pace.empty()) return "";
  const double clock_hz = mean(profile.serving_clock_hz);
  std::string text = "pace: between samples the devices did what they do in a step";
  if (std::isfinite(clock_hz))
    text += fmt::format("; throttled: a clock below that of serving ({:.2f} GHz in the mean)", clock_hz * 1e-9);
  return wrap(text) + "\n";
}

// What "unsettled" means and what to do, where there is any.
std::string unsettled_lines(const LatencyProfile& profile, const std::vector<DeviceSummary>& summaries) {
  if (std::ranges::all_of(summaries, [](const DeviceSummary& summary) { return summary.unsettled == 0; })) return "";
  const DeviceKind* kind = find_device_kind(profile.device_kind);
  const std::string free = kind == nullptr || kind->disturbed.empty() ? "" : ", or free " + kind->disturbed;
  return wrap(fmt::format("unsettled: time or samples of a point ended before its median was known to {}; raise {}{}",
                          option_name(&StoppingRule::confidence_width), option_name(&StoppingRule::max_time_s), free)) +
         "\n";
}

}  // namespace

std::string device_table(const LatencyProfile& profile, std::size_t most_rows) {
  const std::vector<DeviceSummary> summaries = summarize(profile);
  std::vector<std::size_t> order(summaries.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto faster = [&](std::size_t a, std::size_t b) {
    return summaries[a].relative_speed > summaries[b].relative_speed;
  };
  const std::size_t slowest = *std::max_element(order.begin(), order.end(), faster);
  std::string left_out;
  if (order.size() > most_rows) {
    std::stable_sort(order.begin(), order.end(), faster);
    left_out = fmt::format("{} devices between the fastest and the slowest are not listed\n", order.size() - most_rows);
    order.erase(order.begin() + static_cast<std::ptrdiff_t>(most_rows / 2),
                order.end() - static_cast<std::ptrdiff_t>(most_rows - most_rows / 2));
  }

  Table table({{"device", ""},
               {"rank", "", 1},
               {"speed", "fastest = 1"},
               {"noise", "%"},
               {"unsettled", "points"},
               {"throttled", "points"},
               {"drift", "%", 2},
               {"", ""}});
  for (std::size_t d : order) {
    const DeviceSummary& summary = summaries[d];
    table.add_row({fmt::format("{}", d), fmt::format("{}", profile.devices[d].rank),
                   fmt::format("{:.3f}", summary.relative_speed), fmt::format("{:.2f}", 100.0 * summary.noise),
                   fmt::format("{}", summary.unsettled), fmt::format("{}", summary.throttled),
                   fmt::format("{:+.2f}", 100.0 * summary.drift),
                   d == slowest && summaries.size() > 1 ? "slowest" : ""});
  }
  std::string text = table.to_string() + left_out + name_lines(profile, order) + program_line(profile.program) +
                     pace_lines(profile) + unsettled_lines(profile, summaries);
  if (const LoadCosts& rule = profile.rule; !rule.is_plain()) {
    text += fmt::format("skew: a row of a last tile costs {}", format_seconds(rule.row_s));
    std::vector<std::string> bends;
    for (const LoadCosts::Bend& bend : rule.bends)
      bends.push_back(fmt::format("{} (+{})", bend.tiles, format_seconds(bend.tile_s)));
    text += (bends.empty() ? "" : "; an expert's tiles more beyond " + join(bends)) + "\n";
  }
  if (summaries.size() > 1)
    text += fmt::format("spread: the slowest takes {:.1f} % longer than the fastest (over the heavy loads)\n",
                        100.0 * (1.0 / summaries[slowest].relative_speed - 1.0));
  if (profile.topology.node_count() > 1) text += describe_topology(profile.topology);
  if (!profile.exchange.empty()) text += exchange_line(profile.exchange);
  return text + exchange_law_table(profile.exchange_law) + shared_time_table(profile) +
         warning_lines(doubts_of(profile));
}

std::vector<JsonRecord> regime_records(const LatencyProfile& profile) {
  std::vector<JsonRecord> regimes;
  std::size_t next = 0;
  for (const TileRegime& regime : profile.regimes) {
    std::vector<JsonRecord> points;
    for (std::size_t i = 0; i < regime.point_count; ++i, ++next) {
      const LoadPoint& point = profile.regime_points[next];
      points.push_back(JsonRecord()
                           .add("active_experts", point.active_experts)
                           .add("tiles", point.tiles)
                           .add("tokens", point.tokens));
      std::vector<double> median_s;
      for (std::size_t d = 0; d < profile.regime_median_s.rows(); ++d)
        median_s.push_back(profile.regime_median_s(d, next));
      if (!median_s.empty()) points.back().add("median_s", median_s);
    }
    regimes.push_back(JsonRecord()
                          .add("rows_from", regime.rows_from)
                          .add("rows_to", regime.rows_to)
                          .add("tile_tokens", regime.tile_tokens)
                          .add("points", points));
  }
  return regimes;
}

namespace {

JsonRecord topology_record(const Topology& topology) {
  JsonRecord record;
  record.add("source", topology.source).add("node_of_device", topology.node_of);
  if (topology.has_links())
    for (const auto& [name, link] : {std::pair{"inside", topology.inside()}, std::pair{"across", topology.across()}})
      record.add(name, JsonRecord().add("latency_s", link.latency_s).add("bytes_per_s", link.bytes_per_s));
  return record;
}

}  // namespace

std::string program_line(const DeviceProgram& program, const std::string& what) {
  if (program.empty()) return "";
  return wrap(what + ": " + program.command + "; kernel: " + program.kernel + "; " +
              (program.tile_rule.empty() ? "it doesn't say its tiles" : "tiles that it says: " + program.tile_rule)) +
         "\n";
}

JsonRecord program_record(const DeviceProgram& program) {
  return JsonRecord().add("command", program.command).add("kernel", program.kernel).add("tile_rule", program.tile_rule);
}

JsonRecord profile_record(const LatencyProfile& profile) {
  const std::vector<DeviceSummary> summaries = summarize(profile);
  std::vector<JsonRecord> devices;
  double slowest = 1.0;
  for (std::size_t d = 0; d < summaries.size(); ++d) {
    const DeviceSummary& summary = summaries[d];
    const DeviceDescription& device = profile.devices[d];
    slowest = std::min(slowest, summary.relative_speed);
    devices.push_back(JsonRecord()
                          .add("device", d)
                          .add("rank", device.rank)
                          .add("hostname", device.hostname)
                          .add("name", device.name)
                          .add("uuid", device.uuid)
                          .add("emulated_slowdown", device.emulated_slowdown)
                          .add("relative_speed", summary.relative_speed)
                          .add("noise", summary.noise)
                          .add("unsettled_points", summary.unsettled)
                          .add("throttled_points", summary.throttled)
                          .add("drift", summary.drift));
  }
  std::vector<std::string> doubts;
  for (const ProfileDoubt& doubt : doubts_of(profile)) doubts.push_back(doubt.sentence);
  JsonRecord record;
  record.add("model", profile.model)
      .add("device_kind", profile.device_kind)
      .add("weight_dtype", profile.weight_dtype)
      .add("tile_tokens", profile.tile_tokens)
      .add("experts_per_device", profile.experts_per_device)
      .add("points", profile.points.size())
      .add("devices", devices)
      .add("pace", profile.pace.empty() ? "busy" : profile.pace)
      .add("serving_clock_hz", profile.serving_clock_hz)
      .add("spread", 1.0 / slowest - 1.0)
      .add("skew_row_s", profile.rule.row_s)
      .add("doubts", doubts);
  if (!profile.program.empty()) record.add("device_program", program_record(profile.program));
  if (!profile.regimes.empty()) record.add("regimes", regime_records(profile));
  if (!profile.topology.empty()) record.add("topology", topology_record(profile.topology));
  if (!profile.exchange.empty())
    record.add("exchange", JsonRecord()
                               .add("transport", profile.exchange.transport)
                               .add("latency_s", profile.exchange.latency_s)
                               .add("bytes_per_s", profile.exchange.bytes_per_s));
  std::vector<JsonRecord> laws;
  for (const ExchangeLaw& law : profile.exchange_law)
    laws.push_back(JsonRecord()
                       .add("tokens", static_cast<std::size_t>(law.tokens))
                       .add("mean_s", law.mean_s)
                       .add("fixed_s", law.fixed_s)
                       .add("row_s", law.row_s)
                       .add("explained", law.explained));
  if (!laws.empty()) record.add("exchange_law", laws);
  if (!profile.shared_tokens.empty())
    record.add("shared_experts",
               JsonRecord().add("tokens_of_device", profile.shared_tokens).add("median_s", profile.shared_s));
  return record;
}

}  // namespace gem
