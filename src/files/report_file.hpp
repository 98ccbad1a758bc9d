#pragma once

#include <string>

#include "files/provenance.hpp"
#include "verification/findings.hpp"

namespace gem {

/// Reads a `gem.report` file and checks all that it indexes with; DataError naming file and field.
VerificationReport read_report(const std::string& path);

/// Writes a `gem.report` file, what was found of it included, under a temporary name and renames it when whole.
/// SystemError if it cannot be written.
void write_report(const std::string& path, const VerificationReport& report, const Findings& findings,
                  const Provenance& provenance);

}  // namespace gem
