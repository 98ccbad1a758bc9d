#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/statistics.hpp"
#include "mapping/mapping_answer.hpp"
#include "mapping/mapping_question.hpp"

namespace gem {

/// The fold of each step, [step]: groups of requests where the trace knows them, else blocks of consecutive steps.
/// OptionError where there are fewer groups or steps than folds, or resampled steps without groups, which share
/// requests.
std::vector<std::size_t> folds_of_steps(const LoadTrace& trace, std::size_t fold_count);

/// The steps outside a fold, the fold after it first, so that their first half is of as few folds as can be.
std::vector<std::size_t> steps_outside(const std::vector<std::size_t>& folds, std::size_t fold);

/// The mean of what `fold_count` folds gave and its interval: Student's, with the variance that Nadeau and Bengio
/// (2003) give for folds that are searched on the same steps.
struct Expectation {
  double mean = 0.0;
  Interval interval{};
};
Expectation expectation_of(const std::vector<double>& of_folds);

/// A method on steps kept aside, as shares of the reference's time.
struct ValidatedMethod {
  std::string name;
  Expectation whole;             ///< searched on all steps outside the fold
  std::vector<double> of_folds;  ///< [fold], likewise
  double half = 0.0;             ///< mean, searched on half of these steps; 0: not tried
  double quarter = 0.0;
};

struct CrossValidation {
  std::vector<ValidatedMethod> methods;  ///< the reference first
  std::size_t fold_count = 0;
  std::string report;  ///< table, what a longer trace would bring, and what was chosen
  /// What the search should be: the question's `lean` and `instead`.
  double lean = 0.0;
  std::optional<Method> instead{};
};

/// Searches on all folds but one and scores on that one, in turn; the methods that search also on half and a quarter of
/// these steps. Where a method that searches is not better than the best other one, with as many copies, it is tried
/// with a lean of a half and of all too, and if that doesn't help either the other one's mapping is what is chosen.
/// Collective; every rank gets the answer.
CrossValidation cross_validate(const Communicator& world, const MappingQuestion& question);

/// find_mapping after cross_validate, as it advises, where the question has folds; else find_mapping alone. Collective.
MappingAnswer validated_mapping(const Communicator& world, const MappingQuestion& question);

}  // namespace gem
