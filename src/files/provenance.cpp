#include "files/provenance.hpp"

#include <ctime>

#include "platform/command_line/version.hpp"

namespace gem {

Provenance provenance_now(const std::string& command_line, const std::string& model, std::uint64_t seed) {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char created[sizeof "2026-01-31T12:00:00Z"];
  std::strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return {software_version(), command_line, created, model, seed};
}

}  // namespace gem
