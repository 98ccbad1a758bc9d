#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/array.hpp"
#include "interchange/number_array.hpp"
#include "model/layer_experts.hpp"

namespace gem {

struct ImportOptions;

/// Tokens by step, layer and expert, as an engine recorded them.
struct ImportedCounts {
  std::string origin;                   ///< the input, for messages
  std::string source;                   ///< what was recognised, for the user
  bool has_steps = true;                ///< false: an aggregate over a whole run, here as one step
  bool every_decoder_layer = false;     ///< layers are all decoder layers from 0, dense ones as zeros
  bool summed_over_ranks = false;       ///< the engine summed over ranks that may all have counted each token
  std::vector<std::int32_t> layer_ids;  ///< the model's own numbers; empty where only the order of MoE layers is known
  std::size_t top_k = 0;                ///< 0: unknown
  Cube<double> counts;                  ///< [step, layer, expert], logical experts
  LayerExperts experts_of_layer;        ///< see LayerExperts
  std::vector<std::string> notes;       ///< what the user should know
};

/// Adds counts of slots (physical experts) to those of the experts that they hold; a slot that holds none (-1) must
/// have none. DataError naming `origin` for a slot with another expert than 0 .. logical.size() - 1.
void add_physical(std::span<const double> physical, std::span<const double> physical_to_logical,
                  std::span<double> logical, const std::string& origin);

/// Number of experts that a map of slots names: the largest plus 1. DataError naming `origin` for an expert below -1,
/// or beyond the number of slots.
std::size_t logical_expert_count(std::span<const double> physical_to_logical, std::size_t slot_count,
                                 const std::string& origin);

/// Counts that come piece by piece, in any order: steps and layers go by numbers that need not begin at 0 or be dense.
/// What several ranks recorded is summed, over the steps that all of them have.
class CountCollector {
 public:
  /// `origin` names the source in messages.
  explicit CountCollector(std::string origin) : origin_(std::move(origin)) {}

  /// What follows is the part of this rank or file (until the next call; a name may come again).
  void begin_part(const std::string& name);
  /// Adds to a step and layer of the part.
  void add(std::int64_t step, std::int32_t layer, std::span<const double> experts);
  /// Rows of zeros were not recorded, so that a layer may be missing where all else is whole.
  void allow_missing_layers() { sparse_ = true; }

  /// The sum over the parts: steps and layers ascending, layer numbers in layer_ids. Steps or layers that not all parts
  /// have are left out unless options.keep_partial, parts that say the same as another count once, and layers of
  /// another number of experts than options.expert_count, where that is one of those that there are, are left out;
  /// notes say so. DataError if there is nothing, if a layer has now one number of experts and now another, or if no
  /// step is in all parts.
  void finish(ImportedCounts& imported, const ImportOptions& options);

 private:
  using Key = std::pair<std::int64_t, std::int32_t>;  // step, layer
  struct Part {
    std::string name;
    std::map<Key, std::vector<double>> rows;
  };

  void drop_repeated_parts(std::vector<std::string>& notes);
  void choose_expert_count(const ImportOptions& options, std::vector<std::string>& notes);
  LayerExperts experts_of_layers(const std::vector<std::int32_t>& layer_ids) const;
  void drop_partial(const ImportOptions& options, std::vector<std::string>& notes);
  void erase_rows(const std::set<std::int64_t>& steps, const std::set<std::int32_t>& layers);

  std::string origin_;
  std::vector<Part> parts_;
  std::size_t part_ = 0;
  bool sparse_ = false;
};

/// Notes what is known of the ranks that recorded. DataError naming `origin` if one is missing: a gap in their numbers,
/// or fewer than options.ranks; with options.keep_partial a note.
void check_ranks(const std::set<std::int64_t>& ranks, const ImportOptions& options, const std::string& origin,
                 std::vector<std::string>& notes);

/// All steps of an array [step, layer, expert] or, without a time axis, [layer, expert]; its axes are in another order
/// where options.axes says so. DataError naming `origin` if it holds a map of slots, ids of experts, loads of ranks, or
/// transposed counts.
ImportedCounts counts_of_array(const NumberArray& array, const ImportOptions& options, const std::string& origin);

/// What an array of three axes can be: ids [token, layer, k] or counts.
enum class ArrayKind { Ids, Counts, Either };
/// By the last extent: top-k, or the number of experts, where they are known, else by its size.
ArrayKind kind_of_array(const NumberArray& array, const ImportOptions& options);

}  // namespace gem
