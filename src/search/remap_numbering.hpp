#pragma once

#include "search/layer_problem.hpp"

namespace gem {

/// The assignment with the fewest moves from what devices hold: what the problem places stays where the expert is, and
/// what is left takes the slots that are left.
Assignment nearest_assignment(const LayerProblem& problem, const DeviceContents& present);

/// `to` with each expert's copies numbered so that those on devices of `from` have the same numbers.
Assignment numbered_like(const Assignment& from, Assignment to, const LayerProblem& problem);

/// The same placement, at the same cost, with equal devices relabelled so that moves from `present` are fewest: those
/// of equal tables and as many slots and, where stages have their maximum over nodes, of one node.
Assignment relabelled(const LayerProblem& problem, const DeviceContents& present, const Assignment& assignment);

}  // namespace gem
