#pragma once

#include <cstdint>
#include <string>

namespace gem {

/// Where a file comes from; root attributes of every file that GEM writes.
struct Provenance {
  std::string software_version;
  std::string command_line;
  std::string created;  ///< UTC, ISO 8601: "2026-01-31T12:00:00Z"
  std::string model;    ///< the MoE model's name
  std::uint64_t seed = 0;
};

/// Provenance of a file that this program makes now.
Provenance provenance_now(const std::string& command_line, const std::string& model, std::uint64_t seed);

}  // namespace gem
