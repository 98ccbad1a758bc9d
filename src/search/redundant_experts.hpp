#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/expert_copies.hpp"
#include "model/mapping.hpp"
#include "search/layer_problem.hpp"

namespace gem {

/// One more copy, `number` times, of the expert whose copies carry the most of `loads`, both [expert]; at most
/// `most_copies` of one.
void copy_heaviest(std::span<std::int32_t> counts, std::span<const double> loads, std::size_t number,
                   std::size_t most_copies);

/// Which experts get copies: in each layer, `redundant_experts` times the one whose copies carry the most tokens on
/// average gets one more, at most one a device (as DeepSeek's EPLB replicates).
CopyCounts choose_copies(const LoadTrace& trace, std::size_t redundant_experts, std::size_t device_count);

/// Ways to spend the copies, for a search to try. None, a quarter, half, three quarters or all of a layer's go to the
/// experts with the most tokens on average and the rest to those with the fewest, where they do least harm, since every
/// device must hold as many; a quarter to all likewise to those whose tokens vary the most from step to step (by their
/// standard deviation: what is the same in all steps can be balanced by placing it, what varies can't); or all by the
/// 99th percentile over steps of an expert's tokens, by their mean and 0.674 standard deviations, or one by one so that
/// the largest copy of each step has the fewest tokens.
std::vector<CopyCounts> ways_to_copy(const LoadTrace& trace, std::size_t redundant_experts, std::size_t device_count);

/// Moves copies until no device holds two of one expert, each to the place of a copy of another device whose load is
/// the nearest. `loads` [copy]; `expert_of_copy` as of experts_of_copies, with at most one copy a device in all.
void separate_copies(Assignment& assignment, std::span<const std::int32_t> expert_of_copy,
                     std::span<const double> loads, std::size_t device_count);

/// Renumbers each expert's copies by ascending device, as files and engines have them: it decides which copies get the
/// rest of tokens that don't divide. Does nothing where `expert_of_copy` is empty.
void order_copies(Assignment& assignment, std::span<const std::int32_t> expert_of_copy);

/// Copies of each expert of a mapping; empty where each has one.
CopyCounts copies_of(const Mapping& mapping);

/// Device of each expert of a mapping's layer, or, where there are copies, of each copy.
Assignment assignment_of(const Mapping& mapping, std::size_t layer);

/// The same of all layers.
std::vector<Assignment> assignments_of(const Mapping& mapping);

/// Assignments of experts, [layer], or of the copies of `copy_counts`, as a mapping without a name. Without copies
/// layers may have different numbers of experts.
Mapping mapping_of(const std::vector<Assignment>& layers, const CopyCounts& copy_counts, std::size_t device_count);

}  // namespace gem
