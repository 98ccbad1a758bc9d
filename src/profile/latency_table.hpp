#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "model/latency_profile.hpp"
#include "model/moe_model.hpp"
#include "model/weight_type.hpp"

namespace gem {

/// Whose latencies a table has, and how it calls them.
struct LatencyTableOptions {
  MoeModel model;
  std::size_t experts_per_device = 0;
  std::size_t device_count = 0;     ///< 0: those of the table; else a table of one device stands for so many
  std::vector<double> slowdowns{};  ///< of these, stated; fewer than devices repeat, none for equal ones
  std::size_t tile_tokens = 16;
  WeightType weight_type = WeightType::Bf16;
  /// "tokens=batch_size,milliseconds=latency": what the table calls device, tokens (rows of a device), step_tokens (of
  /// the whole step), tiles, active_experts, and seconds, milliseconds or microseconds. Without it columns of these
  /// names, or those of AIConfigurator's MoE tables.
  std::string columns{};
};

/// A profile from latencies that somebody else measured, and what it can't know.
struct TabulatedProfile {
  LatencyProfile profile;
  std::vector<std::string> unknown;  ///< one sentence each
};

/// Reads CSV text with a header; several times of one load are their median. Where the table names shapes, only rows of
/// the model's count. UsageError for columns that it hasn't; DataError naming line and column for what can't be read.
TabulatedProfile profile_from_table(std::string_view csv_text, const std::string& origin,
                                    const LatencyTableOptions& options);

}  // namespace gem
