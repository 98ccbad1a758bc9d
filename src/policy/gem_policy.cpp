#include "policy/gem_policy.h"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/failure.hpp"
#include "base/statistics.hpp"
#include "model/device_selection.hpp"
#include "model/latency_profile.hpp"
#include "policy/placing.hpp"
#include "policy/profile_text.hpp"

struct gem_policy {
  gem::LatencyProfile profile;
};

namespace gem {
namespace {

thread_local std::string last_error;

constexpr std::int32_t max_devices = 1 << 16;

/// The C world's end of every function that can fail.
template <class Function>
std::int32_t guarded(const Function& function) {
  try {
    function();
    return GEM_POLICY_GOOD;
  } catch (...) {
    try {
      const Failure failure = current_failure();
      last_error = failure.message;
      return static_cast<std::int32_t>(failure.code);
    } catch (...) {
      last_error = "out of memory";  // short enough to need none itself
      return GEM_POLICY_SYSTEM;
    }
  }
}

void expect(bool holds, const std::string& what) {
  if (!holds) throw UsageError(what);
}

void expect_range(const char* name, std::int64_t value, std::int64_t least, std::int64_t greatest) {
  if (value < least || value > greatest)
    throw UsageError(fmt::format("{} is {}, but must be {} to {}", name, value, least, greatest));
}

void expect_positive(const char* name, double value) {
  if (!(std::isfinite(value) && value > 0.0))
    throw UsageError(fmt::format("{} is {}, but must be a number above 0", name, value));
}

// What a search needs of each device, one row of the profile.
void keep_devices(LatencyProfile& profile, std::span<const std::size_t> devices) {
  const auto rows_of = [&](const Matrix<double>& from) {
    if (from.rows() == 0) return from;
    Matrix<double> to(devices.size(), from.columns());
    for (std::size_t d = 0; d < devices.size(); ++d) std::ranges::copy(from.row(devices[d]), to.row(d).begin());
    return to;
  };
  std::vector<DeviceDescription> descriptions;
  for (const std::size_t device : devices) descriptions.push_back(profile.devices[device]);
  profile.devices = std::move(descriptions);
  profile.median_s = rows_of(profile.median_s);
  profile.regime_median_s = rows_of(profile.regime_median_s);
  // Nothing below is searched with.
  profile.p95_s = {};
  profile.samples_s = {};
  profile.exchange = {};
}

LatencyProfile unmeasured_devices(std::size_t device_count, std::int32_t tile_tokens, double tile_s, double expert_s) {
  LatencyProfile profile;
  profile.tile_tokens = static_cast<std::size_t>(tile_tokens);
  profile.devices.resize(device_count);
  // A plane through these points goes on beyond them.
  for (const std::int64_t active : {1, 2})
    for (const std::int64_t tiles : {active, active + 8, active + 16, active + 32, active + 64})
      profile.points.push_back({tiles, active, tiles * tile_tokens});
  profile.median_s = Matrix<double>(device_count, profile.points.size());
  for (std::size_t d = 0; d < device_count; ++d)
    for (std::size_t p = 0; p < profile.points.size(); ++p)
      profile.median_s(d, p) = static_cast<double>(profile.points[p].tiles) * tile_s +
                               static_cast<double>(profile.points[p].active_experts) * expert_s;
  return profile;
}

/// A question, checked.
class Question {
 public:
  Question(const LatencyProfile& profile, const gem_policy_question& asked) : asked_(asked) {
    expect(asked.size == sizeof(gem_policy_question),
           "the question has another size than this library's; build both from one version of gem_policy.h");
    expect(asked.counts != nullptr, "the question has no counts");
    expect_range("step_count", asked.step_count, 1, 1 << 20);
    expect_range("judged_steps", asked.judged_steps, 0, asked.step_count - 1);
    expect_range("layer_count", asked.layer_count, 1, 1 << 16);
    expect_range("expert_count", asked.expert_count, 1, 1 << 16);
    expect_range("device_count", asked.device_count, 1, max_devices);
    const std::int64_t slots = std::int64_t{asked.slots_per_device} * asked.device_count;
    if (asked.slots_per_device < 1 || slots < asked.expert_count ||
        slots > std::int64_t{asked.expert_count} * asked.device_count)
      throw UsageError(fmt::format(
          "{} devices with {} slots each can't hold {} experts: there must be a slot for each, and none twice on a "
          "device",
          asked.device_count, asked.slots_per_device, asked.expert_count));
    expect_positive("horizon_steps", asked.horizon_steps);
    if (!(std::isfinite(asked.move_s) && asked.move_s >= 0.0))
      throw UsageError(fmt::format("move_s is {}, but must be a number of 0 or more", asked.move_s));
    expect_range("iterations", asked.iterations, 0, 1 << 20);
    take_devices(profile);
  }

  LatencyProfile profile(const LatencyProfile& measured) const {
    LatencyProfile profile = measured;
    keep_devices(profile, devices_);
    if (asked_.slowdowns == nullptr) return profile;
    return slowed_down(profile, {asked_.slowdowns, asked_.slowdowns + devices_.size()});
  }

  PlacingQuestion placing() const {
    PlacingQuestion question;
    const auto steps = static_cast<std::size_t>(asked_.step_count);
    const auto judged = static_cast<std::size_t>(asked_.judged_steps);
    question.searched = steps_from(0, steps - judged);
    question.judged = judged > 0 ? steps_from(steps - judged, judged) : question.searched;
    question.slots_per_device = static_cast<std::size_t>(asked_.slots_per_device);
    if (asked_.present != nullptr) {
      question.present = Matrix<std::int32_t>(layers(), question.slots_per_device * devices_.size());
      std::copy_n(asked_.present, question.present.values().size(), question.present.values().begin());
    }
    const auto limit = [](std::int32_t moves) { return moves < 0 ? SIZE_MAX : static_cast<std::size_t>(moves); };
    question.max_moves = limit(asked_.max_moves);
    question.max_total_moves = limit(asked_.max_total_moves);
    question.move_s = asked_.move_s;
    question.horizon_steps = asked_.horizon_steps;
    question.iterations = static_cast<std::size_t>(asked_.iterations);
    question.seed = asked_.seed;
    return question;
  }

 private:
  std::size_t layers() const { return static_cast<std::size_t>(asked_.layer_count); }

  void take_devices(const LatencyProfile& profile) {
    for (std::int32_t rank = 0; rank < asked_.device_count; ++rank) {
      const std::int64_t device = asked_.devices == nullptr ? rank : asked_.devices[rank];
      if (device < 0 || device >= static_cast<std::int64_t>(profile.device_count()))
        throw UsageError(
            fmt::format("rank {} has device {} of the profile, but that has {}", rank, device, profile.device_count()));
      devices_.push_back(static_cast<std::size_t>(device));
      if (asked_.slowdowns != nullptr) expect_positive("a slowdown", asked_.slowdowns[rank]);
    }
  }

  LoadTrace steps_from(std::size_t first, std::size_t count) const {
    LoadTrace trace;
    const auto experts = static_cast<std::size_t>(asked_.expert_count);
    for (std::size_t layer = 0; layer < layers(); ++layer) trace.layer_ids.push_back(static_cast<std::int32_t>(layer));
    trace.counts = Cube<std::uint32_t>(count, layers(), experts);
    std::copy_n(asked_.counts + first * layers() * experts, trace.counts.values().size(),
                trace.counts.values().begin());
    return trace;
  }

  const gem_policy_question& asked_;
  std::vector<std::size_t> devices_;  // [rank]
};

void place(const gem_policy& policy, const gem_policy_question& asked, gem_policy_answer& answer) {
  expect(answer.size == sizeof(gem_policy_answer) && answer.map != nullptr,
         "the answer has another size than this library's, or no place for the map");
  const Question question(policy.profile, asked);
  const CostModel model(question.profile(policy.profile));
  const PlacingAnswer placed = place_experts(model, question.placing());
  std::ranges::copy(placed.map.values(), answer.map);
  answer.moves = static_cast<std::int32_t>(placed.moves);
  answer.changed_layers = static_cast<std::int32_t>(placed.changed_layers);
  answer.present_s = placed.present_s;
  answer.placed_s = placed.placed_s;
  answer.moves_s = static_cast<double>(placed.moves) * asked.move_s;
}

const DeviceDescription* find_device(const gem_policy* policy, std::int32_t device) {
  if (policy == nullptr || device < 0 || static_cast<std::size_t>(device) >= policy->profile.device_count())
    return nullptr;
  return &policy->profile.devices[static_cast<std::size_t>(device)];
}

}  // namespace
}  // namespace gem

extern "C" {

int32_t gem_policy_abi(void) {
  return GEM_POLICY_ABI;
}

const char* gem_policy_version(void) {
  return GEM_POLICY_VERSION;
}

const char* gem_policy_error(void) {
  return gem::last_error.c_str();
}

int32_t gem_policy_open(const char* path, gem_policy** policy) {
  return gem::guarded([&] {
    gem::expect(path != nullptr && policy != nullptr, "gem_policy_open needs a path and a place for the policy");
    *policy = new gem_policy{gem::read_profile_text(path)};
  });
}

int32_t gem_policy_open_equal(int32_t device_count, int32_t tile_tokens, double tile_s, double expert_s,
                              gem_policy** policy) {
  return gem::guarded([&] {
    gem::expect(policy != nullptr, "gem_policy_open_equal needs a place for the policy");
    gem::expect_range("device_count", device_count, 1, gem::max_devices);
    gem::expect_range("tile_tokens", tile_tokens, 1, 1 << 20);
    gem::expect_positive("tile_s", tile_s);
    gem::expect_positive("expert_s", expert_s);
    *policy =
        new gem_policy{gem::unmeasured_devices(static_cast<std::size_t>(device_count), tile_tokens, tile_s, expert_s)};
  });
}

int32_t gem_policy_open_mean(const gem_policy* measured, int32_t device_count, gem_policy** policy) {
  return gem::guarded([&] {
    gem::expect(measured != nullptr && policy != nullptr, "gem_policy_open_mean needs two policies");
    gem::expect_range("device_count", device_count, 1, gem::max_devices);
    gem::LatencyProfile profile = gem::equal_devices(measured->profile);
    gem::keep_devices(profile, std::vector<std::size_t>(static_cast<std::size_t>(device_count), 0));
    for (gem::DeviceDescription& device : profile.devices) device = {};
    profile.sm_clock_hz = {};
    *policy = new gem_policy{std::move(profile)};
  });
}

void gem_policy_close(gem_policy* policy) {
  delete policy;
}

int32_t gem_policy_device_count(const gem_policy* policy) {
  return policy == nullptr ? 0 : static_cast<int32_t>(policy->profile.device_count());
}

const char* gem_policy_device_uuid(const gem_policy* policy, int32_t device) {
  const gem::DeviceDescription* const found = gem::find_device(policy, device);
  return found == nullptr ? nullptr : found->uuid.c_str();
}

const char* gem_policy_device_name(const gem_policy* policy, int32_t device) {
  const gem::DeviceDescription* const found = gem::find_device(policy, device);
  return found == nullptr ? nullptr : found->name.c_str();
}

double gem_policy_device_clock(const gem_policy* policy, int32_t device) {
  double clock_hz = std::nan("");
  gem::guarded([&] {
    if (gem::find_device(policy, device) == nullptr || policy->profile.sm_clock_hz.rows() == 0) return;
    std::vector<double> known;
    for (const double value : policy->profile.sm_clock_hz.row(static_cast<std::size_t>(device)))
      if (!std::isnan(value)) known.push_back(value);
    if (!known.empty()) clock_hz = gem::median(known);
  });
  return clock_hz;
}

int32_t gem_policy_place(const gem_policy* policy, const gem_policy_question* question, gem_policy_answer* answer) {
  return gem::guarded([&] {
    gem::expect(policy != nullptr && question != nullptr && answer != nullptr,
                "gem_policy_place needs a policy, a question and an answer");
    gem::place(*policy, *question, *answer);
  });
}

}  // extern "C"
