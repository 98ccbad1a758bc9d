#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "model/load_trace.hpp"
#include "workload/description.hpp"

namespace gem {

/// One row a layer and a last row with the median over layers.
std::string description_table(const std::vector<LayerDescription>& layers);

struct HeatMapOptions {
  std::size_t rows = 32;     ///< at most so many experts: those with the highest peaks
  std::size_t columns = 60;  ///< at most so many stretches of time, each averaged over its steps
};

/// Loads of one layer (an index) over time, experts down and steps across, darker for more, hottest expert first; fits
/// into 80 columns by default. Shows each expert's number, C or T where it is consistent or temporal, and its mean
/// load.
std::string heat_map(const LoadTrace& trace, std::size_t layer, const LayerDescription& description,
                     const HeatMapOptions& options = {});

}  // namespace gem
