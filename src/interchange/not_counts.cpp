// Numbers that look like counts of tokens and are none: maps of slots and devices, copies of experts, ids of experts,
// running totals. Every reader of counts asks here.
#include "interchange/not_counts.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <span>
#include <vector>

#include "base/option.hpp"
#include "interchange/import.hpp"

namespace gem {
namespace {

constexpr std::size_t largest_top_k = 16;
constexpr double largest_id = 4095.0;  // more experts than any model has

constexpr std::size_t most_looked_at = std::size_t{1} << 20;  // numbers of a large array that are enough to judge by

using Rows = std::vector<std::vector<double>>;

/// The first rows along the last axis of an array whose axes come in another order: axis d of the result is axis
/// order[d], and the last `joined` axes of it are one.
Rows rows_of(const NumberArray& array, const std::vector<std::size_t>& order, std::size_t joined) {
  std::vector<std::size_t> strides(array.extents.size(), 1), index(order.size(), 0);
  for (std::size_t d = array.extents.size(); d-- > 1;) strides[d - 1] = strides[d] * array.extents[d];
  std::size_t width = 1;
  for (std::size_t d = order.size() - joined; d < order.size(); ++d) width *= array.extents[order[d]];
  if (width == 0 || array.values.empty()) return {};
  Rows rows(std::min(array.values.size() / width, most_looked_at / width + 1), std::vector<double>(width));
  for (std::size_t at = 0; at < rows.size() * width; ++at) {
    std::size_t place = 0;
    for (std::size_t d = 0; d < order.size(); ++d) place += index[d] * strides[order[d]];
    rows[at / width][at % width] = array.values[place];
    for (std::size_t d = order.size(); d-- > 0 && ++index[d] == array.extents[order[d]];) index[d] = 0;
  }
  return rows;
}

/// How often each of 0, 1, ... stands in a row, -1 (an empty slot) left out; empty where the row holds anything else.
std::vector<std::size_t> frequencies(const std::vector<double>& row) {
  std::vector<std::size_t> found;
  for (const double value : row) {
    if (value == -1.0) continue;
    if (!(value >= 0.0 && value < static_cast<double>(row.size())) || value != std::floor(value)) return {};
    const auto number = static_cast<std::size_t>(value);
    if (number >= found.size()) found.resize(number + 1, 0);
    ++found[number];
  }
  return found;
}

bool is_all_zero(const std::vector<double>& row) {
  return std::ranges::all_of(row, [](double value) { return value == 0.0; });
}

/// What the rows name if they are a map: every row all of 0 to n - 1, most of them once, or all equally often.
std::string map_in(const Rows& rows, const ImportOptions& options) {
  std::size_t named = 0, width = 0, used = 0;
  bool equally = true;
  for (const auto& row : rows) {
    if (is_all_zero(row)) continue;  // dense layers
    const std::vector<std::size_t> found = frequencies(row);
    width = row.size();
    if (width < 4 || found.size() < 2 || (used > 0 && found.size() != named)) return "";
    const auto [least, most] = std::ranges::minmax(found);
    if (least == 0) return "";
    equally = equally && least == most;
    const bool once = 2 * found.size() > width;
    const bool often = found.size() >= 8 && 4 * found.size() >= width && most <= 4 * least && rows.size() > 1;
    if (!once && !often && least != most) return "";
    named = found.size();
    ++used;
  }
  if (used == 0) return "";
  // A token that chooses half of the experts looks like two devices with half of them each.
  if (named == 2 && (options.top_k == 0 || width % (2 * options.top_k) == 0)) return "";
  if (2 * named <= width && named < 4 && used < 2) return "";  // may be by chance
  if (equally && 2 * named <= width)
    return fmt::format(
        "names each of 0 to {} {} times in every layer, so it is a map from experts to devices or from slots to "
        "experts, not counts of tokens; gem-deploy import reads maps",
        named - 1, width / named);
  return fmt::format(
      "has each of the experts 0 to {} in every layer, so it is a map from slots to experts, not counts of tokens; "
      "gem-deploy import reads maps",
      named - 1);
}

/// Whether the one row holds each of 0 to n - 1 once.
bool names_each_once(const Rows& rows) {
  if (rows.size() != 1) return false;
  const std::vector<std::size_t> found = frequencies(rows[0]);
  return found.size() == rows[0].size() && std::ranges::all_of(found, [](std::size_t times) { return times == 1; });
}

/// Numbers of copies of each expert: small, none of them 0, in every layer as many together.
std::string copies_in(const Rows& rows) {
  double sum = -1.0, most = 0.0;
  for (const auto& row : rows) {
    const double own = std::accumulate(row.begin(), row.end(), 0.0);
    if (row.size() < 8 || (sum >= 0.0 && own != sum)) return "";
    sum = own;
    for (const double value : row) {
      if (!(value >= 1.0) || value != std::floor(value)) return "";
      most = std::max(most, value);
    }
  }
  if (rows.empty() || most < 2.0 || sum >= 2.0 * static_cast<double>(rows[0].size())) return "";
  return fmt::format(
      "has 1 to {:g} for each expert, {:g} together in every layer: numbers of copies of the experts, not counts of "
      "tokens",
      most, sum);
}

/// Whether every row can count tokens that go to top-k different experts each: the sum is a multiple of it, and no
/// expert has more tokens than there are. Ids hardly ever do that in all rows.
bool add_up_to_tokens(const Rows& rows, std::size_t top_k) {
  if (top_k < 2) return false;
  const auto k = static_cast<double>(top_k);
  return std::ranges::all_of(rows, [k](const std::vector<double>& row) {
    const double sum = std::accumulate(row.begin(), row.end(), 0.0);
    return std::fmod(sum, k) == 0.0 && std::ranges::max(row) <= sum / k;
  });
}

/// Whether rows of k numbers are ids of a token's experts: never the same twice in one, although by chance that would
/// have happened often.
bool are_ids(const Rows& rows, bool in_any_order, const ImportOptions& options) {
  if (rows.empty() || rows[0].size() < 2 || rows[0].size() > largest_top_k) return false;
  const std::size_t k = rows[0].size();
  std::vector<std::map<double, double>> often(k);  // by place
  double judged = 0.0;
  bool blank = false;
  std::size_t ascending = 0;
  for (std::vector<double> row : rows) {
    ascending += std::ranges::is_sorted(row);
    if (!std::ranges::all_of(
            row, [](double value) { return value >= -1.0 && value <= largest_id && value == std::floor(value); }))
      return false;
    if (row[0] <= 0.0 && std::ranges::all_of(row, [&](double value) { return value == row[0]; })) {
      blank = true;  // dense layers, tokens that were not recorded; or counts of 0
      continue;
    }
    for (std::size_t place = 0; place < k; ++place) ++often[place][row[place]];
    std::ranges::sort(row);
    if (std::ranges::adjacent_find(row) != row.end()) return false;
    ++judged;
  }
  if (judged == 0.0 || (!in_any_order && ascending == rows.size())) return false;
  double expected = 0.0;  // rows in which two places would be the same by chance
  for (std::size_t place = 1; place < k; ++place)
    for (std::size_t other = 0; other < place; ++other)
      for (const auto& [value, times] : often[place])
        if (const auto same = often[other].find(value); (value > 0.0 || !blank) && same != often[other].end())
          expected += times * same->second / judged;
  // As many as a token has experts need less to be believed.
  return expected >= (k == options.top_k ? 4.0 : 10.0);
}

std::string text_of_ids(const std::string& axes) {
  return fmt::format(
      "holds ids of experts {}, never one twice in a token, not counts of tokens; {} vllm-routed reads ids [token, "
      "layer, k], and {} says another order of the axes, as layer,token,k",
      axes, on_command_line("format"), on_command_line("axes"));
}

/// Ids along an axis of a known number of experts a token, or of any small number.
std::string ids_in(const NumberArray& array, const ImportOptions& options) {
  const std::size_t rank = array.extents.size();
  std::vector<std::size_t> as_they_are(rank);
  std::iota(as_they_are.begin(), as_they_are.end(), std::size_t{0});
  if (add_up_to_tokens(rows_of(array, as_they_are, 1), options.top_k)) return "";
  for (std::size_t axis = rank; axis-- > 0;) {
    if (array.extents[axis] == options.expert_count && options.expert_count > 0) continue;
    if (options.top_k > 0 && options.expert_count > 0 && array.extents[axis] > options.top_k + 2) continue;
    std::vector<std::size_t> order;
    for (std::size_t d = 0; d < rank; ++d)
      if (d != axis) order.push_back(d);
    order.push_back(axis);
    if (are_ids(rows_of(array, order, 1), axis + 1 == rank, options))
      return text_of_ids(axis + 1 < rank ? fmt::format("along axis {}", axis + 1)
                         : rank == 2     ? "[token, k]"
                                         : "along the last axis");
  }
  return "";
}

bool all_whole(const NumberArray& array) {
  return std::ranges::all_of(array.values, [](double value) { return value == std::floor(value); });
}

}  // namespace

std::string other_than_counts(const NumberArray& array, const ImportOptions& options) {
  if (array.values.empty() || !all_whole(array)) return "";
  const bool flat = array.extents.size() == 2;
  Cube<double> counts(flat ? 1 : array.extents[0], array.extents[flat ? 0 : 1], array.extents.back());
  counts.values() = array.values;
  if (are_running_totals(counts)) return "";
  using View = std::pair<std::vector<std::size_t>, std::size_t>;  // order of the axes, how many of them are one
  const std::vector<View> views =
      flat ? std::vector<View>{{{0, 1}, 1}, {{1, 0}, 1}}
           : std::vector<View>{{{0, 1, 2}, 1}, {{0, 1, 2}, 2}, {{1, 0, 2}, 2}, {{0, 2, 1}, 1}};
  for (const auto& [order, joined] : views)
    if (const std::string text = map_in(rows_of(array, order, joined), options); !text.empty()) return text;
  if (flat && array.values.size() >= 8 && names_each_once(rows_of(array, {0, 1}, 2)))
    return "names each expert once over all its rows, so it is a map of one layer's slots, not counts of tokens";
  if (const std::string text = ids_in(array, options); !text.empty()) return text;
  return copies_in(rows_of(array, views[0].first, 1));
}

std::string other_than_counts(const Cube<double>& counts, const ImportOptions& options) {
  NumberArray array;
  array.extents = {counts.planes(), counts.rows(), counts.columns()};
  array.values = counts.values();
  if (!all_whole(array) || are_running_totals(counts)) return "";
  const Rows rows = rows_of(array, {0, 1, 2}, 1);
  if (const std::string text = map_in(rows, options); !text.empty()) return text;
  if (counts.columns() != options.expert_count && !add_up_to_tokens(rows, options.top_k) &&
      are_ids(rows, true, options))
    return text_of_ids("along the last axis");
  return copies_in(rows);
}

std::string columns_of_places(const NumberArray& matrix) {
  const std::size_t rows = matrix.extents[0], width = matrix.extents[1];
  const auto at = [&](std::size_t row, std::size_t column) { return matrix.values[row * width + column]; };
  const auto before_last = [&](std::size_t row) { return std::span(matrix.values).subspan(row * width, width - 1); };
  bool ascending = width >= 3 && width <= 6 && rows >= 4;
  for (std::size_t row = 1; row < rows && ascending; ++row)
    ascending = std::ranges::lexicographical_compare(before_last(row - 1), before_last(row));
  if (ascending && at(rows - 1, 0) < static_cast<double>(rows) / 2.0)
    return fmt::format(
        "the first {} columns of its lines only count up, as in a table of step, layer, expert and count without a "
        "header: say what they are with {} as step=1,layer=2,expert=3,count=4 (in CSV), or {} none if all are counts, "
        "a line a layer",
        width - 1, on_command_line("columns"), on_command_line("columns"));
  bool numbered = rows >= 3 && width >= 3 && at(0, 0) <= (rows < 5 ? 1.0 : 8.0);
  for (std::size_t row = 0; row < rows && numbered; ++row) numbered = at(row, 0) == at(0, 0) + static_cast<double>(row);
  if (!numbered) return "";
  return fmt::format(
      "its first column counts the lines from {:g} on: say {} layer=1 if they are the layers (in CSV), or {} none if "
      "these are counts as well",
      at(0, 0), on_command_line("columns"), on_command_line("columns"));
}

bool are_running_totals(const Cube<double>& counts) {
  std::size_t rising = 0, falling = 0;
  for (std::size_t step = 1; step < counts.planes(); ++step) {
    std::size_t less = 0, more = 0, used = 0;
    double before = 0.0, after = 0.0;
    for (std::size_t layer = 0; layer < counts.rows(); ++layer) {
      const auto earlier = counts.row(step - 1, layer), later = counts.row(step, layer);
      for (std::size_t expert = 0; expert < later.size(); ++expert) {
        less += later[expert] < earlier[expert];
        more += later[expert] > earlier[expert];
        used += earlier[expert] > 0.0;
        before += earlier[expert];
        after += later[expert];
      }
    }
    if (less == 0 && more > 0 && used >= 4)
      ++rising;
    else if (less > 0 && 2.0 * after < before)
      ++falling;  // they begin again
    else if (less > 0)
      return false;
  }
  return rising >= 2 && 4 * falling <= rising;
}

Cube<double> differences_of(const Cube<double>& totals, std::vector<std::size_t>& left_out) {
  std::vector<std::size_t> kept;
  left_out.clear();
  for (std::size_t step = 0; step < totals.planes(); ++step) {
    bool falls = step == 0;
    for (std::size_t layer = 0; layer < totals.rows() && !falls; ++layer)
      for (std::size_t expert = 0; expert < totals.columns(); ++expert)
        falls = falls || totals(step, layer, expert) < totals(step - 1, layer, expert);
    (falls ? left_out : kept).push_back(step);
  }
  Cube<double> counts(kept.size(), totals.rows(), totals.columns());
  for (std::size_t at = 0; at < kept.size(); ++at)
    for (std::size_t layer = 0; layer < totals.rows(); ++layer)
      for (std::size_t expert = 0; expert < totals.columns(); ++expert)
        counts(at, layer, expert) = totals(kept[at], layer, expert) - totals(kept[at] - 1, layer, expert);
  return counts;
}

}  // namespace gem
