#pragma once

#include <string>

#include "files/provenance.hpp"
#include "model/routing.hpp"

namespace gem {

/// Reads a `gem.routing` file and checks all that it indexes with; DataError naming file and field.
Routing read_routing(const std::string& path);

/// Writes a `gem.routing` file under a temporary name and renames it when whole; ids as u8 where they fit, else u16.
/// SystemError if it cannot be written.
void write_routing(const std::string& path, const Routing& routing, const Provenance& provenance);

}  // namespace gem
