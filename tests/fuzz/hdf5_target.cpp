// GEM's own files in HDF5. Each reader refuses the others' files by their format.
#include "files/mapping_file.hpp"
#include "files/profile_file.hpp"
#include "files/report_file.hpp"
#include "files/routing_file.hpp"
#include "files/trace_file.hpp"
#include "fuzz/fuzz_input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace gem;
  const FuzzFile file(bytes, size, ".h5");
  must_read_or_refuse([&] { read_routing(file.path()); });
  must_read_or_refuse([&] { read_trace(file.path()); });
  must_read_or_refuse([&] { read_mapping(file.path()); });
  must_read_or_refuse([&] { read_profile(file.path()); });
  must_read_or_refuse([&] { read_report(file.path()); });
  return 0;
}
