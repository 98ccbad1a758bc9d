#include "profile/latency_table.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <tuple>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/statistics.hpp"
#include "base/text.hpp"
#include "model/expert_slots.hpp"
#include "model/load_trace.hpp"

namespace gem {
namespace {

struct TimeColumn {
  const char* name;
  double second;
};
constexpr TimeColumn time_columns[] = {{"seconds", 1.0}, {"milliseconds", 1e-3}, {"microseconds", 1e-6}};

/// The lines of a CSV text by the names of its header.
class CsvTable {
 public:
  CsvTable(std::string_view text, const std::string& origin) : origin_(origin) {
    std::size_t number = 0;
    for (const std::string& raw : split(text, '\n')) {
      ++number;
      const std::string line = trim(raw);
      if (line.empty() || line[0] == '#') continue;
      std::vector<std::string> cells = split(line, ',');
      for (std::string& cell : cells) cell = trim(cell);
      if (header_.empty()) {
        header_ = cells;
      } else if (cells.size() != header_.size()) {
        throw DataError(fmt::format("{}, line {}: {} columns, but the header has {}", origin, number, cells.size(),
                                    header_.size()));
      } else {
        lines_.push_back({number, cells});
      }
    }
    if (lines_.empty()) throw DataError(origin + ": no latencies; expected a header and one line a load");
  }

  std::size_t size() const { return lines_.size(); }
  const std::vector<std::string>& header() const { return header_; }
  bool has(const std::string& column) const { return std::ranges::find(header_, column) != header_.end(); }

  const std::string& text(std::size_t line, const std::string& column) const {
    return lines_[line].cells[static_cast<std::size_t>(std::ranges::find(header_, column) - header_.begin())];
  }
  double number(std::size_t line, const std::string& column, double least) const {
    const std::string where = fmt::format("{}, line {}, {}", origin_, lines_[line].number, column);
    double value = 0.0;
    try {
      value = parse_number(text(line, column), where);
    } catch (const UsageError& error) {
      throw DataError(error.what());
    }
    if (!(value >= least) || value > static_cast<double>(greatest_load))
      throw DataError(fmt::format("{}: {:g} is out of range", where, value));
    return value;
  }
  std::int64_t count(std::size_t line, const std::string& column) const {
    return std::llround(number(line, column, 1.0));
  }
  void keep(const std::vector<std::size_t>& kept) {
    std::vector<Line> lines;
    for (const std::size_t line : kept) lines.push_back(lines_[line]);
    lines_ = lines;
  }

 private:
  struct Line {
    std::size_t number;
    std::vector<std::string> cells;
  };
  std::string origin_;
  std::vector<std::string> header_;
  std::vector<Line> lines_;
};

/// What the table calls what is needed of it.
class Columns {
 public:
  Columns(const CsvTable& table, const std::string& given, const std::string& origin) {
    const std::vector<std::string> names{"device",         "tokens",  "step_tokens",  "tiles",
                                         "active_experts", "seconds", "milliseconds", "microseconds"};
    for (const std::string& name : names)
      if (table.has(name)) of_[name] = name;
    if (table.has("moe_ep_size") && table.has("latency") && given.empty())  // AIConfigurator's, in ms
      of_ = {{"device", "device"}, {"step_tokens", "num_tokens"}, {"milliseconds", "latency"}};
    if (!given.empty())
      for (const std::string& pair : split(given, ',')) {
        const std::vector<std::string> sides = split(pair, '=');
        if (sides.size() != 2 || std::ranges::find(names, sides[0]) == names.end())
          throw UsageError(on_command_line("table-columns") + ": '" + pair + "' is not NAME=COLUMN, with a NAME of " +
                           join(names));
        if (!table.has(sides[1]))
          throw UsageError(fmt::format("{}: {} has no column '{}'; it has {}", on_command_line("table-columns"), origin,
                                       sides[1], join(table.header())));
        of_[sides[0]] = sides[1];
      }
    std::erase_if(of_, [&](const auto& entry) { return !table.has(entry.second); });
    for (const TimeColumn& time : time_columns)
      if (has(time.name) && !time_) time_ = time;
    if (!time_ || !(has("tokens") || has("step_tokens") || has("tiles")))
      throw UsageError(fmt::format(
          "{}: {} needs columns of loads (tokens, step_tokens or tiles) and of times (seconds, milliseconds or "
          "microseconds), but has {}; say which they are, e.g. {} tokens=batch_size,milliseconds=ms",
          on_command_line("from-table"), origin, join(table.header()), on_command_line("table-columns")));
  }
  bool has(const std::string& name) const { return of_.contains(name); }
  const std::string& operator[](const std::string& name) const { return of_.at(name); }
  double seconds(const CsvTable& table, std::size_t line) const {
    return table.number(line, of_.at(time_->name), 0.0) * time_->second;
  }

 private:
  std::map<std::string, std::string> of_;
  std::optional<TimeColumn> time_;
};

// Only the lines of the model's shape; of several distributions of load the evenest, as a profile's points are.
void keep_model(CsvTable& table, const LatencyTableOptions& options, const std::string& origin) {
  const std::size_t devices = max_slots(options.model.expert_count, options.experts_per_device);
  const std::map<std::string, std::size_t> shape{{"hidden_size", options.model.expert.hidden_size},
                                                 {"inter_size", options.model.expert.intermediate_size},
                                                 {"topk", options.model.top_k},
                                                 {"num_experts", options.model.expert_count},
                                                 {"moe_tp_size", 1},
                                                 {"moe_ep_size", devices}};
  for (const auto& [column, wanted] : shape) {
    if (!table.has(column)) continue;
    std::vector<std::size_t> kept;
    std::vector<std::string> found;
    for (std::size_t line = 0; line < table.size(); ++line) {
      if (static_cast<std::size_t>(table.count(line, column)) == wanted) kept.push_back(line);
      if (std::ranges::find(found, table.text(line, column)) == found.end()) found.push_back(table.text(line, column));
    }
    if (kept.empty())
      throw DataError(fmt::format("{}: no line has {} {}, as {} on {} has; it has {}", origin, column, wanted,
                                  options.model.name, counted(devices, "device"), join(found)));
    table.keep(kept);
  }
  if (!table.has("distribution")) return;
  for (const char* even : {"balanced", "uniform"}) {
    std::vector<std::size_t> kept;
    for (std::size_t line = 0; line < table.size(); ++line)
      if (table.text(line, "distribution") == even) kept.push_back(line);
    if (!kept.empty()) return table.keep(kept);
  }
}

// Tiles of so many rows spread evenly over experts.
std::int64_t even_tiles(std::int64_t tokens, std::int64_t experts, std::size_t tile_tokens) {
  const auto tiles = [&](std::int64_t rows) {
    return static_cast<std::int64_t>(
        tiles_of(static_cast<std::uint32_t>(rows), static_cast<std::uint32_t>(tile_tokens)));
  };
  const std::int64_t more = tokens % experts;
  return more * tiles(tokens / experts + 1) + (experts - more) * tiles(tokens / experts);
}

LoadPoint point_of(const CsvTable& table, std::size_t line, const Columns& columns,
                   const LatencyTableOptions& options) {
  const auto experts = static_cast<std::int64_t>(options.experts_per_device);
  const auto tile = static_cast<std::int64_t>(options.tile_tokens);
  LoadPoint point;
  if (columns.has("tiles")) {
    point.tiles = table.count(line, columns["tiles"]);
    point.tokens = columns.has("tokens") ? table.count(line, columns["tokens"]) : point.tiles * tile;
  } else if (columns.has("tokens")) {
    point.tokens = table.count(line, columns["tokens"]);
  } else {
    const double share = static_cast<double>(options.model.top_k) * static_cast<double>(experts) /
                         static_cast<double>(options.model.expert_count);
    point.tokens =
        std::max<std::int64_t>(1, std::llround(share * static_cast<double>(table.count(line, columns["step_tokens"]))));
  }
  const std::int64_t most = std::min(experts, columns.has("tiles") ? point.tiles : point.tokens);
  point.active_experts = columns.has("active_experts") ? table.count(line, columns["active_experts"]) : most;
  if (point.active_experts > most)
    throw DataError(fmt::format("a load of {} tokens can't have {} active experts of {}; correct the table",
                                point.tokens, point.active_experts, experts));
  if (!columns.has("tiles")) point.tiles = even_tiles(point.tokens, point.active_experts, options.tile_tokens);
  return point;
}

struct ByLoad {
  bool operator()(const LoadPoint& a, const LoadPoint& b) const {
    return std::tie(a.active_experts, a.tiles, a.tokens) < std::tie(b.active_experts, b.tiles, b.tokens);
  }
};
using Times = std::map<LoadPoint, std::vector<double>, ByLoad>;

}  // namespace

TabulatedProfile profile_from_table(std::string_view csv_text, const std::string& origin,
                                    const LatencyTableOptions& options) {
  CsvTable table(csv_text, origin);
  const Columns columns(table, options.columns, origin);
  keep_model(table, options, origin);
  std::vector<std::string> names;
  std::vector<Times> times;
  for (std::size_t line = 0; line < table.size(); ++line) {
    const std::string name = columns.has("device") ? table.text(line, columns["device"]) : "device";
    const auto at = static_cast<std::size_t>(std::ranges::find(names, name) - names.begin());
    if (at == names.size()) {
      names.push_back(name);
      times.emplace_back();
    }
    times[at][point_of(table, line, columns, options)].push_back(columns.seconds(table, line));
  }
  const bool copied = options.device_count > 0 && options.device_count != names.size();
  if (copied && names.size() > 1)
    throw UsageError(fmt::format("{}: {} has {} devices, which can't stand for {}; leave it out",
                                 on_command_line("devices"), origin, names.size(), options.device_count));
  for (std::size_t d = 1; d < names.size(); ++d)
    for (const auto& [point, unused] : times[0])
      if (!times[d].contains(point) || times[d].size() != times[0].size())
        throw DataError(
            fmt::format("{}: device '{}' has other loads than '{}'; all need the same", origin, names[d], names[0]));

  TabulatedProfile result;
  LatencyProfile& profile = result.profile;
  profile.model = options.model.name;
  profile.weight_dtype = word_of(options.weight_type);
  profile.expert = options.model.expert;
  profile.tile_tokens = options.tile_tokens;
  profile.experts_per_device = options.experts_per_device;
  profile.rule.last_tile_rows = static_cast<std::uint32_t>(options.tile_tokens);
  for (const auto& [point, unused] : times[0]) profile.points.push_back(point);
  const std::size_t count = copied ? options.device_count : names.size(), points = profile.points.size();
  constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
  profile.median_s = profile.p95_s = Matrix<double>(count, points);
  profile.samples_s = Cube<float>(count, points, 0);
  profile.settled = Matrix<std::uint8_t>(count, points, 1);
  profile.sm_clock_hz = profile.power_w = profile.temperature_c = Matrix<double>(count, points, unknown);
  profile.throttle_reasons = Matrix<std::uint64_t>(count, points);
  profile.drift.assign(count, unknown);
  for (std::size_t d = 0; d < count; ++d) {
    const double slowdown = options.slowdowns.empty() ? 1.0 : options.slowdowns[d % options.slowdowns.size()];
    DeviceDescription device;
    device.name = names[copied ? 0 : d] + " of " + origin;
    if (slowdown != 1.0) device.name += fmt::format(", stated x{:.4g}", slowdown);
    device.rank = static_cast<std::int32_t>(d);
    device.emulated_slowdown = slowdown;
    profile.devices.push_back(device);
    std::size_t p = 0;
    for (const auto& [point, samples_s] : times[copied ? 0 : d]) {
      profile.median_s(d, p) = slowdown * median(samples_s);
      profile.p95_s(d, p) = slowdown * quantile(samples_s, 0.95);
      if (!(profile.median_s(d, p) >= 1e-9))
        throw DataError(
            fmt::format("{}: {} tokens take {:g} s, not a time above 0", origin, point.tokens, profile.median_s(d, p)));
      ++p;
    }
  }
  result.unknown.push_back("what skew adds: all loads count as spread evenly over their active experts");
  if (copied)
    result.unknown.push_back(fmt::format("how devices differ: one device's times stand for all {}{}", count,
                                         options.slowdowns.empty()
                                             ? " (" + on_command_line("slowdown") + " states what you know)"
                                             : ", with stated slowdowns"));
  if (!columns.has("active_experts"))
    result.unknown.push_back("loads of fewer active experts: each has as many active as it has rows for");
  if (!columns.has("tiles"))
    result.unknown.push_back(
        fmt::format("the kernel's tile: {} rows are taken ({})", options.tile_tokens, on_command_line("tile-tokens")));
  return result;
}

}  // namespace gem
