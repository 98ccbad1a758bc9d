#pragma once

#include <cstddef>

#include "base/array.hpp"
#include "base/field.hpp"

namespace gem {

/// Which experts tokens use together: what is needed, beside counts, where a token is sent to a node once. Bounded in
/// size: a number a layer and pair, whatever the number of steps.
struct ExpertPairs {
  /// [layer, pair] tokens that use both experts of a pair, of each token, mean. Pairs (a, b), a < b, are in the order
  /// of a, then b.
  Matrix<double> share{};
  bool empty() const { return share.rows() == 0; }
};

/// Pairs of different experts.
constexpr std::size_t pair_count(std::size_t experts) {
  return experts == 0 ? 0 : experts * (experts - 1) / 2;
}

/// The place of a pair among them, a < b.
constexpr std::size_t pair_index(std::size_t a, std::size_t b, std::size_t experts) {
  return a * (2 * experts - a - 1) / 2 + (b - a - 1);
}

/// The fields of them, in a `gem.trace` file.
template <ConstOr<ExpertPairs> Pairs, class Visit>
void visit_fields(Pairs& pairs, Visit&& visit) {
  auto& [share] = pairs;
  visit(Field{.name = "/pairs",
              .axes = "layer, pair",
              .rule = {.least = 0, .greatest = 1},
              .presence = Presence::OrEmpty,
              .meaning = "share of the tokens that use both experts of a pair, of all steps together; experts (0, 1), "
                         "(0, 2), ..., (1, 2), ... make experts * (experts - 1) / 2 pairs"},
        share);
}

}  // namespace gem
