#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "interchange/engine_format.hpp"
#include "model/mapping.hpp"

namespace gem {

/// What the user or a known model adds to an engine's file.
struct ImportedMapShape {
  std::string name = "imported";  ///< of the mapping, in tables
  std::string model = "unknown";
  std::size_t device_count = 0;         ///< 0: as the file says
  std::size_t expert_count = 0;         ///< 0: the largest number in the file plus 1
  std::size_t decoder_layers = 0;       ///< of the model, dense ones too; 0: unknown
  std::vector<std::int32_t> layer_ids;  ///< of the model's MoE layers, or of the file's layers; empty: unknown
};

/// A map that was read.
struct ImportedMap {
  Mapping mapping;
  PhysicalMap slots;               ///< the same, each expert in the slot that the file has it in
  std::string source;              ///< whose file it is, for the user
  std::vector<std::string> notes;  ///< what the user should know
};

/// Reads an engine's file, of the format `engine` or, if empty, of the one it is told by. Rows of dense layers and of
/// layers of multi-token prediction are left out where the model is known. UsageError where the file doesn't say how
/// many devices there are or which layers it means, DataError for what is no map.
ImportedMap import_map(const std::string& path, const std::string& engine, const ImportedMapShape& shape);

}  // namespace gem
