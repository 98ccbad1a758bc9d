#include "mapping/comparison.hpp"

#include <fmt/core.h>

#include "base/table.hpp"
#include "base/text.hpp"

namespace gem {

std::string comparison_table(const std::vector<ComparedMethod>& methods, const Bounds& bounds, bool has_test,
                             Sample sample) {
  const std::string test_name = is_held_out(sample) ? "held-out" : sample_note(sample);
  const std::string versus = "of " + methods[0].name;
  std::vector<Table::Column> columns{{"method", ""}, {"train", "ms/step"}, {"", versus, has_test ? 1 : 0}};
  columns.push_back({"above", "bound %", 4});
  if (has_test) columns.insert(columns.end(), {{test_name, "ms/step"}, {"", versus}});
  columns.insert(columns.end(), {{"p99", "ms", 3}, {"imbalance", "max/mean", 2}});
  Table table(columns);
  const auto add = [&](const std::string& name, double train_s, double test_s, const Score* shown) {
    std::vector<std::string> cells{name, fmt::format("{:.4f}", train_s * 1e3),
                                   fmt::format("{:.3f}", train_s / methods[0].train.mean_s)};
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

JsonRecord comparison_record(const std::vector<ComparedMethod>& methods, const Bounds& bounds, bool has_test,
                             Sample sample) {
  const ComparedMethod& first = methods.front();
  std::vector<JsonRecord> rows;
  for (const ComparedMethod& method : methods) {
    JsonRecord& row = rows.emplace_back();
    row.add("method", method.name)
        .add("train_s", method.train.mean_s)
        .add("train_ratio", method.train.mean_s / first.train.mean_s)
        .add("above_bound", method.train.mean_s / bounds.train_s - 1.0);
    if (has_test) row.add("test_s", method.test.mean_s).add("test_ratio", method.test.mean_s / first.test.mean_s);
    const Score& shown = has_test ? method.test : method.train;
    row.add("p99_s", shown.p99_s).add("imbalance", shown.imbalance);
  }
  JsonRecord record;
  record.add("methods", rows).add("compared_with", first.name).add("train_bound_s", bounds.train_s);
  if (has_test) record.add("test_bound_s", bounds.test_s).add("test_sample", sample_note(sample));
  return record;
}

}  // namespace gem
