// NumPy's NPY and NPZ files, as counts and as routed experts.
#include <cstdlib>

#include "fuzz/import_input.hpp"
#include "interchange/npy.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace gem;
  must_read_or_refuse([&] {
    const NumberArray array = parse_npy(std::as_bytes(std::span(bytes, size)), "bytes");
    std::size_t count = 1;
    for (const std::size_t extent : array.extents) count *= extent;
    if (array.values.size() != count) std::abort();
  });
  for (const char* ending : {".npy", ".npz"}) {
    const FuzzFile file(bytes, size, ending);
    must_import_or_refuse(plain_counts_recording, file.path());
    must_import_or_refuse(routed_experts_recording, file.path());
  }
  return 0;
}
