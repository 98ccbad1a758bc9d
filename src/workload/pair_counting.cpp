#include "workload/pair_counting.hpp"

#include <algorithm>

namespace gem {

ExpertPairs count_pairs(const Routing& routing, const std::vector<std::size_t>& requests) {
  ExpertPairs pairs{Matrix<double>(routing.layer_count(), pair_count(routing.expert_count))};
  double tokens = 0.0;
  for (const std::size_t request : requests)
    for (auto token = static_cast<std::size_t>(routing.request_offsets[request]);
         token < static_cast<std::size_t>(routing.request_offsets[request + 1]); ++token) {
      tokens += 1.0;
      for (std::size_t layer = 0; layer < routing.layer_count(); ++layer) {
        const auto experts = routing.experts(token, layer);
        for (std::size_t i = 0; i < experts.size(); ++i)
          for (std::size_t j = i + 1; j < experts.size(); ++j) {
            const std::size_t a = std::min(experts[i], experts[j]), b = std::max(experts[i], experts[j]);
            if (a < b && b < routing.expert_count) pairs.share(layer, pair_index(a, b, routing.expert_count)) += 1.0;
          }
      }
    }
  for (double& share : pairs.share.values()) share /= std::max(tokens, 1.0);
  return pairs;
}

}  // namespace gem
