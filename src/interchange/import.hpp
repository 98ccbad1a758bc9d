#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "interchange/imported_counts.hpp"
#include "model/load_trace.hpp"
#include "model/routing.hpp"

namespace gem {

/// Kinds of input that `gem-trace import` knows.
struct ImportFormat {
  std::string name;
  std::string summary;
};
/// All of them.
const std::vector<ImportFormat>& import_formats();

/// Files to read, directories replaced by what belongs to the format in them; and the format, found by what is there
/// unless `format` names it. UsageError if that does not decide it, DataError if there is nothing.
struct ImportSources {
  std::string format;
  std::vector<std::string> paths;
};
ImportSources find_sources(const std::vector<std::string>& inputs, const std::string& format);

/// What the user or a known model adds to what an engine recorded.
struct ImportOptions {
  std::string model = "unknown";
  std::string task = "imported";
  std::string phase = "decode";
  std::size_t expert_count = 0;         ///< 0: as the data have it
  std::size_t top_k = 0;                ///< 0: as the data have it
  std::vector<std::int32_t> layer_ids;  ///< empty: as the data have it
  std::size_t tokens = 0;               ///< aggregates are scaled to so many tokens a step; 0: left as they are
};

/// Reads any format but routed experts.
ImportedCounts read_counts(const ImportSources& sources);

/// The step trace of recorded counts: dense layers and steps without tokens are left out, aggregates become one step.
/// `notes` gets what the user should know. UsageError where an option is missing or contradicts the data, DataError
/// where counts are no counts.
LoadTrace trace_of(const ImportedCounts& imported, const ImportOptions& options, std::vector<std::string>& notes);

/// Names and layer numbers for routing that was read.
void complete(Routing& routing, const ImportOptions& options, std::vector<std::string>& notes);

}  // namespace gem
