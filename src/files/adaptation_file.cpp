#include "files/adaptation_file.hpp"

#include "adaptation/adaptation_fields.hpp"
#include "files/header.hpp"

namespace gem {

AdaptationReport read_adaptation(const std::string& path) {
  return read_fields<AdaptationReport>(open_gem_file(path, "gem.adaptation"));
}

void write_adaptation(const std::string& path, const AdaptationReport& report, const Provenance& provenance) {
  write_gem_file(path, "gem.adaptation", report, provenance);
}

}  // namespace gem
