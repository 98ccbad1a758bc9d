#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/array.hpp"

namespace gem {

/// The column of each row, [row], each column once, so that the sum of `gain` [row, column] is the maximum: the
/// Hungarian method in O(rows^3). `gain` is square.
std::vector<std::size_t> best_matching(const Matrix<std::int64_t>& gain);

}  // namespace gem
