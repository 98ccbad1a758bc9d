#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "interchange/number_array.hpp"

namespace gem {

/// Experts of each token as an engine recorded them, request by request.
struct RecordedRouting {
  static constexpr std::int32_t none = -1;  ///< in a place without an expert

  std::string origin;                 ///< the input, for messages
  std::string source;                 ///< what was recognised, for the user
  std::size_t layer_count = 0;        ///< recorded layers, dense ones too where the engine keeps rows for them
  std::size_t places = 0;             ///< ids a token and layer
  std::vector<std::int32_t> ids;      ///< [token, layer, place]
  std::int32_t unsigned_none = none;  ///< what -1 became in a type without a sign, if the model has no such expert
  double largest_id = 65535.0;        ///< that the files' types can hold
  std::vector<std::int64_t> request_offsets;  ///< [request + 1], tokens
  bool has_bare_arrays = false;               ///< some that nothing but their place says to be [token, layer, k]
  std::vector<std::string> notes;             ///< what the user should know

  std::size_t token_count() const {
    return request_offsets.empty() ? 0 : static_cast<std::size_t>(request_offsets.back());
  }

  /// One more request of ids [token, layer, place]. DataError naming `from` for other extents than [token, layer, k],
  /// another number of layers or places than before, fractions, or ids that no model has.
  void add_request(const NumberArray& array, const std::string& from);
};

}  // namespace gem
