#pragma once

#include <optional>
#include <string>
#include <vector>

#include "interchange/engine_format.hpp"
#include "model/mapping.hpp"
#include "model/moe_model.hpp"

namespace gem {

/// What is known of the model beside the mapping.
struct ExportModel {
  std::string name;
  std::size_t decoder_layers = 0;  ///< 0: unknown
  std::size_t moe_layers = 0;      ///< 0: unknown
  std::size_t expert_count = 0;    ///< 0: unknown
  std::size_t mtp_layers = 0;  ///< layers of multi-token prediction behind the last one that the file must place too
};

/// The map as the engine wants it. UsageError where the engine cannot take this mapping: layers of the model are
/// missing, or their number isn't known, the model has another number of experts, or the engine can't place this
/// model's experts by a file.
PhysicalMap map_for_engine(const Mapping& mapping, const EngineFormat& engine, const ExportModel& model);

/// Writes the engine's file, reads it back, checks it (every expert there, as many on each device, none twice on one)
/// and compares it with the map; then, unless the format has comments, writes PATH.txt, how to start the engine,
/// `launch` at its end. Returns the files written. DataError if what was read back is something else.
std::vector<std::string> export_to_engine(const PhysicalMap& map, const EngineFormat& engine, const std::string& path,
                                          const std::string& launch = "");

}  // namespace gem
