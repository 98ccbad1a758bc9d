#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "search/moves.hpp"

namespace gem {

/// Makes moves (moves.hpp) while any lowers the cost; ends at a local optimum of them all. Sweeps over the pairs of
/// devices and makes the best move of each; a pair is looked at again only when something has changed since. (Always
/// taking the pair that can save the most costs 2.5 times the time for the same result.)
class Descent {
 public:
  /// `stop_now` is asked now and then; once it says yes, descents end where they are. Empty: never.
  explicit Descent(std::function<bool()> stop_now = {}) : stop_now_(std::move(stop_now)) {}

  /// From now on only moves are made that lower the cost by more than this, ticks, 0 or more; at first 0.
  void set_to_beat(std::int64_t to_beat) { to_beat_ = to_beat; }

  void run(Placement& placement);

  /// After changes to a local optimum: sweeps over the pairs with a changed device alone, which finds most of what
  /// `run` would in a part of the time.
  void repair(Placement& placement, std::span<const std::int32_t> changed);

  SearchWork work() const;
  bool was_stopped() const { return stopped_; }

 private:
  void forget(std::size_t device_count);
  // One sweep over all pairs of a block, or over those with a changed device; true if a move was made.
  bool sweep(Placement& placement, bool changed_only);
  // Makes the first kind's best move between the two that lowers the cost by enough; false if there is none.
  bool move(Placement& placement, std::int32_t first, std::int32_t second);

  bool stop();

  std::function<bool()> stop_now_;
  std::int64_t to_beat_ = 0;
  std::uint64_t pairs_looked_at_ = 0;
  bool stopped_ = false;
  std::vector<std::unique_ptr<Move>> moves_ = make_moves();
  std::uint64_t change_ = 0;               // number of the last change
  std::vector<std::uint64_t> changed_at_;  // [device], 0: not changed
  std::vector<std::uint64_t>
      checked_at_;  // [device, device], change after which the pair was last found without a gain
};

}  // namespace gem
