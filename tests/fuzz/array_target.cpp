// NumPy's NPY and NPZ files, as counts and as routed experts.
#include <cstdlib>

#include "fuzz/fuzz_input.hpp"
#include "interchange/npy.hpp"
#include "interchange/statistics_readers.hpp"

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
    must_read_or_refuse([&] { read_plain_counts(file.path()); });
    must_read_or_refuse([&] { read_routed_experts({file.path()}, 16); });
  }
  return 0;
}
