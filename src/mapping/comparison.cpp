#include "mapping/comparison.hpp"

#include <fmt/core.h>
#include <algorithm>

#include "base/text.hpp"

namespace gem {

HeldOut relation_of(const LoadTrace& searched, const LoadTrace& scored) {
  if (to_lower(searched.task) != to_lower(scored.task)) return HeldOut::OtherTask;
  const bool apart =
      (searched.part == "train" && scored.part == "test") || (searched.part == "test" && scored.part == "train");
  return apart ? HeldOut::DisjointRequests : HeldOut::InSample;
}

std::string describe_relation(HeldOut relation) {
  switch (relation) {
    case HeldOut::DisjointRequests:
      return "held-out, requests never searched on";
    case HeldOut::LaterSteps:
      return "held-out, later steps (of requests that may have been searched on)";
    case HeldOut::OtherTask:
      return "held-out, another task";
    case HeldOut::InSample:
      return "in-sample, requests that were searched on";
  }
  return "";
}

std::string comparison_table(const std::vector<ComparedMethod>& methods, const Bounds& bounds, bool has_test,
                             HeldOut relation) {
  const std::string test_name = relation == HeldOut::InSample ? "in-sample" : "held-out";
  std::vector<Table::Column> columns{{"method", ""}, {"train", "ms/step"}, {"", "of linear"}, {"above", "bound %"}};
  if (has_test) columns.insert(columns.end(), {{test_name, "ms/step"}, {"", "of linear"}});
  columns.insert(columns.end(), {{"p99", "ms"}, {"imbalance", "max/mean"}});
  Table table(columns);
  const auto add = [&](const std::string& name, double train_s, double test_s, const Score* shown) {
    std::vector<std::string> cells{
        name, fmt::format("{:.4f}", train_s * 1e3), fmt::format("{:.3f}", train_s / methods[0].train.mean_s),
        shown != nullptr ? fmt::format("{:.1f}", (train_s / bounds.train_s - 1.0) * 100.0) : ""};
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
