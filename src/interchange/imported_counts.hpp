#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/array.hpp"
#include "interchange/number_array.hpp"

namespace gem {

/// Tokens by step, layer and expert, as an engine recorded them.
struct ImportedCounts {
  std::string origin;                   ///< the input, for messages
  std::string source;                   ///< what was recognised, for the user
  bool has_steps = true;                ///< false: an aggregate over a whole run, here as one step
  bool every_decoder_layer = false;     ///< layers are all decoder layers from 0, dense ones as zeros
  std::vector<std::int32_t> layer_ids;  ///< the model's own numbers; empty where only the order of MoE layers is known
  std::size_t top_k = 0;                ///< 0: unknown
  Cube<double> counts;                  ///< [step, layer, expert], logical experts
  std::vector<std::string> notes;       ///< what the user should know
};

/// Adds counts of slots (physical experts) to those of the experts that they hold. DataError naming `origin` for a slot
/// with another expert than 0 .. logical.size() - 1.
void add_physical(std::span<const double> physical, std::span<const double> physical_to_logical,
                  std::span<double> logical, const std::string& origin);

/// Number of experts that a map of slots names: the greatest plus 1. DataError naming `origin` for an expert below 0,
/// or beyond the number of slots.
std::size_t logical_expert_count(std::span<const double> physical_to_logical, std::size_t slot_count,
                                 const std::string& origin);

/// Counts that come piece by piece, in any order: steps and layers go by numbers that need not begin at 0 or be dense.
class CountCollector {
 public:
  /// `origin` names the source in messages.
  explicit CountCollector(std::string origin) : origin_(std::move(origin)) {}

  /// Adds to a step and layer; all rows must have the same length.
  void add(std::int64_t step, std::int32_t layer, std::span<const double> experts);

  /// Steps and layers ascending, layer numbers in layer_ids. DataError if there is nothing, or hardly any pair of step
  /// and layer was given.
  void finish(ImportedCounts& imported) const;

 private:
  std::string origin_;
  std::map<std::pair<std::int64_t, std::int32_t>, std::vector<double>> rows_;
};

/// All steps of an array [step, layer, expert] or, without a time axis, [layer, expert].
ImportedCounts counts_of_array(const NumberArray& array, const std::string& origin);

}  // namespace gem
