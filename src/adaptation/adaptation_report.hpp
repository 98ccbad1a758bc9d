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

  std::size_t policy_count() const { return policies.size(); }
  std::size_t step_count() const { return step_s.columns(); }
};

/// One policy in numbers.
struct PolicySummary {
  double total_s = 0.0;  ///< with moves
  double mean_s = 0.0;   ///< a step, with moves
  double p99_s = 0.0;
  double worst_s = 0.0;
  std::size_t moved = 0;        ///< experts
  std::size_t remappings = 0;   ///< steps that began with moves
  double relative = 1.0;        ///< total over that of the reference policy
  Interval interval{1.0, 1.0};  ///< of it: bootstrap over blocks of steps
  double recovered = 0.0;       ///< of what the oracle wins over the reference policy; NaN where it wins nothing
  double reaction_steps = 0.0;  ///< median over changes until the first move; NaN where none followed a change
};

/// [policy]
std::vector<PolicySummary> summarize(const AdaptationReport& report, std::uint64_t seed);

/// Table and verdict.
struct AdaptationFindings {
  bool is_worse = false;                 ///< the judged policy, significantly, than the reference policy
  std::string verdict;                   ///< "faster", "not worse" or "slower"
  std::vector<PolicySummary> summaries;  ///< [policy]
  std::string text;
};

AdaptationFindings findings_of(const AdaptationReport& report, std::uint64_t seed);

/// The figures of the table and the verdict.
JsonRecord findings_record(const AdaptationReport& report, const AdaptationFindings& findings);

}  // namespace gem
