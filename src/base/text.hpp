#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gem {

/// "1.23 ms", "45.6 us": three significant digits with the unit that suits.
std::string format_seconds(double seconds);

/// "3 min 20 s", "45 s": for time left and run times.
std::string format_duration(double seconds);

/// "12.5 MiB".
std::string format_bytes(double bytes);

/// "a, b, c".
std::string join(std::span<const std::string> parts, std::string_view separator = ", ");

/// "1 rank", "2 ranks": a count and its noun.
std::string counted(std::size_t count, std::string_view noun);

/// The text with line breaks between words so that no line is longer than `width`, unless a word is.
std::string wrap(std::string_view text, std::size_t width = 80);

/// The parts between separators: one more than there are separators, and some may be empty.
std::vector<std::string> split(std::string_view text, char separator);
/// Without white space at either end.
std::string trim(std::string_view text);
/// ASCII letters in lower case.
std::string to_lower(std::string_view text);

/// Whole text as a number; UsageError naming `what` (an option, say) if it is anything else.
double parse_number(std::string_view text, const std::string& what);
/// The same for whole numbers.
std::int64_t parse_integer(std::string_view text, const std::string& what);
/// "1.0,1.28" as numbers.
std::vector<double> parse_number_list(std::string_view text, const std::string& what);

/// Levenshtein distance.
std::size_t edit_distance(std::string_view first, std::string_view second);

/// Up to `count` of the candidates nearest to `word`, nearest first, ignoring case; empty if none is near.
std::vector<std::string> near_words(std::string_view word, std::span<const std::string> candidates,
                                    std::size_t count = 3);

}  // namespace gem
