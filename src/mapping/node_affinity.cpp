#include "mapping/node_affinity.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.hpp"
#include "base/table.hpp"
#include "base/text.hpp"
#include "mapping/mapping_costs.hpp"
#include "mapping/mapping_request.hpp"
#include "search/placement.hpp"

namespace gem {
namespace {

double tokens_of_step(const LoadTrace& trace) {
  const double rows = std::accumulate(trace.counts.values().begin(), trace.counts.values().end(), 0.0);
  return rows / static_cast<double>(trace.step_count() * trace.layer_count() * trace.top_k);
}

// [expert] rows of each token in one layer.
std::vector<double> rows_of_token(const LoadTrace& trace, std::size_t layer) {
  std::vector<double> rows(trace.expert_count(), 0.0);
  const double tokens = tokens_of_step(trace) * static_cast<double>(trace.step_count());
  for (std::size_t step = 0; step < trace.step_count(); ++step)
    for (std::size_t expert = 0; expert < rows.size(); ++expert)
      rows[expert] += trace.counts(step, layer, expert) / tokens;
  return rows;
}

/// Units of experts, or of one each, on nodes: rows and pairs of each token that each node has.
class Affinity {
 public:
  Affinity(const ExpertPairs& pairs, std::size_t layer, std::span<const double> expert_rows, std::size_t unit_experts,
           std::vector<std::int32_t> node_of_unit, std::size_t nodes, const DistinctTokens& distinct)
      : units_(node_of_unit.size()),
        nodes_(nodes),
        distinct_(distinct),
        node_of_unit_(std::move(node_of_unit)),
        both_(units_ * units_, 0.0),
        with_(units_ * nodes, 0.0),
        unit_rows_(units_, 0.0),
        rows_(nodes, 0.0),
        pairs_(nodes, 0.0) {
    std::size_t pair = 0;
    for (std::size_t a = 0; a < expert_rows.size(); ++a) {
      unit_rows_[a / unit_experts] += expert_rows[a];
      for (std::size_t b = a + 1; b < expert_rows.size(); ++b, ++pair) {
        const std::size_t u = a / unit_experts, v = b / unit_experts;
        both_[u * units_ + v] += pairs.share(layer, pair);
        if (u != v) both_[v * units_ + u] += pairs.share(layer, pair);
      }
    }
    for (std::size_t unit = 0; unit < units_; ++unit) add(unit, node_of_unit_[unit], 1.0);
  }

  std::int32_t node_of(std::size_t unit) const { return node_of_unit_[unit]; }
  double rows(std::size_t node) const { return rows_[node]; }
  /// Distinct tokens of a node, of each token.
  double told(std::size_t node) const { return distinct_.told(rows_[node], pairs_[node]); }
  /// How many fewer there are if two units of different nodes change places.
  double gain(std::size_t u, std::size_t v) const {
    const auto a = static_cast<std::size_t>(node_of_unit_[u]), b = static_cast<std::size_t>(node_of_unit_[v]);
    const double both = both_[u * units_ + v], own_u = both_[u * units_ + u], own_v = both_[v * units_ + v];
    const double pairs_a = pairs_[a] - with_[u * nodes_ + a] + with_[v * nodes_ + a] - both + own_v;
    const double pairs_b = pairs_[b] - with_[v * nodes_ + b] + with_[u * nodes_ + b] - both + own_u;
    const double rows = unit_rows_[v] - unit_rows_[u];
    return told(a) + told(b) - distinct_.told(rows_[a] + rows, pairs_a) - distinct_.told(rows_[b] - rows, pairs_b);
  }
  void exchange(std::size_t u, std::size_t v) {
    add(u, node_of_unit_[u], -1.0);
    add(v, node_of_unit_[v], -1.0);
    std::swap(node_of_unit_[u], node_of_unit_[v]);
    add(u, node_of_unit_[u], 1.0);
    add(v, node_of_unit_[v], 1.0);
  }

 private:
  // The unit comes to the node, or leaves it: a unit's pairs within are with it, too.
  void add(std::size_t unit, std::int32_t at, double sign) {
    const auto node = static_cast<std::size_t>(at);
    rows_[node] += sign * unit_rows_[unit];
    if (sign > 0.0) pairs_[node] += with_[unit * nodes_ + node] + both_[unit * units_ + unit];
    for (std::size_t other = 0; other < units_; ++other)
      with_[other * nodes_ + node] += sign * both_[unit * units_ + other];
    if (sign < 0.0) pairs_[node] -= with_[unit * nodes_ + node] + both_[unit * units_ + unit];
  }

  std::size_t units_, nodes_;
  DistinctTokens distinct_;
  std::vector<std::int32_t> node_of_unit_;
  std::vector<double> both_;  // [unit, unit] pairs of each token; a unit with itself: those within
  std::vector<double> with_;  // [unit, node] pairs with the units of a node, itself included where it is there
  std::vector<double> unit_rows_, rows_, pairs_;
};

// All experts of two units change places, the first with the first.
std::vector<Relocation> exchange_of(const Placement& placement, std::size_t u, std::size_t v,
                                    std::size_t unit_experts) {
  std::vector<Relocation> relocations;
  for (std::size_t i = 0; i < unit_experts; ++i) {
    const auto a = static_cast<std::int32_t>(u * unit_experts + i), b = static_cast<std::int32_t>(v * unit_experts + i);
    relocations.push_back({a, placement.device_of(b)});
    relocations.push_back({b, placement.device_of(a)});
  }
  return relocations;
}

// Makes the most promising exchange that pays; false if none does.
bool gather_once(Placement& placement, Affinity& affinity, std::size_t unit_experts, double ticks_of_token) {
  constexpr std::size_t most_tried = 64;
  struct Candidate {
    double saved;
    std::size_t u, v;
  };
  std::vector<Candidate> candidates;
  const std::size_t units = placement.assignment().size() / unit_experts;
  for (std::size_t u = 0; u < units; ++u)
    for (std::size_t v = u + 1; v < units; ++v)
      if (affinity.node_of(u) != affinity.node_of(v))
        if (const double saved = affinity.gain(u, v) * ticks_of_token; saved >= 1.0)
          candidates.push_back({saved, u, v});
  std::ranges::stable_sort(candidates, [](const Candidate& a, const Candidate& b) { return a.saved > b.saved; });
  if (candidates.size() > most_tried) candidates.resize(most_tried);
  const auto before = static_cast<double>(placement.cost());
  for (const Candidate& candidate : candidates) {
    placement.apply(exchange_of(placement, candidate.u, candidate.v, unit_experts));
    if (static_cast<double>(placement.cost()) - candidate.saved < before - 0.5) {
      affinity.exchange(candidate.u, candidate.v);
      return true;
    }
    placement.apply(exchange_of(placement, candidate.u, candidate.v, unit_experts));  // back again
  }
  return false;
}

// Seconds that a row of a node takes across nodes. The links' speed counts the blind part already.
double row_seconds(const MappingQuestion& question) {
  const std::size_t nodes = question.profile.topology.node_count();
  return row_ns_of_node(question.profile, AcrossNodes::Node) * 1e-9 /
         DistinctTokens(question.train.expert_count(), question.train.top_k, nodes).blind_part();
}

std::size_t node_count_of(const std::vector<std::int32_t>& node_of) {
  return static_cast<std::size_t>(std::ranges::max(node_of)) + 1;
}

}  // namespace

DistinctTokens::DistinctTokens(std::size_t expert_count, std::size_t top_k, std::size_t node_count) {
  const auto experts = static_cast<double>(expert_count), k = static_cast<double>(top_k);
  const double node_experts = experts / static_cast<double>(node_count);
  double missed = 1.0;  // probability that none of a token's experts is on a node
  for (double taken = 0.0; taken < k; taken += 1.0)
    missed *= std::max(0.0, experts - node_experts - taken) / (experts - taken);
  const double rows = k / static_cast<double>(node_count);
  const double pairs = k * (k - 1.0) / 2.0 * node_experts * (node_experts - 1.0) / (experts * (experts - 1.0));
  blind_part_ = (1.0 - missed) / rows;
  correction_ = (1.0 - missed) / told(rows, pairs);
}

double DistinctTokens::told(double rows, double pairs) const {
  if (rows <= 0.0) return 0.0;
  const double m = 1.0 + std::floor(2.0 * std::max(0.0, pairs) / rows);
  const double least = 2.0 / (m + 1.0) * rows - 2.0 / (m * (m + 1.0)) * std::max(0.0, pairs);
  return std::min({correction_ * least, rows, 1.0});
}

void send_tokens_once(MappingQuestion& question, const ExpertPairs& pairs) {
  const LoadTrace& train = question.train;
  LatencyProfile& profile = question.profile;
  if (!train.experts_of_layer.empty())
    throw UsageError("is of models whose layers have as many experts each, but this one's differ; leave it out");
  if (question.redundant_experts > 0 || question.expert_groups > 1 || question.run_time.online_exact)
    throw UsageError(
        fmt::format("goes with none of {}, {} and {}: tokens of copies can't be told from pairs of "
                    "experts, and nothing else is known of groups; leave them out",
                    option_name(&MappingRequest::redundant_experts), option_name(&MappingRequest::expert_groups),
                    option_name(&RunTimeOptions::online_exact)));
  if (!has_nodes(profile) || row_ns_of_node(profile, AcrossNodes::Node) == 0.0 || question.cost.exchange_row_ns > 0.0)
    throw UsageError(
        fmt::format("needs two or more equally large nodes and their bandwidths, and not {}; state them with {}, {} "
                    "and {}",
                    option_name(&CostOptions::exchange_row_ns), option_name(&TopologyOptions::nodes),
                    option_name(&TopologyOptions::inside_gb_per_s), option_name(&TopologyOptions::across_gb_per_s)));
  if (pairs.share.rows() != train.layer_count() || pairs.share.columns() != pair_count(train.expert_count()))
    throw DataError(
        fmt::format("/pairs holds {} x {} values, but {} layers of {} experts make {} x {}; make the trace again with "
                    "gem-trace batch",
                    pairs.share.rows(), pairs.share.columns(), train.layer_count(), train.expert_count(),
                    train.layer_count(), pair_count(train.expert_count())));
  question.cost.across_nodes = AcrossNodes::Node;
  // As many rows fewer are as good as a link as much faster.
  profile.topology.links[1].bytes_per_s /=
      DistinctTokens(train.expert_count(), train.top_k, profile.topology.node_count()).blind_part();
}

Mapping gathered_by_pairs(const MappingQuestion& question, const Mapping& mapping, const ExpertPairs& pairs) {
  const LoadTrace& train = question.train;
  const std::vector<std::int32_t>& node_of = question.profile.topology.node_of;
  const std::size_t nodes = node_count_of(node_of), experts = train.expert_count();
  const bool whole_groups = question.levels == 2 && question.routing_groups > 1;
  const std::size_t unit_experts = whole_groups ? experts / question.routing_groups : 1;
  const DistinctTokens distinct(experts, train.top_k, nodes);
  const double token_s = row_seconds(question) * tokens_of_step(train) / static_cast<double>(nodes);
  const std::vector<LayerProblem> problems = problems_of(cost_model_of(question), train, {});
  std::vector<Assignment> layers;
  for (std::size_t layer = 0; layer < problems.size(); ++layer) {
    Placement placement(problems[layer], assignment_of(mapping, layer));
    std::vector<std::int32_t> node_of_unit;
    for (std::size_t expert = 0; expert < experts; expert += unit_experts)
      node_of_unit.push_back(node_of[static_cast<std::size_t>(placement.device_of(static_cast<std::int32_t>(expert)))]);
    Affinity affinity(pairs, layer, rows_of_token(train, layer), unit_experts, node_of_unit, nodes, distinct);
    const double ticks =
        token_s / problems[layer].tables().tick_s() * static_cast<double>(problems[layer].step_count());
    std::size_t exchanges = 0;
    while (exchanges < 2 * experts && gather_once(placement, affinity, unit_experts, ticks)) ++exchanges;
    layers.push_back(placement.assignment());
  }
  Mapping gathered = mapping_of(layers, {}, question.profile.device_count());
  Mapping result = mapping;
  result.expert_to_device = gathered.expert_to_device;
  MappingCosts costs(cost_model_of(question), train);
  result.predicted_s = costs.stage_s(result, profiled_stage);
  return result;
}

NodeVisits told_visits(const LoadTrace& trace, const ExpertPairs& pairs, const Mapping& mapping,
                       const std::vector<std::int32_t>& node_of) {
  const std::size_t nodes = node_count_of(node_of);
  const DistinctTokens distinct(trace.expert_count(), trace.top_k, nodes);
  NodeVisits told;
  std::vector<double> rows(nodes);
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    std::vector<std::int32_t> node_of_expert;
    for (const std::int32_t device : assignment_of(mapping, layer))
      node_of_expert.push_back(node_of[static_cast<std::size_t>(device)]);
    const Affinity affinity(pairs, layer, rows_of_token(trace, layer), 1, node_of_expert, nodes, distinct);
    for (std::size_t node = 0; node < nodes; ++node) told.visits += affinity.told(node);
    for (std::size_t step = 0; step < trace.step_count(); ++step) {
      std::ranges::fill(rows, 0.0);
      for (std::size_t expert = 0; expert < node_of_expert.size(); ++expert)
        rows[static_cast<std::size_t>(node_of_expert[expert])] += trace.counts(step, layer, expert);
      double busiest = 0.0;
      for (std::size_t node = 0; node < nodes; ++node)
        if (affinity.rows(node) > 0.0)
          busiest = std::max(busiest, rows[node] * affinity.told(node) / affinity.rows(node));
      told.busiest_tokens += busiest / static_cast<double>(trace.step_count());
      told.busiest_rows += std::ranges::max(rows) / static_cast<double>(trace.step_count());
    }
  }
  for (double* sum : {&told.visits, &told.busiest_tokens, &told.busiest_rows})
    *sum /= static_cast<double>(trace.layer_count());
  return told;
}

VisitsTable visits_table(const MappingQuestion& question, const std::vector<Mapping>& mappings,
                         const ExpertPairs& pairs, const Routing* routing) {
  const LoadTrace& trace = question.test ? *question.test : question.train;
  const std::vector<std::int32_t>& node_of = question.profile.topology.node_of;
  const CostModel model = cost_model_of(question);
  MappingCosts costs(model, trace);
  const DistinctTokens distinct(trace.expert_count(), trace.top_k, node_count_of(node_of));
  const double row_s = row_seconds(question) * static_cast<double>(trace.layer_count());
  Table table({{"method", ""},
               {"as told", "ms/step"},
               {"", "of first"},
               {"visits", "told", 2},
               {"visits", "exact", 4},
               {"busiest", "told", 1},
               {"busiest", "exact", 3}});
  VisitsTable result;
  double first_s = 0.0;
  for (const Mapping& mapping : mappings) {
    if (mapping.redundant_count() > 0) continue;
    const NodeVisits told = told_visits(trace, pairs, mapping, node_of);
    // The score counts the blind part of the busiest node's rows.
    const double told_s =
        costs.score(mapping).mean_s + row_s * (told.busiest_tokens - distinct.blind_part() * told.busiest_rows);
    if (first_s == 0.0) first_s = told_s;
    JsonRecord record;
    record.add("method", mapping.method)
        .add("told_s", told_s)
        .add("visits_told", told.visits)
        .add("busiest_tokens_told", told.busiest_tokens);
    std::string exact_visits_text = "-", exact_busiest_text = "-";
    if (routing != nullptr) {
      const NodeVisits exact = exact_visits(*routing, trace.tokens_per_step, mapping, node_of);
      record.add("visits_exact", exact.visits).add("busiest_tokens_exact", exact.busiest_tokens);
      exact_visits_text = fmt::format("{:.3f}", exact.visits);
      exact_busiest_text = fmt::format("{:.0f}", exact.busiest_tokens);
    }
    result.records.push_back(record);
    table.add_row({mapping.method, fmt::format("{:.4f}", told_s * 1e3), fmt::format("{:.3f}", told_s / first_s),
                   fmt::format("{:.3f}", told.visits), exact_visits_text, fmt::format("{:.0f}", told.busiest_tokens),
                   exact_busiest_text});
  }
  result.text =
      "\n" +
      wrap(fmt::format(
          "Tokens are sent once to each node: nodes that a token visits, and tokens of the node that gets the most, "
          "told from the pairs of experts of the trace searched on ({}){}.",
          trace.top_k <= 2 ? "exact for two experts a token"
                           : "an approximation, right for placements made without pairs",
          routing == nullptr ? "" : fmt::format("; exact: counted in the routing of task '{}'", routing->task))) +
      "\n\n" + table.to_string();
  return result;
}

NodeVisits exact_visits(const Routing& routing, std::size_t tokens_per_step, const Mapping& mapping,
                        const std::vector<std::int32_t>& node_of) {
  if (routing.expert_count != mapping.expert_count())
    throw DataError(fmt::format("the routing of task '{}' has {} experts, the mapping {}; give routing of one model",
                                routing.task, routing.expert_count, mapping.expert_count()));
  const std::size_t nodes = node_count_of(node_of), tokens = routing.token_count();
  const std::size_t step_tokens = std::min(tokens_per_step, tokens),
                    steps = tokens / std::max<std::size_t>(1, step_tokens);
  NodeVisits exact;
  std::vector<double> of_node(nodes);
  std::vector<std::size_t> last_token(nodes);
  for (std::size_t layer = 0; layer < mapping.layer_count(); ++layer) {
    const auto found = std::ranges::find(routing.layer_ids, mapping.layer_ids[layer]);
    if (found == routing.layer_ids.end())
      throw DataError(fmt::format("the routing of task '{}' has no layer {}, which the mapping has", routing.task,
                                  mapping.layer_ids[layer]));
    const auto row = static_cast<std::size_t>(found - routing.layer_ids.begin());
    for (std::size_t step = 0; step < steps; ++step) {
      std::ranges::fill(of_node, 0.0);
      std::ranges::fill(last_token, SIZE_MAX);
      for (std::size_t token = step * step_tokens; token < (step + 1) * step_tokens; ++token) {
        for (const std::uint16_t expert : routing.experts(token, row)) {
          if (expert >= routing.expert_count) continue;
          const auto device = static_cast<std::size_t>(mapping.expert_to_device(layer, expert));
          const auto node = static_cast<std::size_t>(node_of[device]);
          if (std::exchange(last_token[node], token) != token) of_node[node] += 1.0;
        }
      }
      exact.visits += std::accumulate(of_node.begin(), of_node.end(), 0.0) / static_cast<double>(step_tokens);
      exact.busiest_tokens += std::ranges::max(of_node);
    }
  }
  const auto runs = static_cast<double>(mapping.layer_count() * std::max<std::size_t>(1, steps));
  exact.visits /= runs;
  exact.busiest_tokens /= runs;
  return exact;
}

}  // namespace gem
