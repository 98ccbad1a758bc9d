#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string_view>

namespace gem {

/// A place in a name or pattern that says which numbers may stand there: "3", "(1|5)", "[0-9]+", "*".
struct NumberPlace {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool all = false;    ///< any number
  bool clear = false;  ///< it can be said which numbers are meant
  std::set<std::int32_t> numbers;
};

/// The place that begins at `begin`, of numbers below `count`.
NumberPlace place_at(std::string_view text, std::size_t begin, std::size_t count);

/// The end of the place that begins at `begin`: before the next dot, slash, colon or dollar that is in no bracket.
std::size_t end_of_place(std::string_view text, std::size_t begin);

/// Behind a word: over the dots and backslashes that separate names in names and patterns.
std::size_t over_separators(std::string_view text, std::size_t at);

/// Whether a pattern goes on as names do, so that what stands before means any number: "*gate_proj", ".*", "*.w1".
bool goes_on_with_a_name(std::string_view text, std::size_t at);

/// Whether numbers may begin with this letter, in a name or in a pattern.
bool may_begin_numbers(std::string_view text, std::size_t at);

/// Whether a whole number without leading zeros begins here that no letter follows: "3" of "experts-3", not of "3b".
bool has_number_at(std::string_view text, std::size_t at);

/// Where the place of a layer's number begins, if a word that names layers ("layers", "blocks", "blk", "layer", "h")
/// begins at `at`; npos if none does.
std::size_t layer_place_at(std::string_view text, std::size_t at);

/// The same for the last of such words before `end`.
std::size_t layer_place_before(std::string_view text, std::size_t end);

/// Whether the text has letters that stand for others in patterns.
bool is_pattern(std::string_view text);

bool is_digit(char letter);
/// Of at most eight digits.
bool is_all_digits(std::string_view text);

}  // namespace gem
