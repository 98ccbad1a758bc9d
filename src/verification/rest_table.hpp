#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "device/decoder_device.hpp"

namespace gem {

/// Measured operators of a decoder layer, from a CSV file of others' figures: seconds by part and tokens of one device.
class RestTable {
 public:
  /// Reads CSV text; `origin` names it in messages. The header names the columns, in any order, others are passed over:
  /// `part` (or op_name), a name of words_of(StepPart); rows of one part with equal tokens add up; `tokens` (or
  /// num_tokens, batch_size), of the one device; `context` (or kv_len, isl, s), where the time depends on it; and one
  /// of `seconds`, `milliseconds` (or latency) and `microseconds`. Rows of other contexts than the one asked for are
  /// left out. DataError naming line and column.
  RestTable(const std::string& csv_text, const std::string& origin, std::size_t context);

  bool has(StepPart part) const { return rows_.contains(part); }
  /// Between the rows for fewer and more tokens in proportion; beyond them by the line through the last two, of a
  /// single row its time. 0 for a part without rows.
  double seconds(StepPart part, double tokens) const;

 private:
  std::map<StepPart, std::map<double, double>> rows_;  // tokens to seconds
};

/// A device of which the table tells, `slowness` times as slow (1 or more).
std::unique_ptr<DecoderDevice> make_table_decoder(std::shared_ptr<const RestTable> table, const DecoderWork& work,
                                                  double slowness);

/// DataError naming the parts that the model has and the table lacks.
void check_rest_table(const RestTable& table, const DecoderWork& work, const std::string& origin);

}  // namespace gem
