#include "verification/rest_table.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <optional>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

struct Columns {
  std::optional<std::size_t> part, tokens, context, time;
  double unit_s = 1.0;
};

std::optional<std::size_t> find_column(const std::vector<std::string>& header, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto found = std::ranges::find(header, name);
    if (found != header.end()) return static_cast<std::size_t>(found - header.begin());
  }
  return std::nullopt;
}

Columns columns_of(const std::vector<std::string>& header, const std::string& origin) {
  Columns columns;
  columns.part = find_column(header, {"part", "op_name"});
  columns.tokens = find_column(header, {"tokens", "num_tokens", "batch_size"});
  columns.context = find_column(header, {"context", "kv_len", "isl", "s"});
  for (const auto& [name, unit_s] :
       {std::pair{"seconds", 1.0}, {"milliseconds", 1e-3}, {"latency", 1e-3}, {"microseconds", 1e-6}})
    if (const auto found = find_column(header, {name}); found && !columns.time) {
      columns.time = found;
      columns.unit_s = unit_s;
    }
  if (!columns.part || !columns.tokens || !columns.time)
    throw DataError(origin +
                    ": the header lacks a column of part, tokens or seconds; a table of operators has at least "
                    "'part,tokens,seconds' (or milliseconds, microseconds), and 'context' where it matters");
  return columns;
}

std::optional<StepPart> part_of(const std::string& word) {
  for (const OptionWord<StepPart>& known : words_of(StepPart{}))
    if (known.word == word) return known.value;
  return std::nullopt;
}

/// What a device takes by the table, slowed as the device is.
class TableDecoder : public DecoderDevice {
 public:
  TableDecoder(std::shared_ptr<const RestTable> table, const DecoderWork& work, double slowness)
      : table_(std::move(table)), work_(work), slowness_(slowness) {}
  void time_parts(std::size_t, std::span<const StepPart> parts, StepPartTimes& times) override {
    for (const StepPart part : parts)
      times[index_of(part)] =
          has_part(work_, part) ? slowness_ * table_->seconds(part, static_cast<double>(work_.tokens)) : 0.0;
  }

 private:
  std::shared_ptr<const RestTable> table_;
  DecoderWork work_;
  double slowness_;
};

}  // namespace

RestTable::RestTable(const std::string& csv_text, const std::string& origin, std::size_t context) {
  std::optional<Columns> columns;
  std::vector<std::string> other_contexts;
  std::size_t line_number = 0;
  for (const std::string& raw : split(csv_text, '\n')) {
    ++line_number;
    const std::string line = trim(raw);
    if (line.empty() || line[0] == '#') continue;
    std::vector<std::string> cells;
    for (const std::string& cell : split(line, ',')) cells.push_back(trim(cell));
    if (!columns) {
      columns = columns_of(cells, origin);
      continue;
    }
    const auto cell = [&](std::size_t column) {
      if (column >= cells.size())
        throw DataError(fmt::format("{}, line {}: {} cells, but column {} is needed", origin, line_number, cells.size(),
                                    column + 1));
      return cells[column];
    };
    const auto number = [&](std::size_t column, const char* what) {
      double value = std::numeric_limits<double>::quiet_NaN();
      try {
        value = parse_number(cell(column), what);
      } catch (const UsageError&) {  // said below
      }
      if (!(value >= 0.0) || !std::isfinite(value))
        throw DataError(
            fmt::format("{}, line {}, {}: '{}' is no number of 0 or more", origin, line_number, what, cell(column)));
      return value;
    };
    const std::optional<StepPart> part = part_of(cell(*columns->part));
    if (!part) {
      std::vector<std::string> words;
      for (const auto& known : words_of(StepPart{})) words.push_back(known.word);
      throw DataError(
          fmt::format("{}, line {}, part: '{}' is none of {}", origin, line_number, cell(*columns->part), join(words)));
    }
    if (columns->context && !cell(*columns->context).empty() &&
        number(*columns->context, "context") != static_cast<double>(context)) {
      other_contexts.push_back(cell(*columns->context));
      continue;
    }
    rows_[*part][number(*columns->tokens, "tokens")] += columns->unit_s * number(*columns->time, "seconds");
  }
  if (rows_.empty() && !other_contexts.empty())
    throw DataError(
        fmt::format("{} has no row for a context of {} tokens, but for {}", origin, context, join(other_contexts)));
  if (rows_.empty()) throw DataError(origin + " has no row; a table of operators has one for each part");
}

double RestTable::seconds(StepPart part, double tokens) const {
  const auto found = rows_.find(part);
  if (found == rows_.end()) return 0.0;
  const std::map<double, double>& rows = found->second;
  if (rows.size() == 1) return rows.begin()->second;
  auto above = rows.lower_bound(tokens);
  if (above == rows.begin()) ++above;
  if (above == rows.end()) --above;
  const auto below = std::prev(above);
  const double share = (tokens - below->first) / (above->first - below->first);
  return std::max(0.0, below->second + share * (above->second - below->second));
}

std::unique_ptr<DecoderDevice> make_table_decoder(std::shared_ptr<const RestTable> table, const DecoderWork& work,
                                                  double slowness) {
  return std::make_unique<TableDecoder>(std::move(table), work, slowness);
}

void check_rest_table(const RestTable& table, const DecoderWork& work, const std::string& origin) {
  std::vector<std::string> missing;
  for (const auto& known : words_of(StepPart{}))
    if (has_part(work, known.value) && !table.has(known.value)) missing.push_back(known.word);
  if (!missing.empty())
    throw DataError(origin + " has no row of " + join(missing) + " (context " + std::to_string(work.context) +
                    "); a whole step needs all parts that the model has, with 0 for what is counted in another");
}

}  // namespace gem
