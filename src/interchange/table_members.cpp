#include "interchange/table_members.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

/// Names under which tools keep counts, the plainest first; other names of counts (column_roles.hpp) come behind.
constexpr std::array<std::string_view, 8> names_of_counts = {"logical_count", "expert_load",       "counts",
                                                             "expert_counts", "tokens_per_expert", "popularity",
                                                             "load",          "expert_count"};
constexpr std::array<std::string_view, 15> words_of_maps = {
    "physical",  "phy2log",  "log2phy",    "p2l",    "l2p",        "_map", "map_",      "mapping",
    "placement", "location", "assignment", "device", "layer_list", "slot", "expert_map"};
constexpr std::array<std::string_view, 8> words_of_ids = {"routed_experts",   "topk_id",  "top_k_id",   "expert_id",
                                                          "selected_experts", "topk_ind", "expert_ind", "topk_experts"};

template <std::size_t N>
bool has_word(const std::string& key, const std::array<std::string_view, N>& words) {
  const std::string lower = join(words_of_name(key), "_"), plain = to_lower(key);
  return std::ranges::any_of(words, [&](std::string_view word) {
    return lower.find(word) != std::string::npos || plain.find(word) != std::string::npos;
  });
}

/// How plainly a member is called after counts; nothing if it isn't.
std::optional<std::size_t> order_of_counts(const std::string& key) {
  const std::string lower = join(words_of_name(key), "_");
  if (const auto found = std::ranges::find(names_of_counts, lower); found != names_of_counts.end())
    return static_cast<std::size_t>(found - names_of_counts.begin());
  const NamedRole named = role_of_name(key);
  if (named.role == Role::Count) return names_of_counts.size() + named.order;
  return std::nullopt;
}

/// "id" of an item of layers is the layer.
bool is_plain_number(const std::string& key) {
  const std::string word = to_lower(key);
  return word == "id" || word == "index" || word == "idx" || word == "number" || word == "name";
}

class Sorting {
 public:
  Sorting(const ColumnChoice& columns, Role item_role) : columns_(columns), item_role_(item_role) {}

  TableMembers sort(const TableNode& node) {
    TableMembers sorted;
    std::array<std::size_t, 9> best{};  // how plainly the value that says a place is called
    best.fill(SIZE_MAX);
    for (std::size_t i = 0; i < node.keys.size(); ++i) {
      const std::string& key = node.keys[i];
      const TableNode& item = node.items[i];
      if (columns_.ignores(key) || item.kind == TableNode::Kind::Nothing) continue;
      if (item.is_table())
        sort_table(sorted, key, item);
      else
        sort_value(sorted, key, item, best);
    }
    std::ranges::stable_sort(sorted.counts, {}, [](const auto& member) { return member.first; });
    std::ranges::stable_sort(sorted.values, {}, [](const auto& member) { return member.first; });
    return sorted;
  }

 private:
  void sort_table(TableMembers& sorted, const std::string& key, const TableNode& item) {
    const auto chosen = columns_.role_of(key);
    const std::vector<NumberedName> numbers = numbers_in_name(key);
    const bool is_count = chosen == Role::Count || (!chosen && !columns_.names.contains(Role::Count));
    if (!numbers.empty())
      sorted.numbered.emplace_back(numbers, &item);
    else if (chosen == Role::Count)
      sorted.counts.emplace_back(0, &item);
    else if (const auto order = order_of_counts(key); order && is_count)
      sorted.counts.emplace_back(*order, &item);
    else if (has_word(key, words_of_ids))
      sorted.ids.emplace_back(key, &item);
    else if (const Role role = chosen ? *chosen : role_of_plural(key); role != Role::None)
      sorted.containers.emplace_back(role, &item);
    else if (has_word(key, words_of_maps))
      sorted.maps.emplace_back(key, &item);
    else
      sorted.tables.emplace_back(key, &item);
  }

  void sort_value(TableMembers& sorted, const std::string& key, const TableNode& item,
                  std::array<std::size_t, 9>& best) {
    const Role role = role_of_member(key, columns_, item_role_);
    const std::string plain = join(words_of_name(key), "_");
    if (is_place(role) || role == Role::Model) {
      const std::size_t order = columns_.role_of(key) ? 0 : role_of_name(key).order + 1;
      std::size_t& known = best[static_cast<std::size_t>(role)];
      if (known != SIZE_MAX) sorted.unread.push_back(key);
      if (order >= known) return;
      known = order;
      std::erase_if(sorted.places, [&](const Level& level) { return level.role == role; });
      sorted.places.push_back(level_of_value(item, role));
    } else if (role == Role::Count && item.number) {
      sorted.values.emplace_back(columns_.role_of(key) ? 0 : role_of_name(key).order, &item);
    } else if (role == Role::Slot || role == Role::LocalExpert) {
      sorted.slots.push_back(key);
    } else if (const auto numbers = numbers_in_name(key); !numbers.empty() && item.number) {
      sorted.numbered.emplace_back(numbers, &item);
    } else if ((plain == "top_k" || plain == "topk" || plain == "num_experts_per_tok" ||
                plain == "num_experts_per_token") &&
               item.number && *item.number >= 1.0 && *item.number <= 65535.0) {
      sorted.top_k = static_cast<std::size_t>(*item.number);
    } else {
      sorted.unread.push_back(key);
    }
  }

  const ColumnChoice& columns_;
  Role item_role_;
};

}  // namespace

bool is_place(Role role) {
  return role == Role::Step || role == Role::Layer || role == Role::Rank || role == Role::Expert;
}

bool is_vague_count(const std::string& key) {
  static const std::set<std::string> vague = {"total", "sum", "value", "values", "n", "num", "amount", "usage"};
  return vague.contains(to_lower(key));
}

bool names_ids(const std::string& name) {
  return has_word(name, words_of_ids);
}

Role role_of_member(const std::string& key, const ColumnChoice& columns, Role item_role) {
  if (columns.ignores(key)) return Role::None;
  if (item_role != Role::None && is_plain_number(key)) return item_role;
  if (const auto role = columns.role_of(key)) return *role;
  const Role role = role_of_name(key).role;
  return columns.names.contains(role) ? Role::None : role;
}

Level level_of_value(const TableNode& value, Role role) {
  Level level{role, true, 0, value.text};
  auto number = whole_number_in(value.text);
  if (!number)
    for (const NumberedName& named : numbers_in_name(value.text))
      if (named.role == role) number = named.number;
  if (number) level.number = *number;
  if (!number && (role == Role::Layer || role == Role::Expert))
    throw DataError(
        fmt::format("{}: is {}, but the {} must be a whole number", value.where, value.described(), role_name(role)));
  return level;
}

TableMembers sort_members(const TableNode& node, const ColumnChoice& columns, Role item_role) {
  return Sorting(columns, item_role).sort(node);
}

}  // namespace gem
