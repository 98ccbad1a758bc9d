#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/json_record.hpp"
#include "mapping/mapping_question.hpp"
#include "model/expert_pairs.hpp"
#include "model/routing.hpp"

namespace gem {

/// How many distinct tokens a node gets, told from its rows (a token and one of its experts) and its pairs (a token and
/// two of its experts): the least that both allow (Dawson and Sankoff's bound), times what makes it right for
/// placements that know nothing of pairs. Exact for two experts a token; otherwise an approximation.
class DistinctTokens {
 public:
  DistinctTokens(std::size_t expert_count, std::size_t top_k, std::size_t node_count);
  /// Of each token, from rows and pairs of each token.
  double told(double rows, double pairs) const;
  /// Of the rows of a node, where experts are dealt out blindly.
  double blind_part() const { return blind_part_; }

 private:
  double blind_part_ = 1.0;
  double correction_ = 1.0;
};

/// Makes the question one of a transport that sends a token once to each node: rows come over the cards of the whole
/// node, and of a node's rows only DistinctTokens::blind_part. OptionError or DataError, with the remedy, where that
/// can't be counted. Not collective: every rank does the same.
void send_tokens_once(MappingQuestion& question, const ExpertPairs& pairs);

/// The mapping with experts, or whole routing groups where these stay together, changed between nodes as long as what
/// the pairs that then share a node save, in the mean over nodes, is more than it costs on the steps searched on.
/// Runs on one rank.
Mapping gathered_by_pairs(const MappingQuestion& question, const Mapping& mapping, const ExpertPairs& pairs);

/// Nodes that a token visits, and tokens of the node that gets the most in a step, means over layers.
struct NodeVisits {
  double visits = 0.0;
  double busiest_tokens = 0.0;
  double busiest_rows = 0.0;  ///< of the node with the most rows; told alone
};

/// As pairs tell, on the steps of `trace`.
NodeVisits told_visits(const LoadTrace& trace, const ExpertPairs& pairs, const Mapping& mapping,
                       const std::vector<std::int32_t>& node_of);

/// A table of them for the mappings without copies, with what each takes as pairs tell; `routing`, if any, to count
/// exactly.
struct VisitsTable {
  std::string text;
  std::vector<JsonRecord> records;
};
VisitsTable visits_table(const MappingQuestion& question, const std::vector<Mapping>& mappings,
                         const ExpertPairs& pairs, const Routing* routing);

/// Counted token by token, consecutive tokens making steps as large as the trace's. DataError for routing of another
/// model.
NodeVisits exact_visits(const Routing& routing, std::size_t tokens_per_step, const Mapping& mapping,
                        const std::vector<std::int32_t>& node_of);

}  // namespace gem
