#pragma once

#include <string>
#include <vector>

#include "base/option.hpp"

namespace gem {

/// What an engine does in a step. Files say it by its word, or "mixed" for steps of several traces.
enum class Phase { Decode, Prefill };

inline std::vector<OptionWord<Phase>> words_of(Phase) {
  return {{"decode", Phase::Decode}, {"prefill", Phase::Prefill}};
}

/// Which of the requests a trace was built from. Train and test have none in common.
enum class RequestPart { All, Train, Test };

inline std::vector<OptionWord<RequestPart>> words_of(RequestPart) {
  return {{"all", RequestPart::All}, {"train", RequestPart::Train}, {"test", RequestPart::Test}};
}

/// Whether the word, as a file has it, stands for this value.
template <class Value>
bool says(const std::string& word, Value value) {
  return word == word_of(value);
}

}  // namespace gem
