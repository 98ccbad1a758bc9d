#pragma once

#include <string>

#include "files/provenance.hpp"
#include "model/mapping.hpp"

namespace gem {

/// Reads a `gem.mapping` file and checks all that it indexes with, the slots against the homes; DataError naming file
/// and field.
Mapping read_mapping(const std::string& path);

/// Writes a `gem.mapping` file under a temporary name and renames it when whole. SystemError if it cannot be written.
void write_mapping(const std::string& path, const Mapping& mapping, const Provenance& provenance);

}  // namespace gem
