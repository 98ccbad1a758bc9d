#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/array.hpp"
#include "base/json_record.hpp"
#include "base/statistics.hpp"

namespace gem {

/// What a run under several policies came to.
struct AdaptationReport {
  std::string model;
  std::string tasks;                  ///< of the traces, and how they follow each other
  std::string device_kind;            ///< of what was run on
  std::string device_note;            ///< what of the devices was emulated
  std::string moving;                 ///< when weights really moved: a word of Moving; empty: moves are priced
  std::size_t first_step = 0;         ///< of the run; those before were searched on
  std::size_t expert_bytes = 0;       ///< 0 if unknown
  double move_s = 0.0;                ///< in which steps stand still for the move of one expert
  double horizon_steps = 0.0;         ///< for which moves had to pay
  std::vector<std::string> policies;  ///< [policy]
  Matrix<double> step_s;              ///< [policy, step], layers' slowest devices, without moves
  Matrix<double> pause_s;             ///< [policy, step], of moves before the step
  Matrix<std::uint32_t> moved;        ///< [policy, step], experts moved before the step
  Matrix<double> slowdown;            ///< [step, device], what devices really took, relative to their profile
  Matrix<double> believed_slowdown;   ///< [step, device], what triggered gem took them for
  std::vector<std::int32_t> changes;  ///< [change], step of the run at which a task or a speed changed
  // Of devices that compute, else empty.
  Matrix<double> exchange_s;                 ///< [policy, step], dispatch and combine of the layers' slowest devices
  double output_tolerance = 0.0;             ///< of output_error
  std::vector<double> output_error;          ///< [policy], greatest relative difference from outputs without moves
  std::vector<std::int64_t> checked_values;  ///< [policy], outputs that were compared
  std::vector<std::int64_t> unequal_values;  ///< [policy], of these, not equal to the bit

  std::size_t policy_count() const { return policies.size(); }
  std::size_t step_count() const { return step_s.columns(); }
};

/// One policy in numbers.
struct PolicySummary {
  double total_s = 0.0;  ///< with moves
  double mean_s = 0.0;   ///< a step, with moves
  double p99_s = 0.0;
  double worst_s = 0.0;
  std::size_t moved = 0;            ///< experts
  std::size_t remappings = 0;       ///< steps that began with moves
  double relative = 1.0;            ///< total over that of the reference policy
  Interval interval{1.0, 1.0};      ///< of it: bootstrap over blocks of steps
  double recovered = 0.0;           ///< of what the oracle wins over the reference policy; NaN where it wins nothing
  double regret_s = 0.0;            ///< total beyond the oracle's; below 0 where that one took longer
  std::vector<double> reactions{};  ///< [change] steps until the first move before the next change; NaN without one
  double reaction_steps = 0.0;      ///< median of those that there are; NaN where none followed a change
  double move_s = 0.0;              ///< steps stood still for each moved expert, on average; NaN where none moved
  double exchange_s = 0.0;          ///< of the run; NaN where nothing was exchanged
};

/// [policy]
std::vector<PolicySummary> summarize(const AdaptationReport& report, std::uint64_t seed);

/// Table and verdict.
struct AdaptationFindings {
  bool is_worse = false;                 ///< the judged policy, significantly, than the reference, or outputs are wrong
  bool nothing_moved = false;            ///< by the judged policy: then it is neither faster nor slower
  std::string verdict;                   ///< "faster", "not worse", "slower" or "wrong"
  std::vector<PolicySummary> summaries;  ///< [policy]
  std::string text;
};

AdaptationFindings findings_of(const AdaptationReport& report, std::uint64_t seed);

/// The figures of the table and the verdict.
JsonRecord findings_record(const AdaptationReport& report, const AdaptationFindings& findings);

}  // namespace gem
