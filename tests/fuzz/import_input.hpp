#pragma once

#include <string>
#include <variant>
#include <vector>

#include "fuzz/fuzz_input.hpp"
#include "interchange/import.hpp"

namespace gem {

/// Imports a file in a format: to a trace or routing, or refused.
inline void must_import_or_refuse(const ImportFormat& format, const std::string& path) {
  ImportOptions options;
  options.expert_count = 16;
  options.top_k = 2;
  must_read_or_refuse([&] { format.recognises(path, options); });
  must_read_or_refuse([&] {
    std::vector<std::string> notes;
    const Recording recording = format.read({path}, options);
    if (const auto* routing = std::get_if<RecordedRouting>(&recording))
      routing_of(*routing, options, notes);
    else
      trace_of(std::get<ImportedCounts>(recording), options, notes);
  });
}

}  // namespace gem
