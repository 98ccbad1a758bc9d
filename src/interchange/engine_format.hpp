#pragma once

#include <string>
#include <vector>

#include "interchange/physical_map.hpp"

namespace gem {

/// How a serving engine takes a placement.
struct EngineFormat {
  enum class Layers {
    Named,          ///< layers go by the model's own numbers; dense ones are left out
    EveryDecoder,   ///< one row for every decoder layer, dense ones too
    MoeLayerOrder,  ///< layers are counted among the MoE layers, and all of those must be there
  };

  std::string name;     ///< of --engine
  std::string summary;  ///< for --help
  Layers layers;
  bool has_comments;  ///< the file itself says how to start the engine; else a file beside it does
  /// The engine's file. `path` is where it will stand, for comments.
  std::string (*text_of)(const PhysicalMap& map, const std::string& path);
  /// Reads such a file back. What the format doesn't say is taken from `shape`: devices, experts, layer numbers.
  /// DataError naming `origin` for anything else.
  PhysicalMap (*parse)(const std::string& text, const std::string& origin, const PhysicalMap& shape);
  /// How to start the engine with the file.
  std::string (*instructions)(const PhysicalMap& map, const std::string& path);
};

extern const EngineFormat sglang_format;
extern const EngineFormat tensorrt_llm_format;
extern const EngineFormat vllm_ascend_format;
extern const EngineFormat vllm_format;
extern const EngineFormat eplb_format;

/// All of them, in the order that messages list them in.
const std::vector<const EngineFormat*>& engine_formats();

/// UsageError listing the engines for any other name.
const EngineFormat& find_engine(const std::string& name);

/// A line of instructions where an engine that knows files by their `ending` would not take one at `path`, else
/// nothing.
std::string note_of_ending(const std::string& path, const std::string& ending);

/// A map of `shape`'s devices, experts and layers with these rows, [layer][slot]. DataError naming `origin` for another
/// number of layers, or rows of unequal length.
PhysicalMap map_of_rows(const std::vector<std::vector<std::int32_t>>& rows, const PhysicalMap& shape,
                        const std::string& origin);

}  // namespace gem
