#include "interchange/number_place.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <regex>
#include <string>

namespace gem {
namespace {

bool is_letter(char letter) {
  return std::isalpha(static_cast<unsigned char>(letter)) != 0;
}

bool is_letter_or_digit(char letter) {
  return std::isalnum(static_cast<unsigned char>(letter)) != 0;
}

std::size_t longest_number(std::string_view text) {
  std::size_t longest = 0, length = 0;
  for (const char letter : text) longest = std::max(longest, length = is_digit(letter) ? length + 1 : 0);
  return longest;
}

/// "3:5", "3..5": more than one number, of which the place has the first.
bool goes_on_as_range(std::string_view text, std::size_t end) {
  const std::string_view rest = text.substr(std::min(end, text.size()));
  return (rest.size() > 1 && rest[0] == ':' && is_digit(rest[1])) ||
         (rest.size() > 2 && rest.starts_with("..") && is_digit(rest[2]));
}

}  // namespace

bool is_digit(char letter) {
  return std::isdigit(static_cast<unsigned char>(letter)) != 0;
}

bool is_all_digits(std::string_view text) {
  return !text.empty() && text.size() < 9 && std::ranges::all_of(text, is_digit);
}

std::size_t end_of_place(std::string_view text, std::size_t begin) {
  int depth = 0;
  std::size_t at = begin;
  for (; at < text.size(); ++at) {
    const char letter = text[at];
    if (depth == 0 && at > begin && text.substr(at).starts_with("[.]")) break;
    if (letter == '(' || letter == '[' || letter == '{') ++depth;
    if ((letter == ')' || letter == ']' || letter == '}') && --depth < 0) break;
    const bool escaped_dot = letter == '\\' && text.find_first_not_of('\\', at) != std::string_view::npos &&
                             text[text.find_first_not_of('\\', at)] == '.';
    if (depth == 0 && at > begin && (letter == '.' || letter == '/' || letter == ':' || letter == '$' || escaped_dot))
      break;
  }
  return at;
}

bool goes_on_with_a_name(std::string_view text, std::size_t at) {
  at = std::min(text.find_first_not_of("*+?.\\()$", at), text.size());
  return at == text.size() || std::isalpha(static_cast<unsigned char>(text[at])) != 0 || text[at] == '_';
}

NumberPlace place_at(std::string_view text, std::size_t begin, std::size_t count) {
  NumberPlace place;
  place.begin = begin;
  place.end = end_of_place(text, begin);
  std::string pattern(text.substr(begin, place.end - begin));
  for (std::size_t at = pattern.find("\\\\"); at != std::string::npos; at = pattern.find("\\\\", at))
    pattern.erase(at, 1);  // JSON writes a backslash as two
  if (goes_on_as_range(text, place.end)) return place;
  if (is_all_digits(pattern)) {
    place.clear = true;
    place.numbers = {static_cast<std::int32_t>(std::stol(pattern))};
    return place;
  }
  for (const char* any :
       {"\\d+", "\\d*", "[0-9]+", "[0-9]*", "(\\d+)", "([0-9]+)", "\\w+", "[^.]+", "[^.]*", "{}", "#"})
    if (pattern == any) place.all = place.clear = true;
  if (place.all) return place;
  if (pattern.starts_with("*") || pattern.starts_with(".*") || pattern.starts_with(".+")) {
    place.all = place.clear = goes_on_with_a_name(text, begin);
    return place;
  }
  // A star behind a number means "30" to a shell and "33" to a regular expression. The standard library's compiler of
  // expressions adds up counts of repetition, "3{11}", in a long without a look at its end.
  if (pattern.size() > 200 || longest_number(pattern) > 9 ||
      pattern.find_first_not_of("0123456789|()[]-^?:!\\d+{},") != std::string::npos)
    return place;
  try {
    const std::regex expression(pattern);
    for (std::size_t number = 0; number < count; ++number)
      if (std::regex_match(std::to_string(number), expression)) place.numbers.insert(static_cast<std::int32_t>(number));
    place.clear = !place.numbers.empty();  // "0-3" matches no number, and means some
    place.all = place.numbers.size() == count;
  } catch (const std::regex_error&) {
  }
  return place;
}

std::size_t over_separators(std::string_view text, std::size_t at) {
  std::size_t dot = at;
  while (dot + 1 < text.size() && text[dot] == '\\' && (text[dot + 1] == '.' || text[dot + 1] == '\\')) ++dot;
  if (dot < text.size() && text[dot] == '.') return dot + 1;
  return text.substr(std::min(at, text.size())).starts_with("[.]") ? at + 3 : at;
}

bool may_begin_numbers(std::string_view text, std::size_t at) {
  return at < text.size() &&
         (is_digit(text[at]) || std::string_view("([{*?.\\#^").find(text[at]) != std::string_view::npos);
}

bool has_number_at(std::string_view text, std::size_t at) {
  if (at >= text.size() || !is_digit(text[at])) return false;
  std::size_t end = at;
  while (end < text.size() && is_digit(text[end])) ++end;
  return (end - at == 1 || text[at] != '0') && (end == text.size() || !is_letter(text[end]));
}

std::size_t layer_place_at(std::string_view text, std::size_t at) {
  static constexpr std::array<std::string_view, 6> words = {"layers", "blocks", "blk", "layer", "block", "h"};
  if (at > 0 && (is_letter_or_digit(text[at - 1]) || text[at - 1] == '_')) return std::string_view::npos;
  for (const std::string_view word : words) {
    if (!text.substr(at).starts_with(word)) continue;
    const std::size_t place = over_separators(text, at + word.size());
    if (place > at + word.size()) return place;
  }
  return std::string_view::npos;
}

std::size_t layer_place_before(std::string_view text, std::size_t end) {
  std::size_t last = std::string_view::npos;
  for (std::size_t at = 0; at < std::min(end, text.size()); ++at)
    if (const std::size_t place = layer_place_at(text, at); place < end) last = place;
  return last;
}

bool is_pattern(std::string_view text) {
  return text.find_first_of("*\\([+?^$|{#") != std::string_view::npos;
}

}  // namespace gem
