#pragma once

#include <string>

#include "adaptation/adaptation_report.hpp"
#include "files/provenance.hpp"

namespace gem {

/// Reads a `gem.adaptation` file; DataError naming file and field.
AdaptationReport read_adaptation(const std::string& path);

/// Writes one under a temporary name and renames it when whole. SystemError if it cannot be written.
void write_adaptation(const std::string& path, const AdaptationReport& report, const Provenance& provenance);

}  // namespace gem
