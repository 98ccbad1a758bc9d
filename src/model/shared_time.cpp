#include "model/shared_time.hpp"

#include <fmt/core.h>
#include <algorithm>

#include "base/table.hpp"

namespace gem {

std::vector<double> shared_times_s(const LatencyProfile& profile, double tokens) {
  std::vector<double> seconds(profile.device_count(), 0.0);
  const std::vector<std::int64_t>& measured = profile.shared_tokens;
  if (measured.empty()) return seconds;
  const auto at = [&](std::size_t load) { return static_cast<double>(measured[load]); };
  const bool one = measured.size() == 1 || tokens <= at(0);
  std::size_t above = 1;
  while (above + 1 < measured.size() && at(above) < tokens) ++above;
  for (std::size_t d = 0; d < seconds.size(); ++d) {
    const auto row = profile.shared_s.row(d);
    seconds[d] = row[0];
    if (one) continue;
    const double line = (row[above] - row[above - 1]) / (at(above) - at(above - 1));
    seconds[d] = std::max(0.0, row[above] + line * (tokens - at(above)));
  }
  return seconds;
}

std::string shared_time_table(const LatencyProfile& profile) {
  if (profile.shared_tokens.empty()) return "";
  Table table({{"shared experts", "tokens"}, {"fastest", "us"}, {"slowest", "us"}});
  for (std::size_t load = 0; load < profile.shared_tokens.size(); ++load) {
    std::vector<double> seconds;
    for (std::size_t d = 0; d < profile.device_count(); ++d) seconds.push_back(profile.shared_s(d, load));
    const auto [fastest, slowest] = std::ranges::minmax(seconds);
    table.add_row({fmt::format("{}", profile.shared_tokens[load]), fmt::format("{:.1f}", fastest * 1e6),
                   fmt::format("{:.1f}", slowest * 1e6)});
  }
  return "shared experts of a layer on one device, by its own tokens\n" + table.to_string();
}

}  // namespace gem
