#pragma once

#include <string>

#include "base/array.hpp"
#include "interchange/number_array.hpp"

namespace gem {

struct ImportOptions;

/// What numbers [step, layer, expert] are if they can't be counts of tokens: "each row names ..., so it is a map", with
/// what to do; empty for what may be counts.
std::string other_than_counts(const Cube<double>& counts, const ImportOptions& options);

/// The same for an array of two or three axes whose order isn't known: also ids and maps along other axes than the
/// last.
std::string other_than_counts(const NumberArray& array, const ImportOptions& options);

/// What the first columns of a table without a header are if they only say where its lines belong, with what to do;
/// empty where all of them may be counts. `matrix` is [line, column].
std::string columns_of_places(const NumberArray& matrix);

/// Whether counts by step are running totals: none gets less from step to step, but where all begin again. Told from
/// three steps on.
bool are_running_totals(const Cube<double>& counts);

/// The steps' own counts of running totals: differences of neighbours. The first step, and those in which the totals
/// began again, have none and are left out; their indices come in `left_out`.
Cube<double> differences_of(const Cube<double>& totals, std::vector<std::size_t>& left_out);

}  // namespace gem
