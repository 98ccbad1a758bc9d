#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "search/moves.hpp"
#include "search/remap.hpp"

namespace gem {

/// The best assignment for each number of moves.
class RemapFront {
 public:
  explicit RemapFront(const LayerProblem& problem) : problem_(&problem) {}

  /// Keeps the placement if it is the best so far of its number of moves, and within the limit.
  void add(const Placement& placement);
  /// The best with at most so many moves; the first has the fewest.
  const RemapPoint& within(std::size_t moves) const;
  /// Those that are cheaper than all before them, with copies numbered as in files.
  std::vector<RemapPoint> points() const;

 private:
  const LayerProblem* problem_;
  std::map<std::size_t, RemapPoint> best_;
};

/// Makes the best change of all pairs of devices, again and again. With few moves to make, each has to be the best one;
/// the bound of what a pair can save leaves most pairs out.
class SteepestDescent {
 public:
  /// The rule must outlive it.
  explicit SteepestDescent(const RemapRule& rule) : rule_(rule) {}

  /// Each placement on the way goes to the front.
  void run(Placement& placement, RemapFront& front);

 private:
  struct Pair {
    std::int64_t max_saving;
    std::int32_t first, second;
  };

  std::optional<FoundMove> best_change(const Placement& placement);

  const RemapRule& rule_;
  std::vector<std::unique_ptr<Move>> moves_ = make_moves();
  std::vector<Pair> pairs_;
};

/// Goes from a placement to another by swaps that bring one expert to its place, the best swap first; each placement on
/// the way goes to the front.
void walk(Placement placement, const Assignment& to, const RemapRule& rule, RemapFront& front);

/// Iterated local search within a limit of moves: some that were made are taken back, others are made at random, and
/// then the best. A result that is a little worse is gone on from now and then.
void refine(const LayerProblem& counted, const DeviceContents& present, const RemapRule& rule, std::size_t max_moves,
            SteepestDescent& descent, RemapFront& front);

}  // namespace gem
