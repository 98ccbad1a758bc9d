#pragma once

#include <string>
#include <string_view>

#include "model/latency_profile.hpp"

namespace gem {

/// A profile as a JSON text, for where no HDF5 is: every field that `visit_fields` names and that a search needs, under
/// its name; null where unknown. Single samples and telemetry but the clocks are left out.
std::string profile_text(LatencyProfile profile);

/// Reads it back; DataError naming `origin` and the field for what it should not hold, and for an unfinished profile.
LatencyProfile parse_profile_text(std::string_view text, const std::string& origin);

/// The same of a file of at most 64 MiB.
LatencyProfile read_profile_text(const std::string& path);

}  // namespace gem
