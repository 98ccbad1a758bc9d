#include "interchange/expert_references.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/text.hpp"
#include "interchange/checkpoint_layout.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

bool is_digit(char letter) {
  return std::isdigit(static_cast<unsigned char>(letter)) != 0;
}

bool is_all_digits(std::string_view text) {
  return !text.empty() && text.size() < 9 && std::ranges::all_of(text, is_digit);
}

std::size_t longest_number(std::string_view text) {
  std::size_t longest = 0, length = 0;
  for (const char letter : text) longest = std::max(longest, length = is_digit(letter) ? length + 1 : 0);
  return longest;
}

/// A place in a name or pattern that says which numbers may stand there: "3", "(1|5)", "[0-9]+", "*".
struct NumberPlace {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool all = false;    ///< any number
  bool clear = false;  ///< it can be said which numbers are meant
  std::set<std::int32_t> numbers;
};

/// The end of the place that begins at `begin`: before the next dot, slash, colon or dollar that is in no bracket.
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

/// Whether a pattern goes on as names do, so that what stands before means any number: "*gate_proj", ".*", "*.w1".
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
    place.clear = true;
    place.all = place.numbers.size() == count;
  } catch (const std::regex_error&) {
  }
  return place;
}

/// Behind a word: over the dots and backslashes that separate names in names and patterns.
std::size_t over_separators(std::string_view text, std::size_t at) {
  while (at < text.size() && text[at] == '\\' && at + 1 < text.size() && (text[at + 1] == '.' || text[at + 1] == '\\'))
    ++at;
  if (at < text.size() && text[at] == '.') return at + 1;
  return text.substr(at).starts_with("[.]") ? at + 3 : at;
}

/// Whether numbers may begin with this letter, in a name or in a pattern.
bool may_begin_numbers(std::string_view text, std::size_t at) {
  return at < text.size() &&
         (is_digit(text[at]) || std::string_view("([{*?.\\#^").find(text[at]) != std::string_view::npos);
}

/// Renumbers single names and patterns.
class ReferenceRenumbering {
 public:
  ReferenceRenumbering(const Renumbering& renumbering, const std::string& origin)
      : renumbering_(renumbering), origin_(origin) {}

  /// The words with the experts renumbered that they name.
  std::string renumbered(std::string_view words) const {
    if (may_mean_experts(words)) refuse(words);
    std::string result;
    std::size_t copied = 0;
    for (std::size_t at = words.find("expert"); at != std::string_view::npos; at = words.find("expert", at + 6)) {
      std::size_t behind = at + 6 + (words.substr(at + 6, 1) == "s" ? 1 : 0);
      if (is_shared(words, at)) continue;
      const std::size_t begin = over_separators(words, behind);
      if (begin == behind) {
        if (may_hide_numbers(words, behind)) refuse(words);
        continue;
      }
      if (!may_begin_numbers(words, begin)) continue;
      const std::optional<std::string> numbers = renumbered_place(words, at, begin);
      if (!numbers) continue;
      result.append(words, copied, begin - copied);
      result += *numbers;
      copied = end_of_place(words, begin);
    }
    return result.append(words, copied, std::string_view::npos);
  }

  bool are_all_experts(const std::set<double>& numbers) const {
    std::size_t next = 0;
    return numbers.size() == renumbering_.expert_count &&
           std::ranges::all_of(numbers, [&](double number) { return number == static_cast<double>(next++); });
  }

  std::size_t expert_count() const { return renumbering_.expert_count; }

  /// Two bytes a letter (UTF-16), in which no name would be found.
  void refuse_wide_letters(std::string_view text) const {
    if (!text.starts_with("\xff\xfe") && !text.starts_with("\xfe\xff")) return;
    std::string letters(text);
    std::erase(letters, '\0');
    if (letters.find("expert") != std::string::npos)
      throw DataError(origin_ + ": speaks of experts in UTF-16, but texts must be in UTF-8; save it as that");
  }

  [[noreturn]] void refuse(std::string_view words) const {
    throw DataError(
        fmt::format("{}: names single experts in \"{}\", in a way that GEM can't renumber; deploy the "
                    "mapping with gem-deploy export instead, or move the file away if no engine reads it",
                    origin_, without_origin(words).substr(0, 120)));
  }

 private:
  /// The way to a member without the file's name before it.
  std::string_view without_origin(std::string_view words) const {
    if (!words.starts_with(origin_)) return words;
    words.remove_prefix(origin_.size());
    return words.starts_with(": ") ? words.substr(2) : words;
  }

  /// A pattern of modules that doesn't say "experts", but has a number that may be one: "re:.*\\.3\\.down_proj".
  static bool may_mean_experts(std::string_view words) {
    const auto has_any = [&](std::initializer_list<std::string_view> parts) {
      return std::ranges::any_of(parts,
                                 [&](std::string_view part) { return words.find(part) != std::string_view::npos; });
    };
    if (words.find_first_of("*\\([+") == std::string_view::npos || has_any({"expert", "share", "attn", "attention"}) ||
        is_other_stack(words) || !has_any({"mlp", "moe", "_proj", "feed_forward", "ffn", ".w1", ".w2", ".w3", "mixer"}))
      return false;
    for (std::size_t at = 0; at < words.size(); ++at) {
      const std::size_t layers = words.substr(at).starts_with("layers")   ? 6
                                 : words.substr(at).starts_with("blocks") ? 6
                                                                          : 0;
      if (layers != 0) at = end_of_place(words, std::min(over_separators(words, at + layers), words.size()));
      if (at >= words.size()) break;
      const bool joined =
          at > 0 && (std::isalnum(static_cast<unsigned char>(words[at - 1])) != 0 || words[at - 1] == '_');
      if (is_digit(words[at]) && !joined && !(at > 1 && words[at - 1] == '[' && words[at - 2] == 'w')) return true;
    }
    return false;
  }

  static bool is_shared(std::string_view words, std::size_t at) {
    std::size_t begin = at;
    while (begin > 0 && (std::isalpha(static_cast<unsigned char>(words[begin - 1])) != 0 || words[begin - 1] == '_'))
      --begin;
    return words.substr(begin, at - begin).starts_with("share");
  }

  /// "experts[3]", "layers.0.mlp.experts_3": numbers that follow the word in another way than in names of tensors.
  static bool may_hide_numbers(std::string_view words, std::size_t behind) {
    if (behind >= words.size()) return false;
    const bool joined = words[behind] == '_' && words.find("layers") != std::string_view::npos;
    if (std::string_view("+*?").find(words[behind]) != std::string_view::npos)
      return !goes_on_with_a_name(words, behind);
    const bool pattern = std::string_view("[\\(/").find(words[behind]) != std::string_view::npos;
    const std::size_t end = joined ? behind + 2 : behind + 12;
    return (joined || pattern) && std::ranges::any_of(words.substr(behind, end - behind), is_digit);
  }

  /// The new text of the numbers at `begin`, behind the word "experts" at `word`; nothing if they stay.
  std::optional<std::string> renumbered_place(std::string_view words, std::size_t word, std::size_t begin) const {
    const NumberPlace experts = place_at(words, begin, renumbering_.expert_count);
    if (experts.all) return std::nullopt;
    if (!experts.clear) refuse(words);
    const std::size_t layers_word = words.substr(0, word).rfind("layers");
    NumberPlace layers;
    if (is_other_stack(words.substr(0, layers_word == std::string_view::npos ? word : layers_word)))
      return std::nullopt;
    if (layers_word == std::string_view::npos) {
      layers.all = true;
    } else {
      layers = place_at(words, over_separators(words, layers_word + 6), max_layers);
      if (!layers.clear) refuse(words);
    }
    // At a pattern's end, "experts\\.1" means experts.10 too wherever patterns need not match whole names.
    const bool ends = experts.end == words.size() && words.find_first_of("*\\([+") != std::string_view::npos;
    const std::set<std::int32_t> longer = ends ? with_longer_numbers(experts.numbers) : experts.numbers;
    std::size_t touched = 0;
    const Renumbering::Layer* only = nullptr;
    for (const Renumbering::Layer& layer : renumbering_.layers) {
      if (!layers.all && !layers.numbers.contains(layer.id)) continue;
      if (is_closed(layer, experts.numbers) && is_closed(layer, longer)) continue;
      ++touched;
      only = &layer;
    }
    if (touched == 0) return std::nullopt;
    if (touched > 1 || layers.all || layers.numbers.size() != 1 || longer != experts.numbers) refuse(words);
    const std::vector<std::int32_t> place_of_old = new_of_old(*only);
    std::set<std::int32_t> places;
    for (const std::int32_t number : experts.numbers)
      if (static_cast<std::size_t>(number) < place_of_old.size())
        places.insert(place_of_old[static_cast<std::size_t>(number)]);
    if (ends && with_longer_numbers(places) != places) refuse(words);
    return with_new_numbers(words.substr(begin, experts.end - begin), *only, words);
  }

  /// And the numbers that begin with one of these: 10 and 11 with 1.
  std::set<std::int32_t> with_longer_numbers(std::set<std::int32_t> numbers) const {
    for (std::size_t number = 0; number < renumbering_.expert_count; ++number)
      for (std::size_t shorter = number / 10; shorter > 0; shorter /= 10)
        if (numbers.contains(static_cast<std::int32_t>(shorter))) numbers.insert(static_cast<std::int32_t>(number));
    return numbers;
  }

  static bool is_closed(const Renumbering::Layer& layer, const std::set<std::int32_t>& numbers) {
    return std::ranges::all_of(numbers, [&](std::int32_t number) {
      return static_cast<std::size_t>(number) < layer.old_of_new.size() &&
             numbers.contains(layer.old_of_new[static_cast<std::size_t>(number)]);
    });
  }

  /// "3" and "(3|5)" number by number; other patterns can't be renumbered.
  std::string with_new_numbers(std::string_view place, const Renumbering::Layer& layer, std::string_view words) const {
    const bool is_list = place.starts_with("(") && place.ends_with(")");
    if (place.find_first_not_of(is_list ? "0123456789|()?:" : "0123456789") != std::string_view::npos) refuse(words);
    if (is_list && std::ranges::count(place, '(') != 1) refuse(words);
    const std::vector<std::int32_t> place_of_old = new_of_old(layer);
    std::string renamed;
    for (std::size_t at = 0; at < place.size();) {
      std::size_t end = at;
      while (end < place.size() && is_digit(place[end])) ++end;
      if (end == at) {
        renamed += place[at++];
        continue;
      }
      if (place[at] == '0' && end - at > 1) refuse(words);
      const auto number =
          static_cast<std::size_t>(std::stol(std::string(place.substr(at, std::min<std::size_t>(9, end - at)))));
      if (number >= place_of_old.size())
        throw DataError(
            fmt::format("{}: names expert {} in \"{}\", but layer {} has experts 0 to {}; give the mapping of "
                        "this model",
                        origin_, number, words.substr(0, 120), layer.id, place_of_old.size() - 1));
      renamed += std::to_string(place_of_old[number]);
      at = end;
    }
    return renamed;
  }

  static constexpr std::size_t max_layers = 1024;
  const Renumbering& renumbering_;
  const std::string& origin_;
};

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

/// Whether a key that speaks of experts says how many or how large, not which.
bool is_count_of_experts(const std::string& key) {
  const auto has = [&](const char* word) { return key.find(word) != std::string::npos; };
  if (has("experts") && has("layers.")) return false;  // "model.layers.3.mlp.experts": [1, 5]
  const std::size_t layer = key.find("layer");
  return (has("num") && !has("number")) || key.starts_with("n_") || has("size") || has("per_tok") || has("topk") ||
         has("top_k") || has("count") || has("share") || has("dim") || has("capacity") ||
         (layer != std::string::npos && layer > key.find("expert"));
}

/// Whether a key speaks of experts, or is one under which engines keep a map of them.
bool speaks_of_experts(const std::string& key) {
  return std::ranges::any_of(
      std::initializer_list<const char*>{"expert", "to_logical", "to_physical", "phy2log", "log2phy"},
      [&](const char* word) { return key.find(word) != std::string::npos; });
}

/// Whether a number under the key is one expert's, not a quantity: "expert", "skipped_expert", "expert_id".
bool is_of_one_expert(const std::string& key) {
  if (!speaks_of_experts(key) || is_count_of_experts(key)) return false;
  const bool left_out = std::ranges::any_of(
      std::initializer_list<const char*>{"skip", "drop", "prune", "exclu", "ignore", "keep", "kept", "mask", "frozen"},
      [&](const char* word) { return key.find(word) != std::string::npos; });
  return left_out ||
         std::ranges::any_of(std::initializer_list<const char*>{"expert", "expert_id", "expert_idx", "expert_index"},
                             [&](const char* ending) { return key.ends_with(ending); });
}

/// Whether a list under the key holds numbers of experts even where it has one: "experts", "fp8_experts", "expert_ids".
bool lists_experts(const std::string& key) {
  return key.ends_with("experts") || key.ends_with("expert_ids") || key.ends_with("expert_indices") ||
         is_of_one_expert(key);
}

/// Whether a list under the key has a value for each expert, if it has as many.
bool may_go_by_expert(const std::string& key) {
  return std::ranges::any_of(std::initializer_list<const char*>{"router", "gate", "moe"},
                             [&](const char* word) { return key.find(word) != std::string::npos; });
}

/// Arrays and objects of numbers under keys that speak of experts: lists of expert numbers, as far as one can tell.
void refuse_numbers_of_experts(const JsonNode& node, const ReferenceRenumbering& references, const std::string& key,
                               bool of_experts) {
  if (node.is_array()) {
    std::set<double> numbers;
    for (std::size_t i = 0; i < node.size(); ++i) {
      if (node.item(i).is_number()) numbers.insert(node.item(i).number());
      refuse_numbers_of_experts(node.item(i), references, key, of_experts);
    }
    const bool one = of_experts && numbers.size() == 1 && node.size() == 1 && lists_experts(key) &&
                     *numbers.begin() < static_cast<double>(references.expert_count());
    const bool by_expert = may_go_by_expert(key) && node.size() == references.expert_count();
    if (one || ((of_experts || by_expert) && numbers.size() > 1 && !references.are_all_experts(numbers)))
      references.refuse(node.where());
  }
  if (node.is_number() && is_of_one_expert(key)) references.refuse(node.where());
  if (!node.is_object()) return;
  for (std::size_t i = 0; i < node.keys().size(); ++i) {
    const std::string name = to_lower(node.keys()[i]);
    if (of_experts && is_all_digits(name)) references.refuse(node.where() + ": " + name);
    const bool speaks =
        speaks_of_experts(name) ? !is_count_of_experts(name) : of_experts && name.find("layer") != std::string::npos;
    refuse_numbers_of_experts(node.member(i), references, name, speaks);
  }
}

/// The same in YAML, TOML and notes: numbers behind a key that speaks of experts, or in the lines of its block.
class PlainNumbers {
 public:
  explicit PlainNumbers(const ReferenceRenumbering& references) : references_(references) {}

  void look_at(std::string_view line) {
    line = line.substr(0, line.find('#'));
    const std::size_t indent = line.find_first_not_of(" \t\r");
    if (indent == std::string_view::npos) return;
    const std::string content = to_lower(trim(line));
    if (is_note(content)) references_.refuse(content);
    const bool is_item = content.starts_with("-");
    if (!block_.empty() && (indent > indent_ || (indent == indent_ && is_item))) return look_into_block(content);
    block_.clear();
    const std::size_t colon = content.find_first_of(":=");
    if (colon == std::string::npos) return;
    const std::string key = without_quotes(content.substr(is_item ? 1 : 0, colon - (is_item ? 1 : 0)));
    if (!speaks_of_experts(key) || is_count_of_experts(key)) return;
    const std::string value = trim(content.substr(colon + 1));
    if (value.empty()) {
      block_ = key;
      indent_ = indent;
    } else {
      look_at_value(key, value, content);
    }
  }

 private:
  /// "layer 1: experts 3,5" in words.
  static bool is_note(const std::string& content) {
    const std::size_t word = content.find("expert");
    if (word == std::string::npos || content.find("layer") == std::string::npos) return false;
    const std::size_t behind = content.find_first_not_of("s :=#", word + 6);
    return behind != std::string::npos && behind > word + 6 && content[behind - 1] != 's' && is_digit(content[behind]);
  }
  static std::string without_quotes(std::string text) {
    std::erase_if(text, [](char letter) { return letter == '"' || letter == '\''; });
    return trim(text);
  }
  static std::vector<std::string> numbers_in(std::string_view text) {
    std::vector<std::string> numbers;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find_first_of(" ,[]{}()'\":=", at), text.size());
      if (is_all_digits(text.substr(at, end - at))) numbers.emplace_back(text.substr(at, end - at));
      at = end + 1;
    }
    return numbers;
  }
  void look_at_value(const std::string& key, const std::string& value, const std::string& content) const {
    const std::vector<std::string> numbers = numbers_in(value);
    const std::set<std::string> distinct(numbers.begin(), numbers.end());
    const bool is_list = value.find_first_of(",[{ ") != std::string::npos;
    const bool one = numbers.size() == 1 && (is_list ? lists_experts(key) : is_of_one_expert(key));
    if (one || (is_list && distinct.size() > 1)) references_.refuse(content);
  }
  /// "- 3", "3: 8", "1: [0, 3]".
  void look_into_block(const std::string& content) const {
    const std::string text = without_quotes(content.substr(content.starts_with("-") ? 1 : 0));
    if (is_all_digits(text.substr(0, text.find_first_of(" :=,")))) references_.refuse(block_ + ": " + content);
  }

  const ReferenceRenumbering& references_;
  std::string block_;  // the key whose lines follow
  std::size_t indent_ = 0;
};

void refuse_numbers_in_plain_text(const std::string& text, const ReferenceRenumbering& references) {
  PlainNumbers numbers(references);
  for (const std::string& line : split(text, '\n')) numbers.look_at(line);
}

std::string renumbered_json(const std::string& text, const ReferenceRenumbering& references) {
  const std::vector<JsonString> strings = strings_of(text);
  std::vector<std::string> renamed(strings.size());
  std::map<std::size_t, std::multiset<std::string_view>> before, after;
  for (std::size_t i = 0; i < strings.size(); ++i) {
    const std::string_view words = std::string_view(text).substr(strings[i].begin, strings[i].end - strings[i].begin);
    renamed[i] = references.renumbered(words);
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
    return JsonDocument::parse(text, origin);
  } catch (const DataError&) {
    return std::nullopt;
  }
}

/// Words between white space, quotes and commas; a list's brackets around them are no part of them.
std::string renumbered_plain_text(const std::string& text, const ReferenceRenumbering& references) {
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
    result += references.renumbered(words);
    result += behind;
    at = end;
  }
  return result;
}

}  // namespace

std::string renumbered_references(const std::string& text, const Renumbering& renumbering, const std::string& origin) {
  const ReferenceRenumbering references(renumbering, origin);
  references.refuse_wide_letters(text);
  const std::size_t first = text.find_first_not_of(" \t\r\n\xef\xbb\xbf");
  std::optional<JsonDocument> document;
  if (first != std::string::npos && (text[first] == '{' || text[first] == '[')) document = parsed(text, origin);
  if (!document) {
    refuse_numbers_in_plain_text(text, references);
    return renumbered_plain_text(text, references);
  }
  refuse_numbers_of_experts(document->root(), references, "", false);
  return renumbered_json(text, references);
}

}  // namespace gem
