#include "mapping/comparison.hpp"

#include <fmt/core.h>
#include <algorithm>

#include "base/text.hpp"

namespace gem {

std::string comparison_table(const std::vector<ComparedMethod>& methods, const Bounds& bounds, bool has_test,
                             Sample sample) {
  const std::string test_name = is_held_out(sample) ? "held-out" : sample_note(sample);
  // Beside long names there is no room on a line for both ratios: that of what is scored stays.
  constexpr std::size_t long_name = 12;
  const bool has_long_names =
      std::ranges::any_of(methods, [](const ComparedMethod& method) { return method.name.size() >= long_name; });
  const bool has_train_ratio = !has_test || !has_long_names;
  std::vector<Table::Column> columns{{"method", ""}, {"train", "ms/step"}};
  if (has_train_ratio) columns.push_back({"", "of " + methods[0].name});
  columns.push_back({"above", "bound %"});
  if (has_test) columns.insert(columns.end(), {{test_name, "ms/step"}, {"", "of " + methods[0].name}});
  columns.insert(columns.end(), {{"p99", "ms"}, {"imbalance", "max/mean"}});
  Table table(columns);
  const auto add = [&](const std::string& name, double train_s, double test_s, const Score* shown) {
    std::vector<std::string> cells{name, fmt::format("{:.4f}", train_s * 1e3)};
    if (has_train_ratio) cells.push_back(fmt::format("{:.3f}", train_s / methods[0].train.mean_s));
    cells.push_back(shown != nullptr ? fmt::format("{:.1f}", (train_s / bounds.train_s - 1.0) * 100.0) : "");
    if (has_test) {
      cells.push_back(fmt::format("{:.4f}", test_s * 1e3));
      cells.push_back(fmt::format("{:.3f}", test_s / methods[0].test.mean_s));
    }
    cells.push_back(shown != nullptr ? fmt::format("{:.4f}", shown->p99_s * 1e3) : "");
    cells.push_back(shown != nullptr ? fmt::format("{:.3f}", shown->imbalance) : "");
    table.add_row(cells);
  };
  for (const ComparedMethod& method : methods)
    add(method.name, method.train.mean_s, method.test.mean_s, has_test ? &method.test : &method.train);
  add("(bound)", bounds.train_s, bounds.test_s, nullptr);
  return table.to_string();
}

}  // namespace gem
