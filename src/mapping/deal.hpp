#pragma once

#include <cstddef>
#include <functional>

#include "platform/mpi/mpi.hpp"
#include "platform/mpi/shared_counter.hpp"

namespace gem {

/// Runs `work(unit, counter)` once for each unit 0 .. unit_count - 1, on whichever rank is free next, so that a slow
/// rank holds nobody up. Long units call `counter.serve()` now and then. A rank that finds `is_over` of a unit runs
/// neither it nor any later one. Collective; an error on any rank is thrown by all.
void deal(
    const Communicator& world, std::size_t unit_count,
    const std::function<void(std::size_t unit, const SharedCounter& counter)>& work,
    const std::function<bool(std::size_t unit)>& is_over = [](std::size_t) { return false; });

}  // namespace gem
