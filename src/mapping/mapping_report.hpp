#pragma once

#include <string>
#include <vector>

#include "mapping/comparison.hpp"
#include "mapping/mapping_question.hpp"
#include "model/expert_copies.hpp"

namespace gem {

/// How much was searched, on how many steps, and how fast.
std::string describe_search(const MappingQuestion& question, const ModelAnswer& found, std::size_t step_count,
                            int rank_count);

/// "8 redundant experts a layer (+25 % of the experts' weights), at most 3 copies of one", and who chose them.
std::string describe_copies(const MappingQuestion& question, const CopyCounts& copies);

/// What was scored, and the table of methods.
std::string describe_comparison(const MappingQuestion& question, const std::vector<ComparedMethod>& compared,
                                const Bounds& bounds);

/// Says that a method to compare with is left out, and why.
std::string describe_left_out(Method method, const std::string& reason);

/// Says so where copies do harm, from mean seconds a step with them and without; else empty.
std::string describe_harm(const MappingQuestion& question, double with_s, double without_s);

}  // namespace gem
