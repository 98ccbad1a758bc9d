#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "interchange/physical_map.hpp"

namespace gem {

/// Slots as an engine's file has them.
struct EngineRows {
  std::vector<std::vector<std::int32_t>> slots;  ///< [layer][slot] experts; slots of device after device
  std::vector<std::int32_t> layer_ids;           ///< [layer], the model's own numbers; empty where the file has none
  std::size_t device_count = 0;                  ///< 0 where the file doesn't say
};

/// How a serving engine takes a placement.
struct EngineFormat {
  enum class Layers {
    Named,          ///< layers go by the model's own numbers; dense ones are left out
    EveryDecoder,   ///< one row for every decoder layer, dense ones too
    MoeLayerOrder,  ///< layers are counted among the MoE layers, and all of those must be there
  };

  std::string name;     ///< of --engine
  std::string summary;  ///< for --help
  std::string checked;  ///< the version whose loader the format was checked against
  Layers layers;
  bool has_comments;  ///< the file itself says how to start the engine; else a file beside it does
  /// The engine's file. `path` is where it will stand, for comments.
  std::string (*text_of)(const PhysicalMap& map, const std::string& path);
  /// Reads such a file. DataError naming `origin` for anything else.
  EngineRows (*read)(const std::string& text, const std::string& origin);
  /// True if the text can be of this format alone.
  bool (*recognises)(const std::string& text);
  /// How to start the engine with the file.
  std::string (*instructions)(const PhysicalMap& map, const std::string& path);
  /// Models that the engine cannot place by a file, by how their names begin in lower case, and why.
  std::vector<std::pair<std::string, std::string>> refused_models;
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

/// Rows of a file as a map of `shape`'s experts, and of its devices and layers where the file doesn't say them.
/// DataError naming `origin` for another number of layers, rows of unequal length, or an expert that isn't one.
PhysicalMap map_of_rows(const EngineRows& rows, const PhysicalMap& shape, const std::string& origin);

/// The largest number of an expert that is read.
constexpr std::int32_t largest_expert = 65535;

}  // namespace gem
