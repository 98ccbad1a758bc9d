#include "search/move_plan.hpp"

#include <fmt/core.h>
#include <algorithm>

#include "base/error.hpp"

namespace gem {
namespace {

constexpr std::int32_t none = -1;

std::size_t places_of(const DeviceContents& contents, std::int32_t expert) {
  return static_cast<std::size_t>(
      std::ranges::count_if(contents, [&](const auto& device) { return holds(device, expert); }));
}

// What is in one list and not in the other, in order.
DeviceContents missing_in(const DeviceContents& contents, const DeviceContents& other) {
  DeviceContents missing(contents.size());
  for (std::size_t device = 0; device < contents.size(); ++device)
    for (const std::int32_t expert : contents[device])
      if (expert != none && !holds(other[device], expert)) missing[device].push_back(expert);
  return missing;
}

class Planner {
 public:
  Planner(std::int32_t layer, const DeviceContents& present, const DeviceContents& wanted)
      : layer_(layer),
        contents_(present),
        arrivals_(missing_in(wanted, present)),
        departures_(missing_in(present, wanted)) {}

  std::vector<ExpertMove> run() {
    while (leave_buffer() || move_one() || fill_buffer()) {
    }
    return std::move(moves_);
  }

 private:
  // The first expert that leaves the device and is somewhere else, too.
  std::int32_t replaceable(std::size_t device) const {
    for (const std::int32_t expert : departures_[device])
      if (places_of(contents_, expert) > 1 || buffered_ == expert) return expert;
    return none;
  }

  void make(ExpertMove move) {
    moves_.push_back(move);
    apply_move(move, contents_, buffered_);
    if (move.replaces == none) return;
    const auto device = static_cast<std::size_t>(move.to_device);
    std::erase(departures_[device], move.replaces);
    std::erase(arrivals_[device], move.expert);
  }

  std::int32_t source_of(std::int32_t expert) const {
    for (std::size_t device = 0; device < contents_.size(); ++device)
      if (holds(contents_[device], expert)) return static_cast<std::int32_t>(device);
    return none;
  }

  bool leave_buffer() {
    if (buffered_ == none) return false;
    const std::int32_t replaced = replaceable(static_cast<std::size_t>(buffer_device_));
    if (replaced == none) return false;
    make({layer_, buffered_, buffer_device_, buffer_device_, replaced});
    return true;
  }

  bool move_one() {
    for (std::size_t device = 0; device < arrivals_.size(); ++device) {
      const std::int32_t replaced = replaceable(device);
      if (replaced == none) continue;
      for (const std::int32_t expert : arrivals_[device]) {
        const std::int32_t source = source_of(expert);
        if (source == none) continue;  // it is in the buffer
        make({layer_, expert, source, static_cast<std::int32_t>(device), replaced});
        return true;
      }
    }
    return false;
  }

  bool fill_buffer() {
    if (buffered_ != none) return false;
    for (std::size_t device = 0; device < arrivals_.size(); ++device) {
      if (arrivals_[device].empty()) continue;
      buffer_device_ = static_cast<std::int32_t>(device);
      const std::int32_t expert = arrivals_[device].front();
      make({layer_, expert, source_of(expert), buffer_device_, none});
      return true;
    }
    return false;
  }

  std::int32_t layer_;
  DeviceContents contents_, arrivals_, departures_;
  std::int32_t buffered_ = none, buffer_device_ = none;
  std::vector<ExpertMove> moves_;
};

}  // namespace

std::vector<ExpertMove> plan_moves(std::int32_t layer, const DeviceContents& present, const DeviceContents& wanted) {
  return Planner(layer, present, wanted).run();
}

void apply_move(const ExpertMove& move, DeviceContents& contents, std::int32_t& buffered) {
  const auto& from = contents[static_cast<std::size_t>(move.from_device)];
  auto& to = contents[static_cast<std::size_t>(move.to_device)];
  const bool from_buffer = move.from_device == move.to_device;
  if (from_buffer ? buffered != move.expert : !holds(from, move.expert))
    throw DataError(fmt::format("a move takes expert {} of layer {} from device {}, where it isn't; map again",
                                move.expert, move.layer, move.from_device));
  if (move.replaces == none) {
    buffered = move.expert;
    return;
  }
  const auto slot = std::ranges::find(to, move.replaces);
  if (slot == to.end() || (places_of(contents, move.replaces) < 2 && buffered != move.replaces))
    throw DataError(
        fmt::format("a move overwrites expert {} of layer {} on device {}, but it isn't there, or nowhere "
                    "else; map again",
                    move.replaces, move.layer, move.to_device));
  *slot = move.expert;
  if (from_buffer) buffered = none;
}

}  // namespace gem
