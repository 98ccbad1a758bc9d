#pragma once

#include "files/header.hpp"
#include "model/latency_profile.hpp"

namespace gem {

// What a finished profile and a growing one have in common: everything but the results.

/// Attributes, `/points` and `/devices` of a profile.
void write_profile_plan(Hdf5Output& file, const LatencyProfile& plan);

/// Reads them back, checked; results are left empty.
LatencyProfile read_profile_plan(const Hdf5Input& file);

/// Positive and finite, as latencies and factors must be.
bool is_positive(double value);

}  // namespace gem
