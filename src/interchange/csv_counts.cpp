// Tables of counts in text. Columns go by their names (column_roles.hpp) or by --columns.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/column_roles.hpp"
#include "interchange/csv_lines.hpp"
#include "interchange/table_input.hpp"
#include "platform/file_system/input_file.hpp"

namespace gem {
namespace {

constexpr std::uint64_t largest_text_bytes = std::uint64_t{1} << 30;

std::optional<double> as_number(const std::string& cell) {
  try {
    return parse_number(cell, "");
  } catch (const UsageError&) {
    return std::nullopt;
  }
}

/// A column that holds the counts of one thing: of expert 3, say.
struct CountColumn {
  std::size_t column;
  std::vector<NumberedName> of;
};

/// What the columns of a table are.
struct Plan {
  std::optional<std::size_t> step, layer, expert, count, model;
  std::vector<std::pair<std::size_t, std::string>> ranks;  // column and name, the plainest first
  std::vector<CountColumn> wide;                           // where each expert, layer or step has a column
  std::vector<std::string> unread;                         // names of columns that aren't read
  bool layers_in_order = false;                            // a line a layer
  std::size_t width = 0;                                   // columns that a line must have
};

/// Decides what the columns are, by --columns, then by their names.
class Planner {
 public:
  Planner(const CsvLines& lines, const std::vector<std::string>& names, const ImportOptions& options,
          std::vector<std::string>& notes)
      : lines_(lines), names_(names), options_(options), notes_(notes) {}

  Plan plan() {
    check_choice();
    for (std::size_t column = 0; column < names_.size(); ++column) sort_in(column);
    plan_.layer = plainest(Role::Layer);
    plan_.step = plainest(Role::Step);
    plan_.expert = plainest(Role::Expert);
    plan_.count = plainest(Role::Count);
    plan_.model = plainest(Role::Model);
    for (const auto& [order, column] : found_[Role::Rank]) plan_.ranks.emplace_back(column, names_[column]);
    const bool is_long = plan_.layer && plan_.expert && plan_.count;
    if (is_long)
      for (const CountColumn& column : plan_.wide) plan_.unread.push_back(names_[column.column]);
    if (is_long) plan_.wide.clear();
    refuse_local_numbers();
    if (!is_long) plan_wide();
    for (const auto& column : {plan_.step, plan_.layer, plan_.expert, plan_.count, plan_.model})
      if (column) plan_.width = std::max(plan_.width, *column + 1);
    for (const auto& [column, name] : plan_.ranks) plan_.width = std::max(plan_.width, column + 1);
    for (const CountColumn& wide : plan_.wide) plan_.width = std::max(plan_.width, wide.column + 1);
    return plan_;
  }

 private:
  static bool is_index(const std::string& name) {
    const std::string word = to_lower(name);
    return word.empty() || word == "index" || word.starts_with("unnamed");
  }

  void check_choice() const {
    const ColumnChoice& choice = options_.columns;
    std::vector<std::string> wanted = choice.ignored;
    for (const auto& [role, name] : choice.names) wanted.push_back(name);
    for (const std::string& name : wanted)
      if (std::ranges::find(names_, name) == names_.end())
        throw UsageError(fmt::format("{}: {} names the column '{}', but the columns are '{}'", lines_.where(),
                                     on_command_line("columns"), name, join(names_, ",").substr(0, 120)));
  }

  void sort_in(std::size_t column) {
    const std::string& name = names_[column];
    if (options_.columns.ignores(name)) return;
    if (const auto role = options_.columns.role_of(name)) {
      found_[*role].emplace(0, column);
      return;
    }
    const NamedRole named = role_of_name(name);
    if (named.role != Role::None && !options_.columns.names.contains(named.role)) {
      found_[named.role].emplace(named.order + 1, column);
      return;
    }
    const std::vector<NumberedName> numbers = numbers_in_name(name);
    if (!numbers.empty())
      plan_.wide.push_back({column, numbers});
    else if (is_index(name))
      index_ = index_ ? index_ : column;
    else
      plan_.unread.push_back(name);
  }

  /// The column of the role that is called most plainly; others are passed over.
  std::optional<std::size_t> plainest(Role role) {
    const auto& columns = found_[role];
    if (columns.empty()) return std::nullopt;
    const std::size_t best = columns.begin()->second;
    for (const auto& [order, column] : columns) {
      if (column == best) continue;
      plan_.unread.push_back(names_[column]);
      notes_.push_back(fmt::format("of the columns '{}' and '{}' the first is read as the {}; {} says another",
                                   names_[best], names_[column], role_name(role), on_command_line("columns")));
    }
    return best;
  }

  void refuse_local_numbers() {
    for (const Role role : {Role::Slot, Role::LocalExpert})
      for (const auto& [order, column] : found_[role]) {
        if (plan_.expert) {
          plan_.unread.push_back(names_[column]);
          continue;
        }
        throw DataError(fmt::format(
            "{}: column '{}' has numbers of {}, not of experts of the model; give the model's numbers, or, where they "
            "are the same, say {} expert={}",
            lines_.where(), names_[column],
            role == Role::Slot ? "slots, which engines fill with other experts" : "experts within a rank",
            on_command_line("columns"), names_[column]));
      }
  }

  [[noreturn]] void refuse_header() const {
    throw DataError(fmt::format(
        "{}: the header '{}' lacks a column of layer, expert, count (and step, where there is a time axis), or of "
        "layer and one for each expert; {} layer=NAME,expert=NAME,count=NAME says which they are",
        lines_.where(), join(names_, ",").substr(0, 120), on_command_line("columns")));
  }

  /// A column for each expert, layer or step, whichever the other columns don't say.
  void plan_wide() {
    if (plan_.wide.empty()) refuse_header();
    if (plan_.count) plan_.unread.push_back(names_[*plan_.count]);  // a total beside them
    plan_.count.reset();
    for (CountColumn& column : plan_.wide)
      for (NumberedName& number : column.of)
        if (number.role == Role::None) number.role = plan_.expert ? Role::Layer : Role::Expert;
    const auto in_names = [&](Role role) {
      return std::ranges::any_of(plan_.wide[0].of, [&](const auto& number) { return number.role == role; });
    };
    for (const CountColumn& column : plan_.wide)
      if (column.of.size() != plan_.wide[0].of.size() ||
          !std::ranges::equal(column.of, plan_.wide[0].of, {}, &NumberedName::role, &NumberedName::role))
        throw DataError(fmt::format(
            "{}: the columns '{}' and '{}' count different things; leave one out with {} "
            "ignore=NAME",
            lines_.where(), names_[plan_.wide[0].column], names_[column.column], on_command_line("columns")));
    if (in_names(Role::Rank) || in_names(Role::Slot) || in_names(Role::LocalExpert) ||
        plan_.expert.has_value() == in_names(Role::Expert) || (plan_.layer && in_names(Role::Layer)) ||
        (plan_.step && in_names(Role::Step)))
      refuse_header();
    if (plan_.layer || in_names(Role::Layer)) return;
    if (plan_.step || in_names(Role::Step) || plan_.expert) refuse_header();
    if (index_)
      plan_.layer = index_;
    else
      plan_.layers_in_order = true;
    notes_.push_back(plan_.layers_in_order ? "no column says the layer: lines are layers in their order"
                                           : "the first column, which has no name, is taken for the layer");
  }

  const CsvLines& lines_;
  const std::vector<std::string>& names_;
  const ImportOptions& options_;
  std::vector<std::string>& notes_;
  Plan plan_;
  std::map<Role, std::multimap<std::size_t, std::size_t>> found_;  // column by how plain its name is
  std::optional<std::size_t> index_;
};

/// Reads the lines of a table whose columns are known.
class LineReader {
 public:
  LineReader(CsvLines& lines, const std::vector<std::string>& header, const Plan& plan, TableInput& input)
      : lines_(lines), header_(header), plan_(plan), input_(input) {}

  void read() {
    std::size_t count = 0;
    for (; lines_.next(); ++count) {
      if (lines_.cells() == header_) {  // two recordings in one file
        --count;
        continue;
      }
      if (lines_.cells().size() < plan_.width) {
        if (!lines_.is_cut() || count == 0) throw DataError(lines_.where() + ": has fewer columns than the header");
        input_.imported.notes.push_back("the last line is cut and was left out, as when its writer is killed");
        break;
      }
      add_line(count);
    }
  }

 private:
  std::int64_t number_of(std::size_t column, Role role) const {
    const std::string& cell = lines_.cells()[column];
    auto number = whole_number_in(cell);
    if (!number)
      for (const NumberedName& named : numbers_in_name(cell))
        if (named.role == role || (named.role == Role::None && !number)) number = named.number;
    if (!number)
      throw DataError(
          fmt::format("{}, {}: '{}' is not a whole number", lines_.where(), role_name(role), cell.substr(0, 40)));
    if (*number < 0 || *number > 65535)
      throw DataError(fmt::format("{}: layer and expert must be 0 to 65535, but {} is {}", lines_.where(),
                                  role_name(role), *number));
    return *number;
  }
  double count_of(std::size_t column) const {
    const auto number = as_number(lines_.cells()[column]);
    if (!number)
      throw DataError(
          fmt::format("{}, count: '{}' is not a number", lines_.where(), lines_.cells()[column].substr(0, 40)));
    return *number;
  }

  void add_line(std::size_t line) {
    CountTable::Place place = input_.outer;
    for (const auto& [column, name] : plan_.ranks) input_.name_rank(place, name, lines_.cells()[column]);
    if (plan_.step) place.step = lines_.cells()[*plan_.step];
    if (place.step.empty()) throw DataError(lines_.where() + ", step: is empty");
    if (plan_.model) place.model = lines_.cells()[*plan_.model];
    if (plan_.layer) place.layer = static_cast<std::int32_t>(number_of(*plan_.layer, Role::Layer));
    if (plan_.layers_in_order) place.layer = static_cast<std::int32_t>(line);
    if (plan_.count)
      return add(place, static_cast<std::size_t>(number_of(*plan_.expert, Role::Expert)), count_of(*plan_.count));
    if (plan_.wide[0].of.size() == 1 && plan_.wide[0].of[0].role == Role::Expert) return add_row(place);
    for (const CountColumn& wide : plan_.wide) {
      std::int64_t expert = plan_.expert ? number_of(*plan_.expert, Role::Expert) : 0;
      for (const NumberedName& number : wide.of) {
        if (number.role == Role::Expert) expert = number.number;
        if (number.role == Role::Layer) place.layer = static_cast<std::int32_t>(number.number);
        if (number.role == Role::Step) place.step = std::to_string(number.number);
      }
      if (expert < 0 || expert > 65535)
        throw DataError(fmt::format("{}: layer and expert must be 0 to 65535", lines_.where()));
      add(place, static_cast<std::size_t>(expert), count_of(wide.column));
    }
  }

  /// A column for each expert.
  void add_row(const CountTable::Place& place) {
    std::vector<double> experts;
    for (const CountColumn& wide : plan_.wide) {
      const std::int64_t expert = wide.of[0].number;
      if (expert > 65535) throw DataError(lines_.where() + ": layer and expert must be 0 to 65535");
      if (static_cast<std::size_t>(expert) >= experts.size()) experts.resize(static_cast<std::size_t>(expert) + 1, 0.0);
      experts[static_cast<std::size_t>(expert)] += count_of(wide.column);
    }
    if (!input_.table.add_row(place, experts)) refuse_repeated(place, "");
  }

  void add(const CountTable::Place& place, std::size_t expert, double count) {
    if (!input_.table.add_count(place, expert, count)) refuse_repeated(place, std::to_string(expert));
  }
  void refuse_repeated(const CountTable::Place& place, const std::string& expert) const {
    if (!input_.options.add_repeated && input_.options.columns.ignored.empty())
      throw DataError(lines_.where() + ": " + text_of_repeated(place, expert, plan_.unread));
  }

  CsvLines& lines_;
  const std::vector<std::string>& header_;
  const Plan& plan_;
  TableInput& input_;
};

/// Numbers without a header, [line, column].
NumberArray read_matrix(CsvLines& lines) {
  NumberArray array;
  array.extents = {0, 0};
  while (lines.next()) {
    const std::size_t width = lines.cells().size();
    if (array.extents[0] == 0) array.extents[1] = width;
    if (width != array.extents[1])
      throw DataError(
          fmt::format("{}: has {} numbers, but the lines before have {}", lines.where(), width, array.extents[1]));
    for (const std::string& cell : lines.cells()) {
      const auto number = as_number(cell);
      if (!number) throw DataError(fmt::format("{}: '{}' is not a number", lines.where(), cell.substr(0, 40)));
      array.values.push_back(*number);
      array.whole = array.whole && *number == std::floor(*number);
    }
    ++array.extents[0];
  }
  return array;
}

/// Whether the first line counts from `first` on, as a header of columns without names does.
bool counts_up(const std::vector<std::string>& cells, std::int64_t first) {
  for (std::size_t column = 0; column < cells.size(); ++column)
    if (whole_number_in(cells[column]) != first + static_cast<std::int64_t>(column)) return false;
  return cells.size() > 1;
}

/// Names of the columns of a table without a header for which --columns names columns by their numbers, from 1.
std::vector<std::string> numbered_names(std::size_t count) {
  std::vector<std::string> names;
  for (std::size_t column = 1; column <= count; ++column) names.push_back(std::to_string(column));
  return names;
}

/// The names of the columns, with the reader behind the header; nothing where the table is a matrix.
std::optional<std::vector<std::string>> header_of(CsvLines& lines, const ImportOptions& options,
                                                  std::vector<std::string>& notes) {
  if (options.columns.no_header || !lines.next()) return std::nullopt;
  const std::vector<std::string> cells = lines.cells();
  const bool numbers = std::ranges::all_of(cells, [](const auto& cell) { return as_number(cell).has_value(); });
  if (!numbers) return cells;
  if (!options.columns.empty()) {
    lines.restart();
    std::vector<std::string> names = numbered_names(cells.size());
    for (std::size_t column = 0, expert = 0; column < names.size(); ++column)
      if (!options.columns.role_of(names[column]) && !options.columns.ignores(names[column]))
        names[column] = options.columns.names.contains(Role::Count) ? "column " + names[column] + " "
                                                                    : fmt::format("expert_{}", expert++);
    return names;
  }
  const bool more = lines.next();
  if (more && counts_up(cells, 0)) {
    notes.push_back(fmt::format("the first line, 0 to {}, is taken for a header of experts ({} none: for counts)",
                                cells.size() - 1, on_command_line("columns")));
    lines.restart();
    lines.next();
    return cells;
  }
  if (more && cells.size() > 3 && counts_up(cells, 1))
    throw DataError(fmt::format(
        "{}: the first line counts from 1 to {}: a header of experts, which GEM counts from 0, or counts; name the "
        "columns expert_0, expert_1, ..., or say {} none if they are counts",
        lines.path(), cells.size(), on_command_line("columns")));
  lines.restart();
  return std::nullopt;
}

}  // namespace

std::string quoted_names(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < 6; ++i) text += (i > 0 ? ", '" : "'") + names[i].substr(0, 60) + "'";
  return text + (names.size() > 6 ? ", ..." : "");
}

std::string text_of_repeated(const CountTable::Place& place, const std::string& expert,
                             const std::vector<std::string>& unread) {
  std::string text = fmt::format("names step {}, layer {}{} again", place.step.substr(0, 40), place.layer,
                                 expert.empty() ? "" : ", expert " + expert);
  if (unread.empty())
    return text + fmt::format("; say what tells the two apart, leave one out, or add them with {}",
                              on_command_line("add-repeated"));
  return text + fmt::format(
                    "; {} may tell the two apart: say what it is with {}, as step={}, rank={}, or ignore={} to "
                    "add them",
                    quoted_names(unread), on_command_line("columns"), unread[0], unread[0], unread[0]);
}

void TableInput::name_rank(CountTable::Place& place, const std::string& name, const std::string& text) {
  const auto number = whole_number_in(text);
  if (number && *number >= 0 && place.part == outer.part) ranks.insert(*number);
  place.part += fmt::format(" {} {}", name, text);
}

void read_csv_counts(const std::string& path, TableInput& input) {
  CsvLines lines(path, read_whole_text(path, largest_text_bytes));
  std::vector<std::string>& notes = input.imported.notes;
  if (const auto names = header_of(lines, input.options, notes)) {
    const Plan plan = Planner(lines, *names, input.options, notes).plan();
    const bool step_in_names = !plan.wide.empty() && std::ranges::any_of(plan.wide[0].of, [](const auto& number) {
      return number.role == Role::Step;
    });
    input.has_steps = plan.step.has_value() || step_in_names;
    input.has_layers = !plan.layers_in_order;
    LineReader(lines, *names, plan, input).read();
    if (!plan.unread.empty()) notes.push_back("columns " + quoted_names(plan.unread) + " aren't read");
    input.imported.source = "CSV of counts";
    return;
  }
  const NumberArray matrix = read_matrix(lines);
  if (matrix.values.empty()) throw DataError(path + ": holds no line of counts");
  add_array(matrix, path, input);
}

}  // namespace gem
