#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/decoder_shape.hpp"

namespace gem {

/// Shape of one routed expert: out = (silu(x Wg^T) * (x Wu^T)) Wd^T.
struct ExpertShape {
  std::size_t hidden_size = 0;        ///< columns of x, elements
  std::size_t intermediate_size = 0;  ///< rows of Wg and Wu, elements
  bool operator==(const ExpertShape&) const = default;

  /// Elements of gate, up and down together.
  std::size_t weight_count() const { return 3 * hidden_size * intermediate_size; }
  /// Floating-point operations for one token (two a multiply-add).
  double flops_per_token() const { return 2.0 * static_cast<double>(weight_count()); }
};

/// What GEM needs to know of a Mixture-of-Experts model.
struct MoeModel {
  std::string name;
  ExpertShape expert;
  std::size_t layer_count = 0;      ///< decoder layers
  std::size_t moe_layer_count = 0;  ///< of these, layers with routed experts
  std::size_t expert_count = 0;     ///< routed experts a layer
  std::size_t top_k = 0;            ///< routed experts a token
  std::size_t shared_expert_count = 0;
  std::size_t shared_intermediate_size = 0;
  std::string weight_dtype;
  DecoderShape decoder{};  ///< of attention and head; without query heads where the table doesn't tell
  std::string source;

  std::size_t dense_layer_count() const { return layer_count - moe_layer_count; }
};

/// The public models that GEM knows by name (jobs/data/models.csv, built into the program).
const std::vector<MoeModel>& known_models();

/// Reads models from CSV text with the header of jobs/data/models.csv; `origin` names it in messages.
/// DataError for a missing column, a bad number or no row.
std::vector<MoeModel> parse_models(std::string_view csv_text, const std::string& origin);

/// The known model of just that name, ignoring case, as files name it; none if there is none.
std::optional<MoeModel> known_model(std::string_view name);

/// A known model by name, ignoring case; UsageError listing near names if there is none.
const MoeModel& find_model(const std::vector<MoeModel>& models, std::string_view name);

/// The model that a user names: a known name; else the path of a CSV file with the header of
/// jobs/data/models.csv, `FILE.csv` if it has one model, `FILE.csv:NAME` if it has more. UsageError or DataError as
/// above.
MoeModel model_of_option(const std::string& text);

/// The CSV file that such an option names, or empty.
std::string model_file_of_option(const std::string& text);

}  // namespace gem
