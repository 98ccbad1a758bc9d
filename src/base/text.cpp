#include "base/text.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include "base/error.hpp"

namespace gem {

std::string format_seconds(double seconds) {
  if (!std::isfinite(seconds)) return "-";
  const double magnitude = std::fabs(seconds);
  if (magnitude >= 1.0 || magnitude == 0.0) return fmt::format("{:.3g} s", seconds);
  if (magnitude >= 1e-3) return fmt::format("{:.3g} ms", seconds * 1e3);
  if (magnitude >= 1e-6) return fmt::format("{:.3g} us", seconds * 1e6);
  return fmt::format("{:.3g} ns", seconds * 1e9);
}

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds)) return "-";
  if (seconds < 1.0) return "under 1 s";
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::string format_bytes(double bytes) {
  constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t unit = 0;
  while (bytes >= 1024.0 && unit + 1 < std::size(units)) {
    bytes /= 1024.0;
    ++unit;
  }
  return fmt::format("{:.4g} {}", bytes, units[unit]);
}

std::string join(std::span<const std::string> parts, std::string_view separator) {
  std::string text;
  for (const std::string& part : parts) {
    if (!text.empty()) text += separator;
    text += part;
  }
  return text;
}

std::string counted(std::size_t count, std::string_view noun) {
  return fmt::format("{} ", count) + std::string(noun) + (count == 1 ? "" : "s");
}

std::string wrap(std::string_view text, std::size_t width) {
  std::string lines;
  std::size_t line_length = 0;
  for (const std::string& word : split(text, ' ')) {
    const bool fits = line_length + 1 + word.size() <= width;
    if (line_length > 0) lines += fits ? " " : "\n";
    line_length = line_length > 0 && fits ? line_length + 1 + word.size() : word.size();
    lines += word;
  }
  return lines;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (;;) {
    const std::size_t end = text.find(separator, begin);
    parts.emplace_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

std::string trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

std::string to_lower(std::string_view text) {
  std::string lower(text);
  for (char& letter : lower) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  return lower;
}

double parse_number(std::string_view text, const std::string& what) {
  const std::string word = trim(text);
  double value = 0.0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size() || !std::isfinite(value))
    throw UsageError(what + ": '" + std::string(text) + "' is not a number");
  return value;
}

std::int64_t parse_integer(std::string_view text, const std::string& what) {
  const std::string word = trim(text);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size())
    throw UsageError(what + ": '" + std::string(text) + "' is not a whole number");
  return value;
}

std::vector<double> parse_number_list(std::string_view text, const std::string& what) {
  std::vector<double> values;
  for (const std::string& part : split(text, ',')) values.push_back(parse_number(part, what));
  return values;
}

std::size_t edit_distance(std::string_view first, std::string_view second) {
  std::vector<std::size_t> row(second.size() + 1);
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= first.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= second.size(); ++j) {
      const std::size_t substituted = diagonal + (first[i - 1] != second[j - 1]);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

std::vector<std::string> near_words(std::string_view word, std::span<const std::string> candidates, std::size_t count) {
  const std::string wanted = to_lower(word);
  // Short words are all near each other: of five letters three must be right.
  const std::size_t widest = wanted.size() < 6 ? wanted.size() * 2 / 5 : std::max<std::size_t>(3, wanted.size() / 2);
  std::vector<std::pair<std::size_t, std::string>> ranked;
  for (const std::string& candidate : candidates) {
    const std::string lower = to_lower(candidate);
    // A name that contains the word (or is contained) is near whatever its length.
    const bool contained = lower.find(wanted) != std::string::npos || wanted.find(lower) != std::string::npos;
    const std::size_t distance = contained ? 1 : edit_distance(wanted, lower);
    if (distance <= widest || contained) ranked.emplace_back(distance, candidate);
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> words;
  for (std::size_t i = 0; i < std::min(count, ranked.size()); ++i) words.push_back(ranked[i].second);
  return words;
}

}  // namespace gem
