#include "files/trace_file.hpp"

#include "files/header.hpp"
#include "model/load_trace_fields.hpp"

namespace gem {

LoadTrace read_trace(const std::string& path) {
  return read_fields<LoadTrace>(open_gem_file(path, "gem.trace"));
}

void write_trace(const std::string& path, const LoadTrace& trace, const Provenance& provenance) {
  write_gem_file(path, "gem.trace", trace, provenance);
}

}  // namespace gem
