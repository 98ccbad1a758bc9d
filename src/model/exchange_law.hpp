#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace gem {

/// What dispatch and combine of a layer cost together, in steps of so many tokens: a straight line over the rows of the
/// device that gets most.
struct ExchangeLaw {
  std::int64_t tokens = 0;  ///< of a step, on all devices together
  double mean_s = 0.0;      ///< of all that it was made from
  double fixed_s = 0.0;
  double row_s = 0.0;
  double explained = 0.0;  ///< part of the variance that the line explains, 0 to 1, adjusted for chance
  bool operator==(const ExchangeLaw&) const = default;
};

/// Whether rows explain so much that experts should be placed by them.
bool rows_count(const ExchangeLaw& law);

/// Least squares over layers of steps of so many tokens. Nothing of fewer than three,
/// or where all have equally many rows or take equally long.
std::optional<ExchangeLaw> fit_exchange_law(std::int64_t tokens, std::span<const double> rows,
                                            std::span<const double> seconds);

/// What is true of the exchange in steps of so many tokens.
struct ExchangeOfStep {
  double fixed_s = 0.0;
  double row_s = 0.0;      ///< weighted by what rows explain; 0 where that is too little
  double explained = 0.0;  ///< as measured
};

/// Of laws ascending by tokens, at least one: in proportion to the logarithm of the tokens between two that were
/// measured, beyond them as at the nearest.
ExchangeOfStep exchange_of_step(std::span<const ExchangeLaw> laws, double tokens);

/// "64 tokens: 60 us, 0 ns ... ", a table of the laws; empty for none.
std::string exchange_law_table(std::span<const ExchangeLaw> laws);

}  // namespace gem
