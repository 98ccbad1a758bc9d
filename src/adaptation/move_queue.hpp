#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "adaptation/policies.hpp"

namespace gem {

/// An expert that goes from a device to another.
struct ExpertTransfer {
  std::int32_t expert;
  std::int32_t from;
  std::int32_t to;
  std::size_t place;  ///< spare place of the new device that takes it
};

/// Experts of one layer that go together.
struct MoveBatch {
  std::size_t layer = 0;
  std::vector<ExpertTransfer> transfers;
  bool completes = false;  ///< the layer's last: then all that it needs has arrived
};

/// An expert that leaves a device, and the one that takes its slot out of a spare place.
struct SlotChange {
  std::int32_t leaving;
  std::int32_t arriving;
  std::size_t place;
};

/// What a policy still wants to move, in its order: layer by layer, of each as many experts at a time as may go. All of
/// a layer arrive in spare places before any leaves its old one.
class MoveQueue {
 public:
  /// New wishes take the place of the old ones, but a layer that has begun is moved first as it was begun.
  void want(std::vector<LayerChange> changes);

  bool is_empty() const { return wanted_.empty(); }
  /// Whether a part of a layer's experts has been sent.
  bool has_begun() const { return sent_ > 0; }

  /// The next transfers, at most `budget` of them and of one layer; `present` is the placement, [layer][expert]. Empty
  /// where nothing is wanted or the budget is 0.
  MoveBatch next(const std::vector<Assignment>& present, std::size_t budget);

  /// The layer of a batch that completes it is as was wanted.
  void complete(std::vector<Assignment>& present);

 private:
  std::deque<LayerChange> wanted_;
  std::size_t sent_ = 0;  // of the first's transfers
};

/// All of a layer's, in the order of experts.
std::vector<ExpertTransfer> transfers_between(const Assignment& from, const Assignment& to);

/// What changes on a device when all of a layer's transfers have arrived. Devices hold as many experts before as after.
std::vector<SlotChange> slot_changes(const Assignment& from, const Assignment& to, std::int32_t device);

}  // namespace gem
