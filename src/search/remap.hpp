#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "search/layer_problem.hpp"

namespace gem {

/// How far a layer may be placed anew. A *move* is an expert that comes to a device where no copy of it is now.
struct RemapRule {
  std::size_t max_moves = SIZE_MAX;  ///< of the layer
  /// What a move has to bring at the least, in ticks summed over the problem's columns: see move_price.
  std::int64_t move_ticks = 0;
  /// Disturbances with 2, 3, 4, 6, 8, 12, ... and the maximum of moves; where there are more than 64 experts, 64 /
  /// experts of them, and in proportion fewer with more than 2,048 / experts moves; 0: descent alone.
  std::size_t iterations = 0;
  std::uint64_t seed = 1;                  ///< of these
  std::function<bool()> is_out_of_time{};  ///< asked between changes; empty: there is time
};

/// The best that was found with so many moves.
struct RemapPoint {
  std::size_t moves = 0;
  std::int64_t cost = 0;  ///< ticks summed over columns, without the moves' price
  Assignment assignment;  ///< [expert], or [copy] where the problem has copies
};

/// Price of one move in ticks summed over the problem's columns, if it takes `move_s` seconds once and what it brings
/// is had for `horizon_steps` steps.
std::int64_t move_price(const LayerProblem& problem, double move_s, double horizon_steps);

/// The same beside costs in other ticks, summed over so many steps.
std::int64_t move_price(double tick_s, std::size_t step_count, double move_s, double horizon_steps);

/// Points by ascending moves, each cheaper than all before it. The first is the present placement, or, where the
/// problem has other copies than there are now, the nearest one, whatever the limit. `targets` are assignments of the
/// same problem that a search without a limit found: they, with equal devices relabelled so that moves are fewest, and
/// what lies on the way to them are points, too. The answer depends on the arguments alone, unless time runs out: then
/// the present placement and the targets are points at the least.
std::vector<RemapPoint> remap_front(const LayerProblem& problem, const DeviceContents& present, const RemapRule& rule,
                                    std::span<const Assignment> targets = {});

/// Index of the point whose cost with its moves at the price is the least; of equal ones the one with fewer moves.
std::size_t best_point(std::span<const RemapPoint> front, std::int64_t move_ticks);

/// The least cost with its moves at `rule.move_ticks`: the best point of remap_front, from which so many iterations of
/// the ordinary search go on, in whose cost moves have their price.
RemapPoint best_remap(const LayerProblem& problem, const DeviceContents& present, const RemapRule& rule,
                      std::size_t search_iterations);

/// One point of each layer's front, [layer] its index: what gains the most a move first, over all layers, as long as
/// it is worth its price, until `max_moves` moves of all layers together are spent.
std::vector<std::size_t> choose_points(const std::vector<std::vector<RemapPoint>>& fronts, std::int64_t move_ticks,
                                       std::size_t max_moves);

/// What devices hold under an assignment of experts.
DeviceContents device_contents(const Assignment& assignment, std::size_t device_count);

}  // namespace gem
