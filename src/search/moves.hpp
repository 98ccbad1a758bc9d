#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "search/placement.hpp"

namespace gem {

/// A change and what it does to the cost, exactly.
struct FoundMove {
  std::vector<Relocation> relocations;
  std::int64_t change;  ///< of Placement::cost
};

/// What a search has looked at, for rates: a candidate-step is one move judged in one step.
struct SearchWork {
  std::uint64_t candidate_steps = 0;  ///< of all moves that were considered, as if each had been summed over all steps
  std::uint64_t evaluated_steps = 0;  ///< really looked up
};

/// A kind of change that the search makes between two devices. It is judged here and made by Placement::apply, and both
/// must agree on what it brings: builds with GEM_CHECK_DELTAS, and all tests of the search, compare `change` with the
/// full cost each time that a move is made (delta_check.hpp).
class Move {
 public:
  virtual ~Move() = default;
  virtual std::string_view name() const = 0;
  /// The move of this kind that lowers the cost the most, the first in slot order of equal ones; nothing if none lowers
  /// it by more than `to_beat`, 0 or more.
  virtual std::optional<FoundMove> evaluate(const Placement& placement, std::int32_t first, std::int32_t second,
                                            std::int64_t to_beat) = 0;
  std::optional<FoundMove> evaluate(const Placement& placement, std::int32_t first, std::int32_t second) {
    return evaluate(placement, first, second, 0);
  }
  const SearchWork& work() const { return work_; }

 protected:
  SearchWork work_;
};

/// All moves, in the order in which they are tried: a new one is a file and a line in moves.cpp.
std::vector<std::unique_ptr<Move>> make_moves();

}  // namespace gem
