#pragma once

#include <cstddef>

#include "model/load_trace.hpp"

namespace gem {

/// The most steps before `end` that tell the loads of the last ones as well as fewer do: `least`, doubled as long as
/// the likelihood of the last 32 steps under the shares of those before them doesn't surely fall (at 99 % confidence,
/// over blocks of 8 steps), at most `most`. Less than `most` is returned only from twice `least` on, and then loads
/// drift.
std::size_t telling_steps(const LoadTrace& trace, std::size_t end, std::size_t least, std::size_t most);

/// The `count` steps before `end` as they would be with the loads of the last `present` of them: what an expert got is
/// multiplied by its share now over its share in the block of steps that it is from. How loads scatter and come
/// together is kept, and known from many more steps than the present shares are. `present` divides nothing in
/// particular; blocks have as many steps.
LoadTrace carried_over(const LoadTrace& trace, std::size_t end, std::size_t count, std::size_t present);

}  // namespace gem
