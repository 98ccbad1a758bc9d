#pragma once

#include <string>
#include <vector>

#include "model/device_summary.hpp"
#include "model/latency_profile.hpp"

namespace gem {

/// A reason not to trust a profile, as a sentence that says what was found and what to do.
struct ProfileDoubt {
  enum class Kind { Unsettled, Drift, FallsWithLoad, Throttling, NotDistinguishable };
  Kind kind;
  std::string sentence;
};

/// What makes the profile doubtful; nothing for a good one. In the order of Kind, one of each at most:
/// many points whose median isn't known well; drift over the sweep beyond the noise; latency that falls with load;
/// clocks held down at some loads and not at others, where serving has one state; devices that differ by less than
/// their noise.
std::vector<ProfileDoubt> doubts_of(const LatencyProfile& profile);

/// The sentences one after the other; empty for none.
std::string join_doubts(const std::vector<ProfileDoubt>& doubts);

/// A warning on lines of its own for each.
std::string warning_lines(const std::vector<ProfileDoubt>& doubts);

}  // namespace gem
