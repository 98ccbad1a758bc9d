#include "search/remap_numbering.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "search/matching.hpp"
#include "search/redundant_experts.hpp"

namespace gem {
namespace {

// Which devices hold each expert.
class Holders {
 public:
  Holders(const DeviceContents& contents, std::int32_t expert_count) {
    first_.assign(static_cast<std::size_t>(expert_count) + 1, 0);
    for_each(contents, [&](std::size_t expert, std::int32_t) { ++first_[expert + 1]; });
    std::partial_sum(first_.begin(), first_.end(), first_.begin());
    devices_.resize(first_.back());
    std::vector<std::size_t> next = first_;
    for_each(contents, [&](std::size_t expert, std::int32_t device) { devices_[next[expert]++] = device; });
  }
  /// Ascending, each once.
  std::span<const std::int32_t> of(std::int32_t expert) const {
    const auto e = static_cast<std::size_t>(expert);
    return std::span(devices_).subspan(first_[e], first_[e + 1] - first_[e]);
  }

 private:
  // Calls visit(expert, device) once for each expert of a device.
  template <class Visit>
  void for_each(const DeviceContents& contents, const Visit& visit) const {
    std::vector<std::int32_t> last(first_.size(), -1);  // [expert] device
    for (std::size_t d = 0; d < contents.size(); ++d)
      for (const std::int32_t expert : contents[d]) {
        const auto e = static_cast<std::size_t>(expert);
        const auto device = static_cast<std::int32_t>(d);
        if (expert < 0 || e + 1 >= first_.size() || last[e] == device) continue;
        last[e] = device;
        visit(e, device);
      }
  }

  std::vector<std::size_t> first_;  // [expert] in devices_, and one beyond
  std::vector<std::int32_t> devices_;
};

}  // namespace

Assignment nearest_assignment(const LayerProblem& problem, const DeviceContents& present) {
  constexpr std::int32_t nowhere = -1;
  Assignment assignment(problem.expert_count(), nowhere);
  std::vector<std::size_t> held(problem.device_count(), 0);
  const auto placed_count = static_cast<std::int32_t>(assignment.size());
  const Holders holders(present, placed_count > 0 ? problem.expert_of(placed_count - 1) + 1 : 0);
  for (std::int32_t begin = 0, end; begin < placed_count; begin = end) {
    const std::int32_t expert = problem.expert_of(begin);
    for (end = begin + 1; end < placed_count && problem.expert_of(end) == expert;) ++end;
    std::int32_t next = begin;
    for (const std::int32_t device : holders.of(expert)) {
      if (next == end) break;
      const auto d = static_cast<std::size_t>(device);
      if (held[d] == problem.slots_of(d)) continue;
      assignment[static_cast<std::size_t>(next++)] = device;
      ++held[d];
    }
  }
  std::size_t free_device = 0;
  for (std::int32_t& device : assignment) {
    if (device != nowhere) continue;
    while (held[free_device] == problem.slots_of(free_device)) ++free_device;
    device = static_cast<std::int32_t>(free_device);
    ++held[free_device];
  }
  if (problem.has_copies())
    separate_copies(assignment, problem.expert_of_copy(), std::vector<double>(assignment.size(), 0.0),
                    problem.device_count());
  return assignment;
}

Assignment numbered_like(const Assignment& from, Assignment to, const LayerProblem& problem) {
  if (!problem.has_copies()) return to;
  const auto count = static_cast<std::int32_t>(to.size());
  for (std::int32_t begin = 0, end; begin < count; begin = end) {
    for (end = begin + 1; end < count && problem.expert_of(end) == problem.expert_of(begin);) ++end;
    for (std::int32_t copy = begin; copy < end; ++copy)
      for (std::int32_t other = begin; other < end; ++other)
        if (to[static_cast<std::size_t>(other)] == from[static_cast<std::size_t>(copy)])
          std::swap(to[static_cast<std::size_t>(other)], to[static_cast<std::size_t>(copy)]);
  }
  return to;
}

Assignment relabelled(const LayerProblem& problem, const DeviceContents& present, const Assignment& assignment) {
  const std::size_t devices = problem.device_count(), block = problem.block_devices();
  const std::vector<std::int32_t>& nodes = problem.tables().node_of();
  const auto are_equal = [&](std::size_t a, std::size_t b) {
    return problem.slots_of(a) == problem.slots_of(b) && (nodes.empty() || nodes[a] == nodes[b]) &&
           std::ranges::equal(problem.tables().of(a), problem.tables().of(b));
  };
  std::vector<std::int32_t> label(devices);
  std::iota(label.begin(), label.end(), 0);
  std::vector<bool> done(devices, false);
  for (std::size_t first = 0; first < devices; ++first) {
    if (done[first]) continue;
    std::vector<std::size_t> equal;
    for (std::size_t device = first; device < (first / block + 1) * block; ++device)
      if (are_equal(first, device)) equal.push_back(device);
    for (const std::size_t device : equal) done[device] = true;
    Matrix<std::int64_t> kept(equal.size(), equal.size(), 0);
    for (std::size_t placed = 0; placed < assignment.size(); ++placed) {
      const auto at = std::ranges::find(equal, static_cast<std::size_t>(assignment[placed]));
      if (at == equal.end()) continue;
      for (std::size_t i = 0; i < equal.size(); ++i)
        if (holds(present[equal[i]], problem.expert_of(static_cast<std::int32_t>(placed))))
          ++kept(static_cast<std::size_t>(at - equal.begin()), i);
    }
    const std::vector<std::size_t> matched = best_matching(kept);
    for (std::size_t i = 0; i < equal.size(); ++i) label[equal[i]] = static_cast<std::int32_t>(equal[matched[i]]);
  }
  Assignment result;
  for (const std::int32_t device : assignment) result.push_back(label[static_cast<std::size_t>(device)]);
  return result;
}

}  // namespace gem
