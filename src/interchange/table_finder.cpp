// Where the counts are in what a JSON, NPZ or .pt file holds. Each level of nesting is a step, a layer, a rank or an
// expert: by the name of its members ("layer_3"), by the name above it ("steps": {...}), by single values beside it
// ("layer": 3), else by what is still missing.
#include "interchange/table_finder.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <deque>
#include <set>
#include <span>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/column_roles.hpp"
#include "interchange/table_levels.hpp"
#include "interchange/table_members.hpp"

namespace gem {
namespace {

using Kind = TableNode::Kind;

[[noreturn]] void reject(const TableNode& node, const std::string& what) {
  throw DataError(node.where + ": " + what);
}

class Finder {
 public:
  explicit Finder(TableInput& input) : input_(input), columns_(input.options.columns) {}

  std::vector<TableLeaf> leaves;
  std::set<std::string> unread;  // names of single values that aren't read

  void walk(const TableNode& node, std::vector<Level> path, Role next) {
    switch (node.kind) {
      case Kind::Nothing:
        return;
      case Kind::Value:
        if (!node.number) reject(node, "is " + node.described() + ", but must be a number");
        return take(node, std::move(path), next);
      case Kind::Array:
        return take(node, std::move(path), next);
      case Kind::List:
        return walk_list(node, path, next);
      case Kind::Members:
        return walk_members(node, std::move(path), next);
    }
  }

 private:
  void take(const TableNode& node, std::vector<Level> path, Role next) {
    TableLeaf leaf{std::move(path), std::vector<Role>(node.array.extents.size(), Role::None), &node, layer_ids_, 0.0};
    if (node.kind == Kind::Value) leaf.value = *node.number;
    if (!leaf.dimensions.empty()) leaf.dimensions[0] = next;
    leaves.push_back(std::move(leaf));
  }

  void walk_list(const TableNode& node, const std::vector<Level>& path, Role next) {
    if (!node.items.empty() && take_lines(node.items[0], node, std::span(node.items).subspan(1), path)) return;
    const bool numbers = std::ranges::any_of(node.items, [](const TableNode& item) { return item.number.has_value(); });
    for (const TableNode& item : node.items)
      if (!item.number && (numbers || item.kind == Kind::Value))
        reject(item, "is " + item.described() + ", but must be a number");
    const bool named = std::ranges::any_of(node.items, [&](const TableNode& item) { return names_place(item, next); });
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      std::vector<Level> deeper = path;
      if (!named) add_level(deeper, {next, false, static_cast<std::int64_t>(i), std::to_string(i)});
      item_role_ = next;
      walk(node.items[i], std::move(deeper), Role::None);
      item_role_ = Role::None;
    }
  }

  /// Whether an item of a list says by itself where it belongs.
  bool names_place(const TableNode& item, Role item_role) {
    if (item.kind != Kind::Members) return false;
    item_role_ = item_role;
    bool any = false;
    for (std::size_t i = 0; i < item.keys.size() && !any; ++i)
      any = item.items[i].kind == Kind::Value && is_place(role_of_member(item.keys[i], columns_, item_role_));
    item_role_ = Role::None;
    return any;
  }

  static void add_level(std::vector<Level>& path, Level level) {
    const auto same = std::ranges::find(path, level.role, &Level::role);
    if (level.role == Role::None || same == path.end())
      path.push_back(std::move(level));
    else
      *same = std::move(level);  // a value beside says it better than the place in a list
  }

  void walk_members(const TableNode& node, std::vector<Level> path, Role next) {
    const TableMembers sorted = sort_members(node, columns_, item_role_);
    if (sorted.top_k) input_.imported.top_k = *sorted.top_k;
    item_role_ = Role::None;
    for (const Level& level : sorted.places) add_level(path, level);
    unread.insert(sorted.unread.begin(), sorted.unread.end());
    const bool other = !sorted.numbered.empty() || !sorted.containers.empty();
    if (!sorted.counts.empty() && !(other && is_vague_count(key_of(node, *sorted.counts[0].second))))
      walk_counts(node, sorted, path);
    else if (!sorted.numbered.empty())
      walk_numbered(node, sorted, path, next);
    else if (!sorted.containers.empty() && !only_numbers(sorted))
      walk_container(node, sorted, path);
    else if (!sorted.values.empty())
      walk_value(node, sorted, path);
    else
      walk_unnamed(node, sorted, path, next);
  }

  /// Lists of numbers under the names of steps or layers only number others.
  static bool only_numbers(const TableMembers& sorted) {
    return sorted.tables.size() == 1 && std::ranges::all_of(sorted.containers, [](const auto& member) {
             return member.second->kind == Kind::Array && member.second->array.extents.size() == 1;
           });
  }

  void walk_counts(const TableNode& node, const TableMembers& sorted, const std::vector<Level>& path) {
    const TableNode& counts = *sorted.counts[0].second;
    if (!sorted.numbered.empty())
      reject(node, "has counts by name and by number of its members (" + quoted_names(node.keys) + "); leave one out");
    if (sorted.counts.size() > 1)
      note_once(fmt::format("{}: of its members {}, '{}' is read as the counts", node.where, quoted_names(node.keys),
                            key_of(node, counts)));
    if (key_of(node, counts) == "logical_count") {  // as SGLang keeps it
      input_.imported.every_decoder_layer = true;
      input_.imported.summed_over_ranks = true;
    }
    if (take_columns(node, counts, path)) return;
    for (const auto& [role, member] : sorted.containers) number_layers(role, *member);
    check_slots(node, sorted, counts);
    walk(counts, path, Role::None);
    layer_ids_ = nullptr;
  }

  static std::string key_of(const TableNode& node, const TableNode& member) {
    return node.keys[static_cast<std::size_t>(&member - node.items.data())];
  }

  /// The model's own numbers of layers, in a list beside the counts.
  void number_layers(Role role, const TableNode& member) {
    if (role == Role::Layer && member.kind == Kind::Array && member.array.extents.size() == 1)
      layer_ids_ = &member.array;
  }

  /// Counts beside a map of slots may be those of slots.
  static void check_slots(const TableNode& node, const TableMembers& sorted, const TableNode& counts) {
    const std::string key = key_of(node, counts);
    if (to_lower(key).find("logical") != std::string::npos) return;
    for (const auto& [name, map] : sorted.maps)
      if (map->kind == Kind::Array && map->array.extents.size() >= 2 && counts.kind == Kind::Array &&
          map->array.extents.back() == counts.array.extents.back())
        reject(node, fmt::format("has '{}' beside the map '{}' of as many slots, so that they may be counts of slots, "
                                 "which hold other experts; give counts of experts, as logical_count",
                                 key, name));
  }

  /// A column of a table: a list, or members that only count its lines.
  static std::vector<std::string> column_of(const TableNode& node) {
    std::vector<std::string> cells;
    if (node.kind == Kind::Array && node.array.extents.size() == 1)
      for (const double value : node.array.values) cells.push_back(fmt::format("{:.17g}", value));
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const bool numbered = node.kind == Kind::List || whole_number_in(node.keys[i]).has_value();
      if (node.items[i].kind != Kind::Value || !numbered) return {};
      cells.push_back(node.items[i].text);
    }
    return cells;
  }

  /// Columns of a table as lists of equal lengths, or numbers of experts beside their counts.
  bool take_columns(const TableNode& node, const TableNode& counts, const std::vector<Level>& path) {
    const std::vector<std::string> values = column_of(counts);
    if (values.empty()) return false;
    std::vector<std::pair<Role, std::vector<std::string>>> columns;
    std::set<std::string> others;
    for (std::size_t i = 0; i < node.keys.size(); ++i) {
      const TableNode& item = node.items[i];
      Role role = role_of_member(node.keys[i], columns_, item_role_);
      if (role == Role::None) role = role_of_plural(node.keys[i]);
      if (role == Role::None && names_ids(node.keys[i])) role = Role::Expert;
      std::vector<std::string> cells = &item == &counts ? std::vector<std::string>() : column_of(item);
      if (cells.size() != values.size()) continue;
      if (is_place(role) || role == Role::Model)
        columns.emplace_back(role, std::move(cells));
      else if (!columns_.ignores(node.keys[i]))
        others.insert(node.keys[i]);
    }
    if (std::ranges::none_of(columns, [](const auto& column) { return column.first == Role::Expert; })) return false;
    unread.insert(others.begin(), others.end());
    for (std::size_t row = 0; row < values.size(); ++row) {
      std::vector<Level> deeper = path;
      for (const auto& [role, cells] : columns) {
        TableNode cell;
        cell.kind = Kind::Value;
        cell.where = counts.where;
        cell.text = cells[row];
        add_level(deeper, level_of_value(cell, role));
      }
      const auto count = parse_number(values[row], counts.where);
      leaves.push_back({std::move(deeper), {}, &counts, nullptr, count});
    }
    return true;
  }

  /// Lines below a list of the names of their columns.
  bool take_lines(const TableNode& names, const TableNode& lines, std::span<const TableNode> rows,
                  std::vector<Level> path) {
    if (names.kind != Kind::List || names.items.empty()) return false;
    for (const TableNode& name : names.items)
      if (name.kind != Kind::Value || name.number) return false;
    TableNode table;
    table.kind = Kind::Members;
    table.where = lines.where;
    const std::size_t width = names.items.size();
    const auto add_line = [&](std::span<const double> line) {
      for (std::size_t column = 0; column < width; ++column) table.items[column].array.values.push_back(line[column]);
    };
    for (const TableNode& name : names.items) {
      table.keys.push_back(name.text);
      TableNode& column = table.items.emplace_back();
      column.kind = Kind::Array;
      column.where = lines.where + ": " + name.text;
    }
    if (rows.empty() && lines.kind == Kind::Array && lines.array.extents.size() == 2 && lines.array.extents[1] == width)
      for (std::size_t row = 0; row < lines.array.extents[0]; ++row)
        add_line(std::span(lines.array.values).subspan(row * width, width));
    for (const TableNode& row : rows) {
      if (row.kind != Kind::Array || row.array.extents != std::vector<std::size_t>{width}) return false;
      add_line(row.array.values);
    }
    if (table.items[0].array.values.empty()) return false;
    for (TableNode& column : table.items) column.array.extents = {column.array.values.size()};
    made_.push_back(std::move(table));
    walk_members(made_.back(), std::move(path), Role::None);
    return true;
  }

  void walk_numbered(const TableNode& node, const TableMembers& sorted, const std::vector<Level>& path, Role next) {
    if (!sorted.maps.empty() || !sorted.ids.empty()) refuse_others(node, sorted);
    // np.savez calls the only array arr_0; that says nothing.
    for (const auto& [numbers, member] : sorted.numbered) {
      std::vector<Level> deeper = path;
      Role left = next;
      for (const NumberedName& number : numbers) {
        const Role role = number.role == Role::None ? left : number.role;
        if (role == left) left = Role::None;
        if (role == Role::LocalExpert || role == Role::Slot)
          reject(*member, "counts what a slot of a rank got, not an expert of the model; give counts of experts");
        add_level(deeper, {role, true, number.number, std::to_string(number.number)});
      }
      walk(*member, std::move(deeper), Role::None);
    }
    std::vector<std::string> passed_over;
    for (const auto& [name, table] : sorted.tables) passed_over.push_back(name);
    for (const auto& [role, table] : sorted.containers) passed_over.push_back(key_of(node, *table));
    if (!passed_over.empty())
      note_once(fmt::format("{}: members {} are no counts of a layer or step and were passed over", node.where,
                            quoted_names(passed_over)));
  }

  void walk_container(const TableNode& node, const TableMembers& sorted, const std::vector<Level>& path) {
    std::vector<std::pair<Role, const TableNode*>> holding;
    for (const auto& member : sorted.containers)
      if (sorted.containers.size() == 1 || member.second->kind != Kind::Array ||
          member.second->array.extents.size() > 1 || member.first == Role::Expert)
        holding.push_back(member);
    if (holding.size() != 1)
      reject(node,
             "has the members " + quoted_names(node.keys) + ", of which several may hold counts; call them counts");
    walk(*holding[0].second, path, holding[0].first);
  }

  void walk_value(const TableNode& node, const TableMembers& sorted, const std::vector<Level>& path) {
    for (const std::string& slot : sorted.slots)
      if (std::ranges::find(path, Role::Expert, &Level::role) == path.end())
        reject(node, fmt::format("'{}' has numbers of slots, or of experts within a rank, not of experts of the model; "
                                 "where they are the same, say {} expert={}",
                                 slot, on_command_line("columns"), slot));
    take(*sorted.values[0].second, path, Role::None);
  }

  static bool counts_slots(const std::string& key) {
    const std::vector<std::string> words = words_of_name(key);
    return std::ranges::any_of(words, [](const std::string& word) {
      return word == "count" || word == "counts" || word == "load" || word == "tokens";
    });
  }
  [[noreturn]] void refuse_others(const TableNode& node, const TableMembers& sorted) const {
    if (!sorted.maps.empty() && counts_slots(sorted.maps[0].first))
      reject(node, "has the member '" + sorted.maps[0].first +
                       "', counts of slots, which hold other experts than their own number; give counts of experts");
    if (!sorted.maps.empty())
      reject(node, "has the member '" + sorted.maps[0].first +
                       "', a map of experts rather than counts of tokens; gem-deploy import reads maps");
    reject(node, "has the member '" + sorted.ids[0].first + "', ids of experts rather than counts; read it with " +
                     on_command_line("format") + " vllm-routed");
  }

  void walk_unnamed(const TableNode& node, const TableMembers& sorted, const std::vector<Level>& path, Role next) {
    if (!sorted.maps.empty() || !sorted.ids.empty()) refuse_others(node, sorted);
    for (const auto& [key, names] : sorted.tables)
      for (const auto& [other, lines] : sorted.tables)
        if (sorted.tables.size() <= 8 && take_lines(*names, *lines, {}, path)) return;
    if (node.keys.empty()) reject(node, "is an empty object, without counts");
    if (sorted.tables.size() != 1)
      reject(node, "has the members " + quoted_names(node.keys) +
                       ", but counts must be one of them, called counts or expert_load");
    for (const auto& [role, member] : sorted.containers) number_layers(role, *member);
    walk(*sorted.tables[0].second, path, next);
    layer_ids_ = nullptr;
  }

  void note_once(const std::string& note) {
    std::vector<std::string>& notes = input_.imported.notes;
    if (notes.size() < 32 && std::ranges::find(notes, note) == notes.end()) notes.push_back(note);
  }

  TableInput& input_;
  const ColumnChoice& columns_;
  Role item_role_ = Role::None;             // what the items of the list are that is walked
  std::deque<TableNode> made_;              // tables of columns that were lines
  const NumberArray* layer_ids_ = nullptr;  // beside the counts that are walked
};

}  // namespace

void add_tree(const TableNode& root, TableInput& input) {
  Finder finder(input);
  finder.walk(root, {}, Role::None);
  const bool empty = std::ranges::all_of(
      finder.leaves, [](const TableLeaf& leaf) { return !leaf.dimensions.empty() && leaf.node->array.values.empty(); });
  if (empty) throw DataError(root.where + ": holds no counts");
  add_leaves(finder.leaves, {finder.unread.begin(), finder.unread.end()}, root, input);
}

}  // namespace gem
