#include "verification/exchange_cost.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <vector>

#include "base/option.hpp"
#include "base/text.hpp"

namespace gem {

std::optional<ExchangeLaw> exchange_cost_of(const VerificationReport& report) {
  if (!has_whole_layers(report)) return std::nullopt;
  std::vector<double> rows, seconds;
  for (const MappingReplay& replay : report.mappings) {
    if (replay.most_rows.rows() == 0) return std::nullopt;
    for (std::size_t step = 0; step < replay.layer_s.rows(); ++step)
      for (std::size_t layer = 0; layer < replay.layer_s.columns(); ++layer) {
        rows.push_back(replay.most_rows(step, layer));
        seconds.push_back(replay.layer_s(step, layer) - std::ranges::max(replay.compute_s.row(step, layer)));
      }
  }
  return fit_exchange_law(static_cast<std::int64_t>(report.tokens_per_step), rows, seconds);
}

std::string exchange_line(const VerificationReport& report) {
  const std::optional<ExchangeLaw> cost = exchange_cost_of(report);
  if (!cost) return {};
  if (!rows_count(*cost))
    return fmt::format("Exchange of a layer: {} in the mean, of which rows explain little ({:.0f} %)\n",
                       format_seconds(cost->mean_s), 100.0 * cost->explained);
  return fmt::format(
      "Exchange of a layer: {:.0f} us and {:.3g} ns for each row of the device that gets most,\n"
      "which explains {:.0f} % of how layers differ; gem-map {} {:.3g}\n"
      "searches for the fastest whole layer\n",
      cost->fixed_s * 1e6, cost->row_s * 1e9, 100.0 * cost->explained, on_command_line("exchange-row-time"),
      cost->row_s * 1e9);
}

}  // namespace gem
