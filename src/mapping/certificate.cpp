#include "mapping/certificate.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "base/table.hpp"
#include "base/text.hpp"
#include "mapping/deal.hpp"
#include "platform/command_line/progress.hpp"
#include "search/halves_search.hpp"
#include "search/water_filling.hpp"

namespace gem {
namespace {

/// One for each shape of layers, made when it is first needed.
template <class Search>
class SearchesOfShapes {
 public:
  /// Null where the layer's sets of experts are too many.
  const Search* of(const LayerProblem& layer) {
    if (!Search::fits(layer.expert_count(), layer.device_count(), layer.column_count())) return nullptr;
    return &searches_.try_emplace(layer.expert_count(), layer.expert_count(), layer.device_count()).first->second;
  }

 private:
  std::map<std::size_t, Search> searches_;
};

/// Both exact searches; the second goes on where the first doesn't fit or was given up.
class ExactSearches {
 public:
  explicit ExactSearches(std::uint64_t max_nodes) : max_nodes_(max_nodes) {}

  ExactResult improve(const LayerProblem& layer, Assignment assignment, const SearchOptions& options) {
    ExactResult result{false, std::move(assignment)};
    result.cost = cost_of(layer, result.assignment);
    // They know neither blocks of devices, nor copies, nor nodes.
    if (layer.first_node_column() < layer.column_count() || layer.block_devices() < layer.device_count() ||
        layer.has_copies())
      return result;
    const ExactSearch* const exact = exact_.of(layer);
    if (exact != nullptr && !options.out_of_time()) result = exact->solve(layer, result.assignment, max_nodes_);
    if (result.proven || options.out_of_time()) return result;
    const HalvesSearch* const halves = halves_.of(layer);
    if (halves == nullptr) return result;
    return halves->solve(layer, result.assignment, max_nodes_ * halves_nodes, [&] { return options.out_of_time(); });
  }

 private:
  static constexpr std::uint64_t halves_nodes = HalvesSearch::default_max_nodes / ExactSearch::default_max_nodes;

  std::uint64_t max_nodes_;
  SearchesOfShapes<ExactSearch> exact_;
  SearchesOfShapes<HalvesSearch> halves_;
};

}  // namespace

std::vector<Certificate> certify(const Communicator& world, const std::vector<LayerProblem>& problems,
                                 std::vector<LayerAnswer>& answers, const SearchOptions& options,
                                 std::uint64_t max_nodes) {
  const WaterFilling water_filling(problems[0].tables());
  ExactSearches searches(max_nodes);
  // What this rank found out: layer, cost, bound, number of experts, device of each.
  std::vector<std::int64_t> mine;
  Progress progress("certify", problems.size(), options.show_progress && world.is_root());
  deal(world, problems.size(), [&](std::size_t layer, const SharedCounter&) {
    progress.update(layer);
    Assignment assignment = answers[layer].assignment;
    std::int64_t cost = cost_of(problems[layer], assignment);
    std::int64_t bound = water_filling.bound(problems[layer]);
    if (bound < cost) {
      const ExactResult result = searches.improve(problems[layer], assignment, options);
      assignment = result.assignment;
      cost = result.cost;
      bound = std::max(bound, result.lower_bound);
    }
    mine.insert(mine.end(),
                {static_cast<std::int64_t>(layer), cost, bound, static_cast<std::int64_t>(assignment.size())});
    mine.insert(mine.end(), assignment.begin(), assignment.end());
  });
  std::vector<std::int64_t> all = world.gather(std::span<const std::int64_t>(mine));
  world.broadcast(all);

  std::vector<Certificate> certificates(problems.size());
  for (auto at = all.begin(); at != all.end();) {
    const auto layer = static_cast<std::size_t>(at[0]);
    certificates[layer] = {at[1], at[2]};
    answers[layer].cost = at[1];
    const auto first = at + 4, end = first + at[3];
    answers[layer].assignment.assign(first, end);
    at = end;
  }
  return certificates;
}

std::string certificate_table(const std::vector<LayerProblem>& problems, const std::vector<std::int32_t>& layer_ids,
                              const std::vector<Certificate>& certificates) {
  Table table({{"layer", ""}, {"predicted", "us/step"}, {"bound", "us/step"}, {"gap", "%"}, {"", ""}});
  double cost_s = 0.0, bound_s = 0.0;
  std::size_t optimal = 0;
  const auto add = [&](const std::string& name, double cost, double bound, const std::string& verdict) {
    table.add_row({name, fmt::format("{:.3f}", cost * 1e6), fmt::format("{:.3f}", bound * 1e6),
                   fmt::format("{:.2f}", bound > 0.0 ? (cost / bound - 1.0) * 100.0 : 0.0), verdict});
  };
  for (std::size_t layer = 0; layer < problems.size(); ++layer) {
    const Certificate& certificate = certificates[layer];
    const double cost = mean_seconds(problems[layer], certificate.cost);
    const double bound = mean_seconds(problems[layer], certificate.lower_bound);
    const bool is_optimal = certificate.cost == certificate.lower_bound;
    add(std::to_string(layer_ids[layer]), cost, bound, is_optimal ? "optimal" : "");
    cost_s += cost;
    bound_s += bound;
    optimal += is_optimal ? 1 : 0;
  }
  add("all", cost_s, bound_s, fmt::format("optimal: {} of {}", optimal, problems.size()));
  return fmt::format("Certificate, on the {} steps searched on{}:\n", problems[0].step_count(),
                     problems[0].has_copies() ? ", of these copies" : "") +
         table.to_string();
}

}  // namespace gem
