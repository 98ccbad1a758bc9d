#include "search/delta_check.hpp"

#include <fmt/core.h>
#include <stdexcept>

namespace gem {

void check_delta(const Placement& placement, std::int64_t cost_before, std::int64_t change, std::string_view move) {
  const std::int64_t full = Placement(placement.problem(), placement.assignment(), placement.weights()).cost();
  if (cost_before + change == full && placement.cost() == full) return;
  throw std::logic_error(
      fmt::format("move '{}' said that a cost of {} changes by {}, the placement has {}, but all summed anew is {}",
                  move, cost_before, change, placement.cost(), full));
}

}  // namespace gem
