#pragma once

#include <cstddef>

#include "model/load_trace.hpp"

namespace gem {

/// The most steps before `end` that tell the loads of the last ones as well as fewer do: `least`, doubled as long as
/// the likelihood of the last 32 steps under the shares of those before them doesn't surely fall (at 99 % confidence,
/// over blocks of 8 steps), at most `most`. Less than `most` is returned only from twice `least` on, and then loads
/// drift.
std::size_t telling_steps(const LoadTrace& trace, std::size_t end, std::size_t least, std::size_t most);

/// The `count` steps before `end` as they would be a window after it, by the trend of loads: what an expert got is
/// multiplied by its share then over its share when the step ran, both by the line through its shares (least squares
/// over windows). How loads scatter and come together is kept, and known from all these steps. Fewer than one and a
/// half windows show no trend and stay as they are.
LoadTrace carried_over(const LoadTrace& trace, std::size_t end, std::size_t count, std::size_t window);

}  // namespace gem
