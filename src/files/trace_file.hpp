#pragma once

#include <string>

#include "files/provenance.hpp"
#include "model/load_trace.hpp"

namespace gem {

/// Reads a `gem.trace` file and checks all that it indexes with; DataError naming file and field.
LoadTrace read_trace(const std::string& path);

/// Writes a `gem.trace` file under a temporary name and renames it when whole. SystemError if it cannot be written.
void write_trace(const std::string& path, const LoadTrace& trace, const Provenance& provenance);

}  // namespace gem
