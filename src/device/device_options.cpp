#include "device/device_options.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <optional>

#include "base/error.hpp"
#include "base/text.hpp"
#include "base/text_file.hpp"
#include "device/device_kind.hpp"
#include "model/variability.hpp"

namespace gem {
namespace {

constexpr double greatest_slowdown = 1e6;

}  // namespace

void describe(OptionList& options, DeviceOptions& devices) {
  options.group("Devices");
  options.add("device", devices.kind, "KIND", "what runs the experts").one_of(device_kind_words());
  options.add("command", devices.command, "COMMAND",
              "of {device} command: the program that each rank starts as its device, e.g. 'python3 -m "
              "gem_kernels.torch'; src/device/command/README.md has the protocol");
  options
      .add("command-timeout", devices.command_timeout_s, "SECONDS", "longest time that the program may take to answer")
      .above(0, 1e6)
      .not_in_results();
  options.add("devices", devices.device_count, "N", "how many simulated devices").range(0, 1e6).without("one a rank");
  options.add_numbers_or_file(
      "slowdown", devices.slowdown, "LIST|FILE.csv",
      "emulated slowdown of each device, e.g. 1.0,1.28 (repeated over 4, 6, ...), or measured runtimes of a real "
      "cluster to pick from");
  options
      .add(
          "dtype", devices.asked_weight_type,
          "number format of the weights: bf16; f32 on host and simulated; fp8 on cuda and simulated; any of these with "
          "{command}, whose program refuses what it lacks")
      .without("what the model is served with where {device} has it, else bf16");
  options.add("tile-tokens", devices.tile_tokens, "N", "rows of a tile of the expert kernel")
      .range(0, 65536)
      .without("what suits the mean tokens of an expert on cuda, else 16");
  options
      .add("tile-rule", devices.tile_rule_text, "ROWS:N,...,N",
           "of {device} simulated or command: tiles by the rows of the device, e.g. 32:16,512:64,128; or 'adapter', "
           "what "
           "the program says, or 'probe', what gem-profile finds in the steps of the latency")
      .without("one tile; of a program what it says, else a probe");
  options.add("share-gpu", devices.share_gpu, "ranks that share a GPU work one after the other");
  options.add("noise", devices.simulation.noise, "F", "relative noise of simulated devices").range(0, 0.999);
  options
      .add("outliers", devices.simulation.outlier_probability, "F", "share of disturbed samples of simulated devices")
      .range(0, 1);
}

double slowdown_of(const DeviceOptions& options, std::size_t device) {
  return options.slowdowns.empty() ? 1.0 : options.slowdowns[device % options.slowdowns.size()];
}

std::vector<TileStep> parse_tile_rule(const std::string& text) {
  if (text.empty() || text == told_tile_rule || text == probed_tile_rule) return {};
  const OptionName option = option_name(&DeviceOptions::tile_rule_text);
  const std::vector<std::string> steps = split(text, ',');
  std::vector<TileStep> rule;
  for (const std::string& step : steps) {
    const std::vector<std::string> sides = split(step, ':');
    const bool is_last = rule.size() + 1 == steps.size();
    if (sides.size() != (is_last ? 1 : 2))
      throw option_error(option, "{}: '{}' should be {}, e.g. 32:16,512:64,128", step,
                         is_last ? "N, a tile without rows, since it is the last" : "ROWS:N");
    const std::int64_t tile = parse_integer(sides.back(), spelled(option));
    const std::int64_t rows = is_last ? 0 : parse_integer(sides.front(), spelled(option));
    if (tile < 1 || tile > 65536) throw option_error(option, "{}: {} is out of range (1 to 65536)", tile);
    const std::int64_t before = rule.empty() ? 0 : static_cast<std::int64_t>(rule.back().up_to_rows);
    if (!is_last && (rows <= before || rows > greatest_load))
      throw option_error(option, "{}: {} rows don't come after {}; give ascending ones", rows, before);
    rule.push_back({static_cast<std::size_t>(rows), static_cast<std::size_t>(tile)});
  }
  return rule;
}

std::string tile_rule_text(const std::vector<TileStep>& rule) {
  std::vector<std::string> steps;
  for (const TileStep& step : rule)
    steps.push_back(step.up_to_rows > 0 ? fmt::format("{}:{}", step.up_to_rows, step.tile_tokens)
                                        : fmt::format("{}", step.tile_tokens));
  return join(steps, ",");
}

std::string slowdown_file_of(const std::string& text) {
  return text.find_first_not_of("0123456789.,eE+- ") == std::string::npos ? "" : text;
}

std::vector<double> parse_slowdowns(const std::string& text, std::size_t device_count) {
  if (text.empty()) return {};
  const OptionName option = option_name(&DeviceOptions::slowdown);
  if (slowdown_file_of(text).empty()) {
    const std::vector<double> slowdowns = parse_number_list(text, spelled(option));
    if (device_count % slowdowns.size() != 0)
      throw option_error(option,
                         "{}: {} values for {} devices; give one a device, or so many that they are repeated without "
                         "rest",
                         slowdowns.size(), device_count);
    for (const double slowdown : slowdowns)
      if (!(slowdown > 0.0 && slowdown <= greatest_slowdown))
        throw option_error(option, "{}: {:g} is out of range (above 0, up to {:g})", slowdown, greatest_slowdown);
    return slowdowns;
  }
  const std::optional<std::string> content = read_text_file(text);
  if (!content)
    throw option_error(option, "{}: '{}' is neither a list of numbers nor a CSV file that can be opened", text);
  std::vector<double> picked = pick_quantiles(parse_variability(*content, text), device_count);
  const double fastest = *std::min_element(picked.begin(), picked.end());
  for (double& runtime : picked) runtime /= fastest;
  return picked;
}

}  // namespace gem
