// Tables in CSV: counts, models, runtimes of GPUs.
#include <string_view>

#include "fuzz/import_input.hpp"
#include "model/moe_model.hpp"
#include "model/variability.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace gem;
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  must_read_or_refuse([&] { parse_models(text, "models"); });
  must_read_or_refuse([&] { parse_variability(text, "runtimes"); });
  const FuzzFile file(bytes, size, ".csv");
  must_import_or_refuse(plain_counts_recording, file.path());
  return 0;
}
