#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "adaptation/policies.hpp"
#include "model/latency_profile.hpp"
#include "model/load_trace.hpp"

namespace gem {

/// What a change of the placement is searched and judged by.
struct ChangeQuestion {
  std::vector<double> slowdowns;    ///< [device]
  LoadTrace searched;               ///< steps that a change is searched on at first,
  LoadTrace judged;                 ///< that it is then judged on,
  LoadTrace all;                    ///< and that it is made for if it pays; empty: those that were searched on
  std::size_t block_steps = 8;      ///< of the judged ones that count as one observation
  std::size_t iterations = 0;       ///< of the search after the descent
  double horizon_steps = 1000;      ///< for which moves must pay
  std::vector<Assignment> present;  ///< [layer]
};

/// Searches for layers that gain more than their moves cost, a bounded piece at a time: first each layer on some steps,
/// to be judged on others; then, where the lower bound of the gain of all together pays for their moves, those layers
/// on all steps.
class ChangeSearch {
 public:
  /// The profile and the options must outlive it.
  ChangeSearch(const LatencyProfile& profile, const AdaptationOptions& options, ChangeQuestion question);

  /// Goes on for about so much work, one layer at the least, and takes off what was done; true once all is done.
  bool advance(std::size_t& work);

  /// The layers to change, best first; none if it doesn't pay. Once all is done.
  std::vector<LayerChange> changes() const;

 private:
  struct Candidate {
    std::size_t layer;
    double gain_s;  // a step, beyond its price
    Assignment assignment;
  };

  void judge(std::size_t first, std::size_t count);
  void search_on_all(std::size_t first, std::size_t count);
  Assignment best_on(const LayerProblem& problem, std::size_t layer) const;
  bool pays() const;

  const AdaptationOptions& options_;
  ChangeQuestion question_;
  LatencyProfile profile_;  // with the slowdowns
  std::vector<Candidate> candidates_;
  std::vector<double> gains_s_;  // [judged step], of all candidates together
  double price_s_ = 0.0;         // of their moves, a step
  std::size_t judged_ = 0;       // layers
  std::size_t searched_ = 0;     // candidates that were searched on all steps
};

}  // namespace gem
