#include "model/exchange_law.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>

#include "base/statistics.hpp"
#include "base/table.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

// A line that explains less is no reason to place experts by it: replayed on two GPUs, mappings that counted rows won
// where these explained most of the exchange, and lost a hundredth where they explained a tenth.
constexpr double min_explained = 0.5;

ExchangeOfStep as_far_as_true(const ExchangeLaw& law) {
  // Where rows don't count, their mean is part of the constant.
  const double row_s = rows_count(law) ? law.explained * law.row_s : 0.0;
  const double mean_rows = law.row_s > 0.0 ? (law.mean_s - law.fixed_s) / law.row_s : 0.0;
  return {law.mean_s - row_s * mean_rows, row_s, law.explained};
}

}  // namespace

bool rows_count(const ExchangeLaw& law) {
  return law.row_s > 0.0 && law.explained >= min_explained;
}

std::optional<ExchangeLaw> fit_exchange_law(std::int64_t tokens, std::span<const double> rows,
                                            std::span<const double> seconds) {
  const double mean_rows = mean(rows), mean_s = mean(seconds);
  double rows_squared = 0.0, seconds_squared = 0.0, product = 0.0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows_squared += (rows[i] - mean_rows) * (rows[i] - mean_rows);
    seconds_squared += (seconds[i] - mean_s) * (seconds[i] - mean_s);
    product += (rows[i] - mean_rows) * (seconds[i] - mean_s);
  }
  if (rows_squared == 0.0 || seconds_squared == 0.0) return std::nullopt;
  if (rows.size() < 3) return std::nullopt;
  const double row_s = product / rows_squared;
  // Adjusted for what a line explains of few layers by chance.
  const auto count = static_cast<double>(rows.size());
  const double left = (1.0 - row_s * product / seconds_squared) * (count - 1.0) / (count - 2.0);
  return ExchangeLaw{tokens, mean_s, mean_s - row_s * mean_rows, row_s, std::clamp(1.0 - left, 0.0, 1.0)};
}

ExchangeOfStep exchange_of_step(std::span<const ExchangeLaw> laws, double tokens) {
  const auto above =
      std::ranges::find_if(laws, [&](const ExchangeLaw& law) { return static_cast<double>(law.tokens) >= tokens; });
  if (above == laws.end()) return as_far_as_true(laws.back());
  const ExchangeOfStep high = as_far_as_true(*above);
  if (above == laws.begin() || static_cast<double>(above->tokens) == tokens) return high;
  const ExchangeLaw& below = *(above - 1);
  const ExchangeOfStep low = as_far_as_true(below);
  const auto from = static_cast<double>(below.tokens), to = static_cast<double>(above->tokens);
  const double part = std::log(tokens / from) / std::log(to / from);
  const auto between = [&](double ExchangeOfStep::*member) {
    return low.*member + part * (high.*member - low.*member);
  };
  return {between(&ExchangeOfStep::fixed_s), between(&ExchangeOfStep::row_s), between(&ExchangeOfStep::explained)};
}

std::string exchange_law_table(std::span<const ExchangeLaw> laws) {
  if (laws.empty()) return "";
  Table table({{"exchange", "tokens"}, {"mean", "us"}, {"fixed", "us"}, {"a row", "ns"}, {"explained", "%"}, {"", ""}});
  for (const ExchangeLaw& law : laws)
    table.add_row({fmt::format("{}", law.tokens), fmt::format("{:.1f}", law.mean_s * 1e6),
                   fmt::format("{:.1f}", law.fixed_s * 1e6), fmt::format("{:.3g}", law.row_s * 1e9),
                   fmt::format("{:.0f}", 100.0 * law.explained), rows_count(law) ? "counted" : ""});
  return "dispatch and combine of a layer, by tokens of a step; a row: of the device that\ngets most\n" +
         table.to_string();
}

}  // namespace gem
