#include "model/variability.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <optional>

#include "base/error.hpp"
#include "base/statistics.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

double parse_runtime(const std::string& word, const std::string& where) {
  double value = 0.0;
  try {
    value = parse_number(word, where);
  } catch (const UsageError& error) {
    throw DataError(error.what());
  }
  if (value <= 0.0) throw DataError(where + ": '" + word + "' is not above 0, as a relative runtime must be");
  return value;
}

}  // namespace

std::vector<double> parse_variability(std::string_view csv_text, const std::string& origin) {
  std::vector<double> runtimes;
  std::optional<std::size_t> column;
  std::size_t line_number = 0;
  for (const std::string& raw : split(csv_text, '\n')) {
    ++line_number;
    const std::string line = trim(raw);
    if (line.empty() || line[0] == '#') continue;
    std::vector<std::string> cells = split(line, ',');
    for (std::string& cell : cells) cell = trim(cell);
    if (!column) {
      const auto found = std::find(cells.begin(), cells.end(), "relative_runtime");
      if (found == cells.end())
        throw DataError(
            fmt::format("{}, line {}: the header '{}' has no column relative_runtime; expected a header such as "
                        "gpu,relative_runtime and one line a GPU",
                        origin, line_number, line.substr(0, 80)));
      column = static_cast<std::size_t>(found - cells.begin());
      continue;
    }
    const std::string where = fmt::format("{}, line {}, relative_runtime", origin, line_number);
    if (*column >= cells.size()) throw DataError(where + ": the line has fewer columns than the header");
    runtimes.push_back(parse_runtime(cells[*column], where));
  }
  if (runtimes.empty())
    throw DataError(origin + ": no GPU found; expected a header with relative_runtime and one line a GPU");
  return runtimes;
}

std::vector<double> pick_quantiles(const std::vector<double>& runtimes, std::size_t device_count) {
  if (device_count == 1) return {median(runtimes)};
  std::vector<double> picked;
  for (std::size_t i = 0; i < device_count; ++i)
    picked.push_back(quantile(runtimes, static_cast<double>(i) / static_cast<double>(device_count - 1)));
  return picked;
}

}  // namespace gem
