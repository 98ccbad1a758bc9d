#pragma once

#include <set>
#include <string>

#include "interchange/count_table.hpp"
#include "interchange/import.hpp"

namespace gem {

/// What readers of plain tables fill, file by file.
struct TableInput {
  const ImportOptions& options;
  CountTable table;
  ImportedCounts imported;       ///< notes, and what the files say of themselves
  std::set<std::int64_t> ranks;  ///< those that files or columns name

  CountTable::Place outer;                           ///< of the file that is read, as its name says it
  bool step_outside = false, layer_outside = false;  ///< which of these its name says

  bool has_steps = false, has_layers = false;  ///< whether the file that is read tells steps, and numbers of layers

  TableInput(const ImportOptions& given, const std::string& origin) : options(given), table(origin) {}

  /// A rank as a table writes it.
  void name_rank(CountTable::Place& place, const std::string& name, const std::string& text);
};

/// Adds an array [step, layer, expert] or [layer, expert], see counts_of_array; `origin` names it in messages.
void add_array(const NumberArray& array, const std::string& origin, TableInput& input);

/// Adds the counts of a CSV table: lines of step, layer, expert and count under names that columns usually have, a
/// column for each expert (or layer, or step), or, without a header, a line a layer. DataError for lines that say the
/// same step, layer and expert again, where a column that isn't known may tell them apart.
void read_csv_counts(const std::string& path, TableInput& input);

/// "'a', 'b'", after six names "...".
std::string quoted_names(const std::vector<std::string>& names);

/// Why counts of a place that has some may not be added, with what to do: `unread` are the names that weren't read.
std::string text_of_repeated(const CountTable::Place& place, const std::string& expert,
                             const std::vector<std::string>& unread);

}  // namespace gem
