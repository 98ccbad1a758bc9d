#pragma once

#include <cstddef>
#include <string>

#include "files/provenance.hpp"
#include "model/expert_pairs.hpp"
#include "model/load_trace.hpp"

namespace gem {

/// Reads a `gem.trace` file and checks all that it indexes with; DataError naming file and field.
LoadTrace read_trace(const std::string& path);

/// How many steps such a file holds. DataError likewise.
std::size_t count_steps(const std::string& path);

/// The same of some steps of the file alone, in the memory that these take.
LoadTrace read_steps(const std::string& path, std::size_t first, std::size_t count);

/// Which experts its tokens use together; empty where the file doesn't tell. DataError likewise.
ExpertPairs read_pairs(const std::string& path);

/// Writes a `gem.trace` file under a temporary name and renames it when whole. SystemError if it cannot be written.
void write_trace(const std::string& path, const LoadTrace& trace, const Provenance& provenance,
                 const ExpertPairs& pairs = {});

}  // namespace gem
