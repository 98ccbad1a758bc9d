#include "files/mapping_file.hpp"

#include "files/header.hpp"
#include "model/mapping_fields.hpp"

namespace gem {

Mapping read_mapping(const std::string& path) {
  auto mapping = read_fields<Mapping>(open_gem_file(path, "gem.mapping"));
  check_mapping(mapping, path + ": /slots");
  return mapping;
}

void write_mapping(const std::string& path, const Mapping& mapping, const Provenance& provenance) {
  write_gem_file(path, "gem.mapping", mapping, provenance);
}

}  // namespace gem
