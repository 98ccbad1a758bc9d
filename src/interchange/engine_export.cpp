#include "interchange/engine_export.hpp"

#include <fmt/core.h>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "platform/file_system/input_file.hpp"
#include "platform/file_system/whole_file.hpp"

namespace gem {
namespace {

/// `model` may have its publisher before it: "mistralai/Mixtral-8x7B".
void check_model(const EngineFormat& engine, const std::string& model) {
  const std::string name = to_lower(model.substr(model.rfind('/') + 1));
  for (const auto& [begin, why] : engine.refused_models)
    if (name.starts_with(begin))
      throw UsageError(
          fmt::format("{} {} cannot place the experts of {}: {}; gem-deploy permute makes a checkpoint whose linear "
                      "placement is the mapping",
                      on_command_line("engine"), engine.name, model, why));
}

/// Rows for the layers of multi-token prediction, where the engine wants them.
PhysicalMap with_mtp_layers(const PhysicalMap& map, const EngineFormat& engine, const ExportModel& model) {
  if (model.decoder_layers == 0) {
    if (model.mtp_layers == 0) return map;
    throw UsageError(
        fmt::format("{}: the layers of multi-token prediction are counted behind the model's last one; say how many it "
                    "has: {} NAME or {} N",
                    on_command_line("mtp-layers"), on_command_line("model"), on_command_line("layers")));
  }
  const std::size_t end = model.decoder_layers + model.mtp_layers;
  if (!map.layer_ids.empty() && static_cast<std::size_t>(map.layer_ids.back()) >= end)
    throw UsageError(
        fmt::format("the mapping has layer {}, but the model has decoder layers 0 to {}; give the model that "
                    "the mapping was made for, or {} N if those behind are of multi-token prediction and {} is to "
                    "place them",
                    map.layer_ids.back(), model.decoder_layers - 1, on_command_line("mtp-layers"), engine.name));
  return with_further_layers(map, model.decoder_layers, model.mtp_layers);
}

}  // namespace

PhysicalMap map_for_engine(const Mapping& mapping, const EngineFormat& engine, const ExportModel& model) {
  if (model.expert_count != 0 && model.expert_count != mapping.expert_count())
    throw UsageError(
        fmt::format("the mapping places {} experts a layer, but {} has {}; give the model that the mapping was "
                    "made for",
                    mapping.expert_count(), model.name, model.expert_count));
  check_model(engine, model.name);
  if (!mapping.experts_of_layer.empty())
    throw UsageError(
        fmt::format("layers have different numbers of experts ({}), and {} takes files with as many slots in every "
                    "layer only; gem-deploy permute makes a checkpoint whose linear placement is the mapping",
                    experts_text(mapping.experts_of_layer, mapping.expert_count()), engine.name));
  if (mapping.slot_count() % mapping.device_count != 0)
    throw UsageError(
        fmt::format("{} experts do not divide over {} devices, and {} takes files with as many on each only; "
                    "gem-deploy permute makes a checkpoint for engines that place one more on the first devices (vLLM)",
                    mapping.slot_count(), mapping.device_count, engine.name));
  const PhysicalMap map = physical_map_of(mapping);
  if (engine.layers == EngineFormat::Layers::Named) return with_mtp_layers(map, engine, model);
  if (model.mtp_layers > 0)
    throw UsageError(on_command_line("mtp-layers") + ": " + engine.name +
                     " places layers of multi-token prediction itself; leave it out");
  if (engine.layers == EngineFormat::Layers::MoeLayerOrder && model.moe_layers != 0 &&
      model.moe_layers != map.layer_count())
    throw UsageError(
        fmt::format("{} counts layers among the model's MoE layers and needs all {} of {}, but the mapping has "
                    "{}; make a mapping of all layers",
                    engine.name, model.moe_layers, model.name, map.layer_count()));
  if (engine.layers != EngineFormat::Layers::EveryDecoder) return map;
  if (model.decoder_layers == 0)
    throw UsageError(engine.name +
                     " needs a row for every decoder layer, dense ones too; say how many the model has: " +
                     on_command_line("model") + " NAME or " + on_command_line("layers") + " N");
  return with_all_layers(map, model.decoder_layers);
}

std::vector<std::string> export_to_engine(const PhysicalMap& map, const EngineFormat& engine, const std::string& path,
                                          const std::string& launch) {
  check_physical_map(map, "the mapping");
  write_whole_text(path, engine.text_of(map, path));
  PhysicalMap shape = map;
  shape.physical_to_logical = Matrix<std::int32_t>(map.layer_count(), 0);
  const PhysicalMap again = map_of_rows(engine.read(read_whole_text(path, std::uint64_t{1} << 30), path), shape, path);
  check_physical_map(again, path);
  if (again != map) throw DataError(path + ": read back, it holds another placement than was written; write it again");
  if (engine.has_comments) return {path};
  write_whole_text(path + ".txt", engine.instructions(map, path) + (launch.empty() ? "" : "\n" + launch));
  return {path, path + ".txt"};
}

}  // namespace gem
