#include "verification/selection.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "mapping/sample.hpp"

namespace gem {
std::size_t first_unseen_step(const std::vector<Mapping>& mappings, const LoadTrace& trace) {
  std::size_t first = 0;
  for (const Mapping& mapping : mappings) {
    const Sample sample = sample_of(mapping, trace, 0);
    if (sample == Sample::InSample || (sample == Sample::Unknown && mapping.train_steps < trace.step_count()))
      first = std::max(first, mapping.train_steps);
  }
  if (first >= trace.step_count() && first > 0)
    throw UsageError(
        fmt::format("all {} steps of the trace were searched on; give a trace of other requests (gem-trace batch {} "
                    "test), or {} 0 for an in-sample score",
                    trace.step_count(), on_command_line("part"), spelled("first-step")));
  return first;
}

LoadTrace layers_of(const LoadTrace& trace, const std::vector<std::int32_t>& layer_ids) {
  if (layer_ids.empty()) return trace;
  std::vector<std::size_t> layers;
  for (const std::int32_t id : layer_ids) {
    if (std::ranges::count(layer_ids, id) > 1)
      throw UsageError(fmt::format("layer {} is there twice; give each layer once", id));
    const auto found = std::ranges::find(trace.layer_ids, id);
    if (found == trace.layer_ids.end())
      throw UsageError(fmt::format("the trace has no layer {}; it has {} layers, {} to {}", id, trace.layer_count(),
                                   trace.layer_ids.front(), trace.layer_ids.back()));
    layers.push_back(static_cast<std::size_t>(found - trace.layer_ids.begin()));
  }
  return chosen_layers(trace, layers);
}

std::vector<std::int32_t> spread_layers(const std::vector<std::int32_t>& layer_ids, std::size_t count) {
  const std::size_t chosen = std::min(count, layer_ids.size());
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < chosen; ++i)
    ids.push_back(layer_ids[chosen > 1 ? i * (layer_ids.size() - 1) / (chosen - 1) : 0]);
  return ids;
}

std::vector<std::string> distinct_names(const std::vector<std::string>& methods,
                                        const std::vector<std::string>& files) {
  const auto repeats = [&](const std::string& method) { return std::ranges::count(methods, method) > 1; };
  std::vector<std::string> by_file = methods, numbered = methods;
  for (std::size_t m = 0; m < methods.size(); ++m) {
    if (!repeats(methods[m])) continue;
    if (!files.empty()) by_file[m] = std::filesystem::path(files[m]).stem().string();
    const auto place = std::count(methods.begin(), methods.begin() + static_cast<std::ptrdiff_t>(m) + 1, methods[m]);
    if (place > 1) numbered[m] += fmt::format("#{}", static_cast<std::size_t>(place));
  }
  return std::set<std::string>(by_file.begin(), by_file.end()).size() == methods.size() ? by_file : numbered;
}

}  // namespace gem
