#include "device/device_factory.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "device/command/command_device.hpp"

namespace gem {
namespace {

void refuse_shared_gpus(const DeviceDescription& mine, const Communicator& ranks) {
  const std::vector<std::string> gpus = ranks.gather(mine.uuid.empty() ? "" : mine.uuid + " of " + mine.hostname);
  ranks.on_root([&] {
    for (std::size_t a = 0; a < gpus.size(); ++a)
      for (std::size_t b = a + 1; b < gpus.size(); ++b)
        if (!gpus[a].empty() && gpus[a] == gpus[b])
          throw UsageError(
              fmt::format("ranks {} and {} would share {}; start one rank a GPU, or give {} turns to let "
                          "them use it one after the other",
                          a, b, gpus[a], option_name(&DeviceOptions::share_gpu)));
  });
}

}  // namespace

std::string default_device_kind() {
  return (*std::ranges::find_if(device_kinds(), &DeviceKind::is_built))->name;
}

std::size_t default_tile_tokens(const DeviceOptions& options, double tokens_per_expert) {
  if (options.tile_rule.empty()) return device_kind(options.kind).tile_tokens(options, tokens_per_expert);
  const double rows = tokens_per_expert * static_cast<double>(options.experts_per_device);
  return tile_of_rows(options.tile_rule, static_cast<std::size_t>(std::ceil(rows)));
}

std::string served_weights(const std::string& served) {
  return served.substr(0, served.find(' '));
}

void choose_weights(DeviceOptions& options, const MoeModel& model) {
  const auto can_run = [&](WeightType type) { return device_kind(options.kind).why_not(options, type).empty(); };
  const std::optional<WeightType> served = known_weight_type(served_weights(model.weight_dtype));
  if (options.asked_weight_type)
    options.weight_type = *options.asked_weight_type;
  else if (served && can_run(*served))
    options.weight_type = *served;
  else
    options.weight_type = can_run(WeightType::Bf16) ? WeightType::Bf16 : WeightType::F32;
}

std::string why_other_weights(const DeviceOptions& options, const std::string& served) {
  const std::string word = served_weights(served);
  if (word.empty() || word == word_of(options.weight_type)) return "";
  if (options.asked_weight_type) return spelled(option_name(&DeviceOptions::asked_weight_type)) + " says otherwise";
  const std::optional<WeightType> known = known_weight_type(word);
  return known ? device_kind(options.kind).why_not(options, *known) : "no device here has them";
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
  if (!options.command.empty() && &kind != &command_kind())
    throw option_error(option_name(&DeviceOptions::command), "{} is for {} command, not for {} {}",
                       option_name(&DeviceOptions::kind), option_name(&DeviceOptions::kind), kind.name);
  if (!options.tile_rule_text.empty() && !kind.is_virtual() && &kind != &command_kind())
    throw option_error(option_name(&DeviceOptions::tile_rule_text),
                       "{}: {} devices have one tile; it is for simulated devices and other programs", kind.name);
  if (options.tile_rule_text == told_tile_rule && !kind.tells_tiles)
    throw option_error(option_name(&DeviceOptions::tile_rule_text), "{}: {} devices don't say it; give the rule",
                       kind.name);
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
  const DeviceKind& kind = device_kind(options.kind);
  auto devices = kind.make(
      options, ranks,
      devices_of_rank(device_count_of(options, rank_count), rank_count, static_cast<std::size_t>(ranks.rank())));
  if (!kind.is_virtual() && !options.share_gpu) refuse_shared_gpus(devices.front()->description(), ranks);
  return devices;
}

}  // namespace gem
