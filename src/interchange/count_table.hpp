#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "interchange/imported_counts.hpp"

namespace gem {

/// Counts of plain tables of any kind, by rank, step, layer and expert as the files write them: whole rows of experts,
/// or one count at a time. Steps may be numbers, times or texts.
class CountTable {
 public:
  /// `origin` names the source in messages.
  explicit CountTable(std::string origin) : origin_(std::move(origin)) {}

  /// Where counts belong.
  struct Place {
    std::string part;        ///< rank or file that counted
    std::string step = "0";  ///< as written
    std::int32_t layer = 0;
    std::string model;  ///< main or draft model, where a table has both
  };
  /// Adds a row of experts; false if there is one of this place already, to which it is added.
  bool add_row(const Place& place, std::span<const double> experts);
  /// Adds what one expert got, where idle experts may lack; false if it was there already.
  bool add_count(const Place& place, std::size_t expert, double count);

  bool empty() const { return rows_.empty(); }
  /// Experts that single counts name: the largest plus 1.
  std::size_t named_experts() const { return named_experts_; }
  /// The last layer's number plus 1.
  std::size_t layer_count() const { return layer_count_; }
  std::size_t parts() const { return parts_.size(); }

  /// The sum over ranks and files, see CountCollector::finish. DataError where steps are told by something that differs
  /// from line to line, or ranks counted other layers or experts under the same numbers. `numbered_layers`: layers have
  /// numbers, not only an order.
  void finish(ImportedCounts& imported, bool numbered_layers, const ImportOptions& options);

 private:
  using Key = std::tuple<std::size_t, std::size_t, std::int32_t, std::size_t>;  // part, step, layer, model
  struct Row {
    std::vector<double> experts;
    std::vector<bool> seen;  // empty for a whole row
  };

  Key key_of(const Place& place);
  void widen(Row& row, std::size_t experts);
  std::vector<std::int64_t> step_numbers(std::vector<std::string>& notes) const;
  void drop_cut_steps(const ImportOptions& options, std::vector<std::string>& notes);
  void choose_model(std::vector<std::string>& notes);
  void check_experts(const ImportOptions& options) const;
  void check_parts(bool numbered_layers) const;
  void check_steps(const ImportOptions& options) const;
  void check_local_experts(const ImportOptions& options) const;

  std::string origin_;
  std::vector<std::string> parts_, steps_, models_;
  std::unordered_map<std::string, std::size_t> part_places_, step_places_, model_places_;
  std::map<Key, Row> rows_;
  std::size_t first_expert_ = SIZE_MAX;
  std::size_t named_experts_ = 0, counts_ = 0, places_ = 0, layer_count_ = 0;
};

}  // namespace gem
