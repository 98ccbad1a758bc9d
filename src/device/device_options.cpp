#include "device/device_options.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "base/text.hpp"
#include "model/variability.hpp"
#include "platform/host/gemm.hpp"

namespace gem {
namespace {

constexpr double greatest_slowdown = 1e6;

}  // namespace

std::size_t weight_element_bytes(const std::string& dtype) {
  if (dtype == "fp8") return 1;
  if (dtype == "bf16" || dtype == "f32") return element_bytes(parse_gemm_type(dtype, "--dtype"));
  throw UsageError("--dtype: '" + dtype + "' is none of bf16, f32, fp8");
}

double slowdown_of(const DeviceOptions& options, std::size_t device) {
  return options.slowdowns.empty() ? 1.0 : options.slowdowns[device % options.slowdowns.size()];
}

std::vector<double> parse_slowdowns(const std::string& text, std::size_t device_count) {
  if (text.empty()) return {};
  const bool is_list = text.find_first_not_of("0123456789.,eE+- ") == std::string::npos;
  if (is_list) {
    const std::vector<double> slowdowns = parse_number_list(text, "--slowdown");
    if (device_count % slowdowns.size() != 0)
      throw UsageError(
          fmt::format("--slowdown: {} values for {} devices; give one a device, or so many that they are "
                      "repeated without rest",
                      slowdowns.size(), device_count));
    for (const double slowdown : slowdowns)
      if (!(slowdown > 0.0 && slowdown <= greatest_slowdown))
        throw UsageError(
            fmt::format("--slowdown: {:g} is out of range (above 0, at most {:g})", slowdown, greatest_slowdown));
    return slowdowns;
  }
  std::ifstream file(text);
  if (!file)
    throw UsageError("--slowdown: '" + text + "' is neither a list of numbers nor a CSV file that can be opened");
  std::ostringstream content;
  content << file.rdbuf();
  std::vector<double> picked = pick_quantiles(parse_variability(content.str(), text), device_count);
  const double fastest = *std::min_element(picked.begin(), picked.end());
  for (double& runtime : picked) runtime /= fastest;
  return picked;
}

}  // namespace gem
