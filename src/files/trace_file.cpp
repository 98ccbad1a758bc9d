#include "files/trace_file.hpp"

#include "files/header.hpp"
#include "model/load_trace_fields.hpp"

namespace gem {
namespace {

LoadTrace checked(const Hdf5Input& file, const std::string& path) {
  auto trace = read_fields<LoadTrace>(file);
  check_experts(trace, path);
  return trace;
}

}  // namespace

LoadTrace read_trace(const std::string& path) {
  return checked(open_gem_file(path, "gem.trace"), path);
}

std::size_t count_steps(const std::string& path) {
  return open_gem_file(path, "gem.trace").extents("/counts", 3)[0];
}

LoadTrace read_steps(const std::string& path, std::size_t first, std::size_t count) {
  Hdf5Input file = open_gem_file(path, "gem.trace");
  file.limit_rows("/counts", first, count);
  if (file.has_dataset("/request_groups")) file.limit_rows("/request_groups", first, count);
  return checked(file, path);
}

ExpertPairs read_pairs(const std::string& path) {
  return read_fields<ExpertPairs>(open_gem_file(path, "gem.trace"));
}

void write_trace(const std::string& path, const LoadTrace& trace, const Provenance& provenance,
                 const ExpertPairs& pairs) {
  Hdf5Output file(path);
  write_header(file, "gem.trace", provenance);
  visit_fields(trace, FieldWriter(file));
  visit_fields(pairs, FieldWriter(file));
  file.commit();
}

}  // namespace gem
