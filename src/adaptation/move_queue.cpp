#include "adaptation/move_queue.hpp"

#include <algorithm>
#include <map>

namespace gem {

void MoveQueue::want(std::vector<LayerChange> changes) {
  wanted_.erase(wanted_.begin() + (has_begun() ? 1 : 0), wanted_.end());
  for (LayerChange& change : changes) wanted_.push_back(std::move(change));
}

MoveBatch MoveQueue::next(const std::vector<Assignment>& present, std::size_t budget) {
  MoveBatch batch;
  while (!wanted_.empty() && budget > 0) {
    const LayerChange& change = wanted_.front();
    const std::vector<ExpertTransfer> all = transfers_between(present[change.layer], change.assignment);
    if (all.empty()) {
      wanted_.pop_front();
      continue;
    }
    const std::size_t count = std::min(budget, all.size() - sent_);
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(sent_);
    batch.layer = change.layer;
    batch.transfers.assign(begin, begin + static_cast<std::ptrdiff_t>(count));
    sent_ += count;
    batch.completes = sent_ == all.size();
    break;
  }
  return batch;
}

void MoveQueue::complete(std::vector<Assignment>& present) {
  present[wanted_.front().layer] = std::move(wanted_.front().assignment);
  wanted_.pop_front();
  sent_ = 0;
}

std::vector<ExpertTransfer> transfers_between(const Assignment& from, const Assignment& to) {
  std::vector<ExpertTransfer> transfers;
  std::map<std::int32_t, std::size_t> arrived;
  for (std::size_t expert = 0; expert < to.size(); ++expert)
    if (from[expert] != to[expert])
      transfers.push_back({static_cast<std::int32_t>(expert), from[expert], to[expert], arrived[to[expert]]++});
  return transfers;
}

std::vector<SlotChange> slot_changes(const Assignment& from, const Assignment& to, std::int32_t device) {
  std::vector<SlotChange> changes;
  for (const ExpertTransfer& transfer : transfers_between(from, to))
    if (transfer.to == device) changes.push_back({-1, transfer.expert, transfer.place});
  std::size_t left = 0;
  for (const ExpertTransfer& transfer : transfers_between(from, to))
    if (transfer.from == device) changes[left++].leaving = transfer.expert;
  return changes;
}

}  // namespace gem
