#include "mapping/mapping_costs.hpp"

#include "search/layer_search.hpp"
#include "search/water_filling.hpp"

namespace gem {

std::vector<LayerProblem> problems_of(const CostModel& model, const LoadTrace& trace, const CopyCounts& copies) {
  if (copies.rows() == 0) return layer_problems(model, trace);
  std::vector<LayerProblem> problems = layer_problems(model, split_over_copies(trace, copies));
  for (std::size_t layer = 0; layer < problems.size(); ++layer)
    problems[layer].set_copies(experts_of_copies(copies.row(layer)));
  return problems;
}

MappingCosts::MappingCosts(CostModel model, const LoadTrace& trace) : model_(std::move(model)), trace_(&trace) {}

const std::vector<LayerProblem>& MappingCosts::problems(const CopyCounts& copies) {
  for (const Entry& entry : entries_)
    if (entry.copies == copies) return entry.problems;
  return entries_.emplace_back(Entry{copies, problems_of(model_, *trace_, copies)}).problems;
}

Score MappingCosts::score(const Mapping& mapping) {
  return score_of(problems(copies_of(mapping)), mapping);
}

std::vector<double> MappingCosts::stage_s(const Mapping& mapping, std::size_t stage) {
  const std::vector<LayerProblem>& layers = problems(copies_of(mapping));
  std::vector<double> seconds;
  for (std::size_t layer = 0; layer < layers.size(); ++layer)
    seconds.push_back(stage_seconds(layers[layer], assignment_of(mapping, layer), stage));
  return seconds;
}

std::int64_t MappingCosts::cost(const Mapping& mapping, std::size_t layer) {
  return cost_of(problems(copies_of(mapping))[layer], assignment_of(mapping, layer));
}

LowerBounds MappingCosts::lower_bounds(const Mapping& like) {
  const bool has_copies = like.redundant_count() > 0;
  LowerBounds bounds;
  const auto bound = [&](const auto& layers) {
    const WaterFilling water_filling(layers.front().tables(), {}, !has_copies);
    for (const LayerCost& layer : layers) {
      bounds.layer_s.push_back(mean_seconds(layer, water_filling.bound(layer)));
      bounds.profiled_s.push_back(mean_seconds(layer, water_filling.stage_bound(layer, profiled_stage)));
    }
  };
  if (has_copies)
    bound(bounding_layer_costs(model_, *trace_, like.slots_per_device()));
  else
    bound(problems({}));
  return bounds;
}

}  // namespace gem
