#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/array.hpp"
#include "model/latency_profile.hpp"
#include "model/load_trace.hpp"
#include "profile/random_loads.hpp"

namespace gem {

/// Loads that a profile's surface is tried on: it has not seen them.
struct ValidationLoads {
  std::vector<std::vector<std::uint32_t>> tokens_per_slot;  ///< [load][slot]
  std::vector<std::string> source;                          ///< [load], "random" or the trace's task
};

/// As random_load draws them; those with fewer active experts than the distribution's least are drawn anew, at most a
/// thousand times.
void add_random_loads(ValidationLoads& loads, std::size_t count, std::size_t slot_count,
                      const LoadDistribution& distribution, std::uint64_t seed);

/// What real steps brought: random (step, layer) of the trace and random neighbouring experts, as many as slots. Loads
/// without a token or with more than max_tokens are passed over. UsageError if the trace has fewer experts than slots,
/// or hardly any load that suits.
void add_trace_loads(ValidationLoads& loads, std::size_t count, std::size_t slot_count, std::size_t max_tokens,
                     const LoadTrace& trace, std::uint64_t seed);

/// Predictions beside measurements, [device, load] seconds.
struct Validation {
  ValidationLoads loads;
  Matrix<double> measured_s;
  Matrix<double> surface_s;  ///< by tiles, active experts and what the profile's rule adds
  Matrix<double> plain_s;    ///< by plain tiles and active experts
  Matrix<double> curve_s;    ///< by tokens alone
};

/// `measured_s` as measure_loads gives it.
Validation validate(const LatencyProfile& profile, ValidationLoads loads, Matrix<double> measured_s);

/// The relative errors of one prediction over devices and loads of one source.
struct ValidationError {
  std::string source;      ///< of the loads; "all"
  std::string prediction;  ///< what it is made from
  std::size_t measurements = 0;
  double median = 0.0, p90 = 0.0, worst = 0.0;
};

/// Of all predictions, by source.
std::vector<ValidationError> validation_errors(const Validation& validation);

/// The errors as a table, in percent.
std::string validation_table(const Validation& validation);

/// One line a load and device: source, tiles, active experts, tokens, all and by expert, measured and predicted
/// seconds.
std::string validation_csv(const Validation& validation, const LoadRules& rules);

}  // namespace gem
