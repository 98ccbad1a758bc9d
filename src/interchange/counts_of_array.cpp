// Plain arrays as counts: which axis is which, and what is no counts at all.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/import.hpp"
#include "interchange/not_counts.hpp"

namespace gem {
namespace {

constexpr std::size_t largest_top_k = 16;
constexpr std::size_t most_shared = 2;  // fused shared experts, which have places behind the top-k

/// The array as [step, layer, expert] or [layer, expert], by the names of its axes.
NumberArray ordered_by_axes(const NumberArray& array, const std::string& axes, const std::string& origin) {
  std::vector<std::string> names = split(axes, ',');
  for (std::string& name : names) name = trim(name);
  const auto refuse_names = [&]() -> NumberArray {
    throw UsageError(on_command_line("axes") + " '" + axes +
                     "' must name each of step, layer and expert once (or layer and expert, or "
                     "layer, rank and slot), in the order of the array's axes, as layer,step,expert");
  };
  if (names.size() != array.extents.size())
    throw UsageError(fmt::format("{}: has extents {}, but {} names {} axes", origin, extents_text(array.extents),
                                 on_command_line("axes"), names.size()));
  if (names == std::vector<std::string>{"layer", "rank", "slot"}) {
    NumberArray flat = array;  // slots of rank after rank are the experts in order
    flat.extents = {array.extents[0], array.extents[1] * array.extents[2]};
    return flat;
  }
  const std::vector<std::string> wanted = names.size() == 3 ? std::vector<std::string>{"step", "layer", "expert"}
                                                            : std::vector<std::string>{"layer", "expert"};
  if (names.size() != wanted.size()) return refuse_names();
  std::vector<std::size_t> order;
  for (const std::string& name : wanted) {
    const auto found = std::ranges::find(names, name);
    if (found == names.end()) return refuse_names();
    order.push_back(static_cast<std::size_t>(found - names.begin()));
  }
  return reordered(array, order);
}

std::span<const double> row_of(const NumberArray& array, std::size_t row) {
  return std::span(array.values).subspan(row * array.extents.back(), array.extents.back());
}

/// Whether all layers of each step have the same sum, as tokens x top-k is; `array` is [step, layer, expert].
bool layers_agree(const NumberArray& array) {
  const std::size_t layers = array.extents[1];
  std::vector<double> sums(array.extents[0] * layers);
  for (std::size_t row = 0; row < sums.size(); ++row) {
    const auto values = row_of(array, row);
    sums[row] = std::accumulate(values.begin(), values.end(), 0.0);
  }
  for (std::size_t row = 0; row < sums.size(); ++row)
    if (sums[row] != sums[row - row % layers]) return false;
  return true;
}

/// Other orders of the axes in which layers agree where they don't in the one assumed: the array is transposed.
void refuse_transposed(const NumberArray& array, const std::string& origin) {
  const bool flat = array.extents.size() == 2;
  NumberArray cube = array;
  if (flat) cube.extents.insert(cube.extents.begin(), 1);
  if (std::ranges::any_of(array.extents, [](std::size_t extent) { return extent < 2; }) || layers_agree(cube)) return;
  // The step stands alone in a sum of all layers, so orders that only swap step and expert would be told by chance.
  const std::vector<std::pair<std::vector<std::size_t>, const char*>> others =
      flat ? std::vector<std::pair<std::vector<std::size_t>, const char*>>{{{0, 2, 1}, "expert,layer"}}
           : std::vector<std::pair<std::vector<std::size_t>, const char*>>{{{1, 0, 2}, "layer,step,expert"},
                                                                           {{0, 2, 1}, "step,expert,layer"},
                                                                           {{2, 1, 0}, "expert,layer,step"},
                                                                           {{2, 0, 1}, "layer,expert,step"},
                                                                           {{1, 2, 0}, "expert,step,layer"}};
  for (const auto& [order, axes] : others)
    if (layers_agree(reordered(cube, order)))
      throw DataError(
          fmt::format("{}: counts {} are transposed: layers of a step have different numbers of tokens, but all the "
                      "same if the axes are {}; say {} {}",
                      origin, extents_text(array.extents), axes, on_command_line("axes"), axes));
}

/// Whether numbers can be ids of experts: all of a known number, or, where it isn't known, as dense as ids are.
bool are_ids(const NumberArray& array, std::size_t expert_count) {
  if (array.values.empty()) return false;
  const double largest = std::ranges::max(array.values);
  if (expert_count > 0) return largest < static_cast<double>(expert_count);
  const auto named = static_cast<std::size_t>(largest) + 1;
  std::vector<bool> seen(named, false);
  for (const double value : array.values)
    if (value >= 0.0) seen[static_cast<std::size_t>(value)] = true;
  return array.values.size() >= 4 * named && 10 * static_cast<std::size_t>(std::ranges::count(seen, true)) >= 9 * named;
}

void refuse_what_is_no_counts(const NumberArray& array, const ImportOptions& options, const std::string& origin) {
  if (const std::string other = other_than_counts(array, options); !other.empty())
    throw DataError(origin + ": " + other);
  if (array.extents.size() == 3 && array.whole && options.top_k > 1 && array.extents[2] == options.top_k &&
      options.expert_count != options.top_k)
    throw DataError(fmt::format(
        "{}: has extents {}, and {} experts a token: it holds ids of experts [token, layer, k] ({} vllm-routed) or "
        "loads of ranks ({} layer,rank,slot), not counts [step, layer, expert]",
        origin, extents_text(array.extents), options.top_k, on_command_line("format"), on_command_line("axes")));
}

}  // namespace

ArrayKind kind_of_array(const NumberArray& array, const ImportOptions& options) {
  const std::size_t last = array.extents.back();
  if (!array.whole || last > largest_top_k || !options.axes.empty()) return ArrayKind::Counts;
  if (options.expert_count != 0 && last == options.expert_count) return ArrayKind::Counts;
  if (options.top_k != 0 && last > options.top_k + most_shared) return ArrayKind::Counts;
  if (std::ranges::any_of(array.values, [](double value) { return value < -1.0 || value > 65535.0; }))
    return ArrayKind::Counts;
  if (options.top_k != 0 && last == options.top_k && are_ids(array, options.expert_count)) return ArrayKind::Ids;
  return ArrayKind::Either;
}

namespace {

/// A line a token instead of a line a layer.
void refuse_ids_of_one_layer(const NumberArray& array, const ImportOptions& options, const std::string& origin) {
  if (array.extents.size() == 2 && array.whole && options.top_k > 1 && array.extents[1] == options.top_k &&
      options.expert_count != options.top_k)
    throw DataError(
        fmt::format("{}: has extents {}, and {} experts a token: it holds ids of experts [token, k], not counts "
                    "[layer, expert]; routed experts are read as [token, layer, k]",
                    origin, extents_text(array.extents), options.top_k));
}

}  // namespace

ImportedCounts counts_of_array(const NumberArray& array, const ImportOptions& options, const std::string& origin) {
  if (array.extents.size() != 2 && array.extents.size() != 3)
    throw DataError(origin + ": has extents " + extents_text(array.extents) +
                    ", but counts are [step, layer, expert], or [layer, expert] without a time axis");
  const NumberArray ordered = options.axes.empty() ? array : ordered_by_axes(array, options.axes, origin);
  if (options.axes.empty()) {
    refuse_what_is_no_counts(ordered, options, origin);
    refuse_ids_of_one_layer(ordered, options, origin);
    refuse_transposed(ordered, origin);
  }
  ImportedCounts imported;
  imported.source = "counts " + extents_text(array.extents);
  imported.has_steps = ordered.extents.size() == 3;
  const std::size_t steps = imported.has_steps ? ordered.extents[0] : 1;
  const auto extents = std::span(ordered.extents).last(2);
  imported.counts = Cube<double>(steps, extents[0], extents[1]);
  imported.counts.values() = ordered.values;
  return imported;
}

}  // namespace gem
