#pragma once

#include <cstddef>
#include <cstdint>

#include "model/load_trace.hpp"

namespace gem {

/// How many steps a search fills up to where nothing else is said; in large layers (large_layer) fewer: these take long
/// and gain nothing by more (tests/benchmark/search.md).
constexpr std::size_t default_mixed_steps = 512, mixed_steps_of_large = 128;

/// How often each of `own` steps is among `step_count` of with_mixed_steps: as often as fits into half of them, once at
/// least.
std::size_t own_step_copies(std::size_t own, std::size_t step_count);

/// A trace of at least `step_count` steps: one half the trace's own, over and over, the other half mixtures of two of
/// them, where each token of either step is taken with even chance. A mapping searched on few steps fits their chances
/// too well; mixtures are steps that could have been (half the requests of one batch, half of another), and what is
/// searched on them holds better on requests never seen, while the own steps keep their weight
/// (tests/benchmark/search_choices.md). Returns the trace itself if it is long enough.
LoadTrace with_mixed_steps(const LoadTrace& trace, std::size_t step_count, std::uint64_t seed);

/// Steps to search on where `left_s` of a time limit are left, at most `wanted` and at least `own`: as many as take a
/// tenth of it to prepare, if the trace's own steps take `own_s`; the first look at them takes more, and can't be cut.
std::size_t mixed_steps_in_time(std::size_t wanted, std::size_t own, double own_s, double left_s);

}  // namespace gem
