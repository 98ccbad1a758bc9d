#include "device/device_factory.hpp"

#include <fmt/core.h>
#include <algorithm>

#include "base/error.hpp"

namespace gem {

std::string default_device_kind() {
  return (*std::ranges::find_if(device_kinds(), &DeviceKind::is_built))->name;
}

std::size_t default_tile_tokens(const DeviceOptions& options, double tokens_per_expert) {
  return device_kind(options.kind).tile_tokens(options, tokens_per_expert);
}

void check_device_options(const DeviceOptions& options) {
  const DeviceKind& kind = device_kind(options.kind);
  if (!kind.is_virtual() && options.device_count != 0)
    throw option_error(option_name(&DeviceOptions::device_count),
                       "{} is for simulated devices; the others have one device a rank (mpirun -n)");
  if (options.tile_tokens == 0 || options.tile_tokens > 65536)
    throw option_error(option_name(&DeviceOptions::tile_tokens), "{}: {} is out of range (1 to 65536)",
                       options.tile_tokens);
  if (options.expert.weight_count() == 0) throw UsageError("the shape of the experts has a zero in it");
  blaming(option_name(&DeviceOptions::weight_dtype), [&] { weight_element_bytes(options.weight_dtype); });
  kind.check(options);
}

std::size_t device_count_of(const DeviceOptions& options, std::size_t rank_count) {
  return options.device_count > 0 ? options.device_count : rank_count;
}

DeviceRange devices_of_rank(std::size_t device_count, std::size_t rank_count, std::size_t rank) {
  const std::size_t first = device_count * rank / rank_count;
  return {first, device_count * (rank + 1) / rank_count - first};
}

std::vector<std::unique_ptr<MoeDevice>> make_devices(const DeviceOptions& options, const Communicator& ranks) {
  const auto rank_count = static_cast<std::size_t>(ranks.size());
  return device_kind(options.kind)
      .make(options, ranks,
            devices_of_rank(device_count_of(options, rank_count), rank_count, static_cast<std::size_t>(ranks.rank())));
}

}  // namespace gem
