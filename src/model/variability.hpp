#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace gem {

/// Reads the relative runtime of each GPU of a cluster (1.0 = the median GPU, higher is slower) from CSV text: comment
/// lines start with '#', then a header, then one line a GPU; only the column `relative_runtime` is used. `origin` names
/// the text in messages. DataError for a missing column, a value that is not a positive number, or no GPU.
std::vector<double> parse_variability(std::string_view csv_text, const std::string& origin);

/// The relative runtimes of `device_count` devices that stand for the whole cluster: device i of n takes the quantile
/// i / (n - 1), so that device 0 is the cluster's fastest GPU, the last one its slowest and the others are spread
/// evenly between by rank. A single device takes the median. Ascending, in the scale of `runtimes`; needs at least one
/// runtime.
std::vector<double> pick_quantiles(const std::vector<double>& runtimes, std::size_t device_count);

}  // namespace gem
