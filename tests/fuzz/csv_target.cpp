// Tables in CSV: counts, models, runtimes of GPUs.
#include <string_view>

#include "fuzz/fuzz_input.hpp"
#include "interchange/statistics_readers.hpp"
#include "model/moe_model.hpp"
#include "model/variability.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace gem;
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  must_read_or_refuse([&] { parse_models(text, "models"); });
  must_read_or_refuse([&] { parse_variability(text, "runtimes"); });
  const FuzzFile file(bytes, size, ".csv");
  must_read_or_refuse([&] { read_plain_counts(file.path()); });
  return 0;
}
