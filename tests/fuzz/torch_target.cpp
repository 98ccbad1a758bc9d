// Files of torch.save: the archive, the pickle in it, SGLang's recordings and plain tensors. The bytes are also tried
// as a pickle of their own, which a fuzzer reaches more easily than through an archive.
#include <string_view>

#include "fuzz/import_input.hpp"
#include "interchange/pickle.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace gem;
  must_read_or_refuse([&] { Pickle::parse(std::string_view(reinterpret_cast<const char*>(bytes), size), "pickle"); });
  const FuzzFile file(bytes, size, ".pt");
  must_import_or_refuse(sglang_recording, file.path());
  must_import_or_refuse(plain_counts_recording, file.path());
  return 0;
}
