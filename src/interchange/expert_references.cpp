#include "interchange/expert_references.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "interchange/checkpoint.hpp"
#include "interchange/expert_names.hpp"
#include "interchange/listed_experts.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

/// A string of a JSON text, and the array that it is an item of.
struct JsonString {
  std::size_t begin;
  std::size_t end;
  std::size_t array;  ///< where that begins; npos if it is no array's item
};

std::vector<JsonString> strings_of(std::string_view text) {
  std::vector<JsonString> strings;
  std::vector<std::size_t> open;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char letter = text[at];
    if (letter == '{' || letter == '[') open.push_back(at);
    if ((letter == '}' || letter == ']') && !open.empty()) open.pop_back();
    if (letter != '"') continue;
    const std::size_t begin = at + 1;
    for (at = begin; at < text.size() && text[at] != '"'; ++at)
      if (text[at] == '\\') ++at;
    const bool in_array = !open.empty() && text[open.back()] == '[';
    strings.push_back({begin, std::min(at, text.size()), in_array ? open.back() : std::string::npos});
  }
  return strings;
}

std::string renumbered_json(const std::string& text, const ExpertNames& names) {
  const std::vector<JsonString> strings = strings_of(text);
  std::vector<std::string> renamed(strings.size());
  std::map<std::size_t, std::multiset<std::string_view>> before, after;
  for (std::size_t i = 0; i < strings.size(); ++i) {
    const std::string_view words = std::string_view(text).substr(strings[i].begin, strings[i].end - strings[i].begin);
    renamed[i] = names.renumbered(words);
    before[strings[i].array].insert(words);
    after[strings[i].array].insert(renamed[i]);
  }
  std::string result;
  std::size_t copied = 0;
  for (std::size_t i = 0; i < strings.size(); ++i) {
    const std::size_t array = strings[i].array;
    if (array != std::string::npos && before[array] == after[array]) continue;
    result.append(text, copied, strings[i].begin - copied);
    result += renamed[i];
    copied = strings[i].end;
  }
  return result.append(text, copied, std::string::npos);
}

/// Nothing if the text is no JSON, whatever its first letter: a template, say.
std::optional<JsonDocument> parsed(const std::string& text, const std::string& origin) {
  try {
    return parse_beside_weights(text, origin);
  } catch (const DataError&) {
    return std::nullopt;
  }
}

/// Words between white space, quotes and commas; a list's brackets around them are no part of them.
std::string renumbered_plain_text(const std::string& text, const ExpertNames& names) {
  std::string result;
  const std::string_view between = " \t\r\n\"',";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = std::min(text.find_first_not_of(between, at), text.size());
    const std::size_t end = std::min(text.find_first_of(between, begin), text.size());
    result.append(text, at, begin - at);
    std::string_view words = std::string_view(text).substr(begin, end - begin);
    std::string_view behind;
    if (std::ranges::count(words, ']') > std::ranges::count(words, '[') && words.ends_with(']')) {
      behind = words.substr(words.size() - 1);
      words.remove_suffix(1);
    }
    result += names.renumbered(words);
    result += behind;
    at = end;
  }
  return result;
}

}  // namespace

std::string renumbered_references(const std::string& text, const Renumbering& renumbering, const std::string& origin) {
  const ExpertNames names(renumbering, origin);
  names.refuse_wide_letters(text);
  const std::size_t first = text.find_first_not_of(" \t\r\n\xef\xbb\xbf");
  std::optional<JsonDocument> document;
  if (first != std::string::npos && (text[first] == '{' || text[first] == '[')) document = parsed(text, origin);
  if (!document) {
    refuse_listed_experts(text, names);
    return renumbered_plain_text(text, names);
  }
  refuse_listed_experts(document->root(), names);
  return renumbered_json(text, names);
}

}  // namespace gem
