#pragma once

#include <string>

#include "interchange/imported_counts.hpp"

namespace gem {

/// Counts as CSV: a header with columns for layer, expert, count and, where there is a time axis, step, by any of their
/// usual names; or a header with a column for layer and one for each expert; or no header and a line a layer. Commas,
/// semicolons or tabs; a byte order mark is passed over. Counts of 0 may be left out. DataError naming the line.
ImportedCounts read_csv_counts(const std::string& path, const ImportOptions& options);

/// More columns, of zeros.
void widen(Cube<double>& counts, std::size_t columns);

}  // namespace gem
