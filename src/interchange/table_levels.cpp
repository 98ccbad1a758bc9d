#include "interchange/table_levels.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/not_counts.hpp"

namespace gem {
namespace {

/// All levels of a leaf, those above it first, then the axes of its array.
std::vector<Role> roles_of(const TableLeaf& leaf) {
  std::vector<Role> roles;
  for (const Level& level : leaf.path) roles.push_back(level.role);
  roles.insert(roles.end(), leaf.dimensions.begin(), leaf.dimensions.end());
  return roles;
}

std::string text_of_roles(const std::vector<Role>& roles) {
  std::string text;
  for (const Role role : roles)
    text += (text.empty() ? "" : ", ") + (role == Role::None ? std::string("?") : role_name(role));
  return "[" + text + "]";
}

void set_role(TableLeaf& leaf, std::size_t place, Role role) {
  if (place < leaf.path.size())
    leaf.path[place].role = role;
  else
    leaf.dimensions[place - leaf.path.size()] = role;
}

/// Sums of what experts got, by two levels, as far as the order of these can be told from them.
struct PairSums {
  std::map<std::pair<std::int64_t, std::int64_t>, double> sums;
  std::map<std::pair<std::int64_t, std::int64_t>, std::size_t> widths;
};

/// Whether all that share the number of the first (or second) level have the same sum.
bool agree(const std::map<std::pair<std::int64_t, std::int64_t>, double>& sums, bool by_first) {
  std::map<std::int64_t, double> known;
  for (const auto& [key, sum] : sums) {
    const auto [place, added] = known.emplace(by_first ? key.first : key.second, sum);
    if (!added && place->second != sum) return false;
  }
  return true;
}

class Resolver {
 public:
  Resolver(std::vector<TableLeaf>& leaves, const TableNode& root, TableInput& input)
      : leaves_(leaves), root_(root), input_(input) {}

  void resolve() {
    const std::vector<Role> roles = roles_of(leaves_[0]);
    for (const TableLeaf& leaf : leaves_)
      if (roles_of(leaf) != roles)
        throw DataError(fmt::format("{}: has levels {}, but {} has {}; all counts must be nested alike",
                                    leaf.node->where, text_of_roles(roles_of(leaf)), leaves_[0].node->where,
                                    text_of_roles(roles)));
    for (std::size_t place = 0; place < roles.size(); ++place)
      if (roles[place] == Role::None) unknown_.push_back(place);
    by_axes(roles);
    // "0": {"step": ..., "layer": ...}: the outer number only counts the records.
    if (has(Role::Step) && has(Role::Layer) && has(Role::Expert) && leaves_[0].dimensions.empty()) return;
    if (!has(Role::Expert)) assign_last(Role::Expert, "counts of each expert");
    const bool step = has(Role::Step) || input_.step_outside, layer = has(Role::Layer) || input_.layer_outside;
    if (unknown_.size() == 2 && !layer && !step) return resolve_pair();
    if (!layer) assign_last(Role::Layer, "the layer");
    if (!unknown_.empty() && !step) assign_last(Role::Step, "the step");
    if (!unknown_.empty()) reject_levels();
  }

 private:
  bool has(Role role) const {
    const std::vector<Role> roles = roles_of(leaves_[0]);
    return std::ranges::find(roles, role) != roles.end();
  }
  void assign(std::size_t place, Role role) {
    for (TableLeaf& leaf : leaves_) set_role(leaf, place, role);
    std::erase(unknown_, place);
  }
  void assign_last(Role role, const char* what) {
    if (unknown_.empty())
      throw DataError(
          fmt::format("{}: doesn't say {}: its levels are {}; name the members layer and expert, as "
                      "layer_3, or nest them",
                      leaves_[0].node->where, what, text_of_roles(roles_of(leaves_[0]))));
    assign(unknown_.back(), role);
  }
  [[noreturn]] void reject_levels() const {
    throw DataError(
        fmt::format("{}: has levels {}, which can't be told apart; counts are by step, layer and expert: "
                    "name the levels, as step_0 and layer_3, or say their order with {}",
                    leaves_[0].node->where, text_of_roles(roles_of(leaves_[0])), on_command_line("axes")));
  }

  /// --axes names all levels in order, or those that aren't said otherwise.
  void by_axes(const std::vector<Role>& roles) {
    if (input_.options.axes.empty()) return;
    const std::vector<std::string> names = split(input_.options.axes, ',');
    const bool all = names.size() == roles.size();
    if (!all && names.size() != unknown_.size())
      throw UsageError(fmt::format("{}: has levels {}, but {} names {}", root_.where, text_of_roles(roles),
                                   on_command_line("axes"), names.size()));
    const std::vector<std::size_t> open = unknown_;
    for (std::size_t i = 0; i < names.size(); ++i) {
      Role role = Role::None;
      for (const Role known : {Role::Step, Role::Layer, Role::Expert, Role::Rank})
        if (role_name(known) == trim(names[i])) role = known;
      const std::size_t place = all ? i : open[i];
      if (role == Role::None || (all && roles[place] != Role::None && roles[place] != role))
        throw UsageError(fmt::format("{}: {} calls a level '{}', but levels are {}, of step, layer, expert or rank",
                                     root_.where, on_command_line("axes"), names[i], text_of_roles(roles)));
      if (roles[place] == Role::None) assign(place, role);
    }
  }

  std::int64_t number_at(const TableLeaf& leaf, std::size_t place, std::size_t index) const {
    return place < leaf.path.size() ? leaf.path[place].number : static_cast<std::int64_t>(index);
  }

  /// Sums over experts by the two levels that aren't known; only where experts are the last axis of an array.
  std::optional<PairSums> sums_of_pairs() const {
    PairSums pairs;
    for (const TableLeaf& leaf : leaves_) {
      if (leaf.dimensions.empty() || leaf.dimensions.size() > 2 || leaf.dimensions.back() != Role::Expert)
        return std::nullopt;
      const NumberArray& array = leaf.node->array;
      const std::size_t width = array.extents.back();
      for (std::size_t row = 0; width > 0 && row < array.values.size() / width; ++row) {
        const std::pair key(number_at(leaf, unknown_[0], row), number_at(leaf, unknown_[1], row));
        for (std::size_t expert = 0; expert < width; ++expert) pairs.sums[key] += array.values[row * width + expert];
        pairs.widths[key] = width;
      }
    }
    return pairs;
  }

  /// Step and layer in which order: by the model's layers, by numbers of experts, by sums that layers of a step share.
  void resolve_pair() {
    const auto take = [&](bool layer_first) {
      const std::vector<std::size_t> places = unknown_;
      assign(places[0], layer_first ? Role::Layer : Role::Step);
      assign(places[1], layer_first ? Role::Step : Role::Layer);
    };
    const auto& path = leaves_[0].path;
    const bool is_key = unknown_[0] < path.size() && path[unknown_[0]].is_key;
    const auto pairs = sums_of_pairs();
    if (!pairs && is_key) reject_pair();
    if (!pairs) return take(false);  // [step, layer, expert], as arrays are
    std::set<std::int64_t> first, second;
    for (const auto& [key, sum] : pairs->sums) {
      first.insert(key.first);
      second.insert(key.second);
    }
    const auto is_model = [&](const std::set<std::int64_t>& numbers) {
      const auto& ids = input_.options.layer_ids;
      return !ids.empty() && numbers.size() == ids.size() &&
             (std::ranges::equal(numbers, ids) || *numbers.begin() == 0);
    };
    if (is_model(first) != is_model(second)) return take(is_model(first));
    if (second.size() == 1 && first.size() > 1 && leaves_[0].dimensions.size() == 2) return take(true);
    std::map<std::pair<std::int64_t, std::int64_t>, double> widths;
    for (const auto& [key, width] : pairs->widths) widths[key] = static_cast<double>(width);
    // agree(x, true): what shares the first number is equal, as widths of a layer and sums of a step are.
    if (agree(widths, true) != agree(widths, false)) return take(agree(widths, true));
    if (agree(pairs->sums, true) != agree(pairs->sums, false)) return take(agree(pairs->sums, false));
    if (is_key) reject_pair();
    take(false);
  }
  [[noreturn]] void reject_pair() const {
    throw DataError(
        fmt::format("{}: can't be told whether its outer level is the step or the layer; call its members "
                    "step_0 or layer_0, put them below steps or layers, or say {} step,layer,expert or {} "
                    "layer,step,expert",
                    root_.where, on_command_line("axes"), on_command_line("axes")));
  }

  std::vector<TableLeaf>& leaves_;
  const TableNode& root_;
  TableInput& input_;
  std::vector<std::size_t> unknown_;  // places of levels without a role
};

/// Adds the counts of leaves whose levels are known.
class LeafReader {
 public:
  LeafReader(TableInput& input, const std::vector<std::string>& unread) : input_(input), unread_(unread) {}

  void add(const TableLeaf& leaf) {
    CountTable::Place place = input_.outer;
    std::optional<std::size_t> expert;
    for (const Level& level : leaf.path) set(place, expert, level, leaf);
    if (leaf.dimensions.empty()) return add_count(leaf, place, expert, leaf.value);
    const NumberArray& array = leaf.node->array;
    const bool rows = leaf.dimensions.back() == Role::Expert;
    const std::size_t width = rows ? array.extents.back() : 1;
    if (array.values.empty() || width == 0) return;
    const std::size_t above = leaf.dimensions.size() - (rows ? 1 : 0);
    std::vector<std::size_t> index(above, 0);
    for (std::size_t at = 0; at < array.values.size(); at += width) {
      CountTable::Place own = place;
      std::optional<std::size_t> own_expert = expert;
      for (std::size_t d = 0; d < above; ++d) set(own, own_expert, level_of(leaf, d, index[d]), leaf);
      if (rows)
        add_row(leaf, own, std::span(array.values).subspan(at, width));
      else
        add_count(leaf, own, own_expert, array.values[at]);
      for (std::size_t d = above; d-- > 0 && ++index[d] == array.extents[d];) index[d] = 0;
    }
  }

 private:
  static Level level_of(const TableLeaf& leaf, std::size_t dimension, std::size_t index) {
    Level level{leaf.dimensions[dimension], false, static_cast<std::int64_t>(index), std::to_string(index)};
    if (level.role == Role::Layer && leaf.layer_ids != nullptr &&
        leaf.layer_ids->values.size() == leaf.node->array.extents[dimension] && leaf.layer_ids->whole) {
      level.is_key = true;
      level.number = static_cast<std::int64_t>(leaf.layer_ids->values[index]);
    }
    return level;
  }

  void set(CountTable::Place& place, std::optional<std::size_t>& expert, const Level& level, const TableLeaf& leaf) {
    const auto check = [&] {
      if (level.number < 0 || level.number > 65535)
        throw DataError(fmt::format("{}: layer and expert must be 0 to 65535, but {} is {}", leaf.node->where,
                                    role_name(level.role), level.number));
    };
    switch (level.role) {
      case Role::Step:
        place.step = level.text;
        input_.has_steps = true;
        return;
      case Role::Layer:
        check();
        place.layer = static_cast<std::int32_t>(level.number);
        input_.has_layers = input_.has_layers || level.is_key;
        return;
      case Role::Expert:
        check();
        expert = static_cast<std::size_t>(level.number);
        return;
      case Role::Model:
        place.model = level.text;
        return;
      case Role::Rank:
        return input_.name_rank(place, "rank", level.text);
      default:
        return;
    }
  }

  void add_row(const TableLeaf& leaf, const CountTable::Place& place, std::span<const double> experts) {
    if (!input_.table.add_row(place, experts)) refuse_repeated(leaf, place, "");
  }
  void add_count(const TableLeaf& leaf, const CountTable::Place& place, std::optional<std::size_t> expert,
                 double count) {
    if (!expert) throw DataError(leaf.node->where + ": is a single number, but doesn't say of which expert");
    if (!input_.table.add_count(place, *expert, count)) refuse_repeated(leaf, place, std::to_string(*expert));
  }
  void refuse_repeated(const TableLeaf& leaf, const CountTable::Place& place, const std::string& expert) const {
    if (!input_.options.add_repeated && input_.options.columns.ignored.empty())
      throw DataError(leaf.node->where + ": " + text_of_repeated(place, expert, unread_));
  }

  TableInput& input_;
  const std::vector<std::string>& unread_;
};

/// The model's name says nothing where all counts are of one.
void drop_common_model(std::vector<TableLeaf>& leaves) {
  std::set<std::string> models;
  for (const TableLeaf& leaf : leaves)
    for (const Level& level : leaf.path)
      if (level.role == Role::Model) models.insert(level.text);
  if (models.size() > 1) return;
  for (TableLeaf& leaf : leaves) std::erase_if(leaf.path, [](const Level& level) { return level.role == Role::Model; });
}

}  // namespace

void add_leaves(std::vector<TableLeaf>& leaves, const std::vector<std::string>& unread, const TableNode& root,
                TableInput& input) {
  drop_common_model(leaves);
  const TableLeaf& first = leaves[0];
  const std::size_t rank = first.dimensions.size();
  const bool plain = std::ranges::all_of(first.dimensions, [](Role role) { return role == Role::None; });
  if (leaves.size() == 1 && first.path.empty() && first.layer_ids == nullptr && plain && (rank == 2 || rank == 3) &&
      !input.layer_outside && !(rank == 3 && input.step_outside))
    return add_array(first.node->array, first.node->where, input);
  if (input.options.axes.empty())
    for (const TableLeaf& leaf : leaves)
      if (leaf.dimensions.size() == 2 || leaf.dimensions.size() == 3)
        if (const std::string other = other_than_counts(leaf.node->array, input.options); !other.empty())
          throw DataError(leaf.node->where + ": " + other);
  Resolver(leaves, root, input).resolve();
  LeafReader reader(input, unread);
  for (const TableLeaf& leaf : leaves) reader.add(leaf);
}

}  // namespace gem
