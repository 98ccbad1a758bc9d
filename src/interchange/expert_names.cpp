#include "interchange/expert_names.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cctype>
#include <initializer_list>

#include "base/error.hpp"
#include "base/text.hpp"
#include "interchange/checkpoint_layout.hpp"

namespace gem {
namespace {

constexpr std::size_t max_layers = 1024;

bool is_letter(char letter) {
  return std::isalpha(static_cast<unsigned char>(letter)) != 0;
}

bool has_any(std::string_view text, std::initializer_list<std::string_view> parts) {
  return std::ranges::any_of(parts, [&](std::string_view part) { return text.find(part) != std::string_view::npos; });
}

/// The name or word that ends at `end`: "num_shared_" before "experts".
std::string_view word_before(std::string_view words, std::size_t end) {
  std::size_t begin = end;
  while (begin > 0 && (is_letter(words[begin - 1]) || words[begin - 1] == '_')) --begin;
  return words.substr(begin, end - begin);
}

bool is_closed(const Renumbering::Layer& layer, const std::set<std::int32_t>& numbers) {
  return std::ranges::all_of(numbers, [&](std::int32_t number) {
    return static_cast<std::size_t>(number) < layer.old_of_new.size() &&
           numbers.contains(layer.old_of_new[static_cast<std::size_t>(number)]);
  });
}

/// Whether a digit stands for itself here, or behind "e" or "exp": not the one of "w1", "fp8", "weight_2".
bool is_number_of_its_own(std::string_view words, std::size_t at) {
  if (at == 0) return true;
  const char before = words[at - 1];
  if (before == '[' && at > 1 && words[at - 2] == 'w') return false;
  if (std::isalnum(static_cast<unsigned char>(before)) == 0 && before != '_') return true;
  if (!is_letter(before)) return false;
  std::size_t begin = at;
  while (begin > 0 && is_letter(words[begin - 1])) --begin;
  const std::string_view letters = words.substr(begin, at - begin);
  return begin > 0 && words[begin - 1] == '.' && (letters == "e" || letters == "ex" || letters == "exp");
}

}  // namespace

bool is_note_of_experts(std::string_view words) {
  const std::size_t word = words.find("expert");
  if (word == std::string_view::npos || words.find("layer") == std::string_view::npos) return false;
  const std::size_t behind = words.find_first_not_of("s :=#", word + 6);
  return behind != std::string_view::npos && behind > word + 6 && words[behind - 1] != 's' && is_digit(words[behind]);
}

std::string ExpertNames::renumbered(std::string_view words) const {
  if (const std::optional<std::string> known = renumbered_by_layout(words)) return *known;
  const std::string lower_case = to_lower(words);
  const std::string_view lower = lower_case;
  if (may_mean_experts(lower) || (lower.find(' ') != std::string_view::npos && is_note_of_experts(lower)))
    refuse(words);
  std::string result;
  std::size_t copied = 0;
  // "[Ee]xperts" too.
  for (std::size_t at = lower.find("xpert"); at != std::string_view::npos; at = lower.find("xpert", at + 5)) {
    const std::size_t word = at == 0 ? 0 : at - 1;
    const std::size_t behind = at + 5 + (lower.substr(at + 5, 1) == "s" ? 1 : 0);
    if (word_before(lower, word).starts_with("share")) continue;
    const std::size_t begin = over_separators(lower, behind);
    if (begin == behind) {
      if (may_hide_numbers(lower, word, behind)) refuse(words);
      continue;
    }
    if (!may_begin_numbers(lower, begin)) {
      if (has_number_further(lower, begin)) refuse(words);
      continue;
    }
    const std::optional<std::string> numbers = renumbered_place(words, word, begin);
    if (!numbers) continue;
    result.append(words, copied, begin - copied);
    result += *numbers;
    copied = end_of_place(words, begin);
  }
  return result.append(words, copied, std::string_view::npos);
}

bool ExpertNames::are_all_experts(const std::set<double>& numbers) const {
  std::size_t next = 0;
  return numbers.size() == renumbering_.expert_count &&
         std::ranges::all_of(numbers, [&](double number) { return number == static_cast<double>(next++); });
}

void ExpertNames::refuse_wide_letters(std::string_view text) const {
  if (!text.starts_with("\xff\xfe") && !text.starts_with("\xfe\xff")) return;
  std::string letters(text);
  std::erase(letters, '\0');
  if (letters.find("expert") != std::string::npos)
    throw DataError(origin_ + ": speaks of experts in UTF-16, but texts must be in UTF-8; save it as that");
}

void ExpertNames::refuse(std::string_view words) const {
  if (words.starts_with(origin_)) {  // the way to a member of a document
    words.remove_prefix(origin_.size());
    if (words.starts_with(": ")) words.remove_prefix(2);
  }
  throw DataError(
      fmt::format("{}: names single experts in \"{}\", in a way that GEM can't renumber; deploy the mapping with "
                  "gem-deploy export instead, or move the file away if no engine reads it",
                  origin_, words.substr(0, 120)));
}

/// A whole name of which a layout says where the expert's number stands; nothing for all others.
std::optional<std::string> ExpertNames::renumbered_by_layout(std::string_view words) const {
  if (is_pattern(words) || has_any(words, {" ", ".."})) return std::nullopt;
  const TensorRole role = role_of(words);
  if (role.kind != TensorRole::Kind::OneExpert) return std::nullopt;
  const Renumbering::Layer* layer = renumbering_.find(role.layer);
  if (layer == nullptr) return std::string(words);
  const std::int32_t number = new_number(static_cast<std::size_t>(role.expert), *layer, words);
  return std::string(words.substr(0, role.number_begin)) + std::to_string(number) +
         std::string(words.substr(role.number_end));
}

/// Whether a layer is renumbered of those that are meant at `place`; npos: any layer.
bool ExpertNames::is_of_renumbered_layer(std::string_view words, std::size_t place) const {
  if (place == std::string_view::npos) return true;
  const NumberPlace layers = place_at(words, place, max_layers);
  return !layers.clear || layers.all ||
         std::ranges::any_of(layers.numbers, [&](std::int32_t id) { return renumbering_.find(id) != nullptr; });
}

/// A pattern or name of a module that doesn't say "experts", but has a number that may be one: "re:.*\\.3\\.down_proj",
/// "blk.1.ffn_down.3.weight", "layers.1.mlp.3.up_proj".
bool ExpertNames::may_mean_experts(std::string_view words) const {
  if (has_any(words, {"expert", "share", "shexp", "attn", "attention"}) || is_other_stack(words) ||
      !has_any(words, {"mlp", "moe", "_proj", "feed_forward", "ffn", ".w1", ".w2", ".w3", "mixer", "_exps"}))
    return false;
  std::size_t at = 0;
  if (words.find_first_of("*\\([+") == std::string_view::npos) {
    const std::size_t place = layer_place_before(words, words.size());
    if (place == std::string_view::npos || words.find(' ') != std::string_view::npos ||
        !is_of_renumbered_layer(words, place))
      return false;
    at = end_of_place(words, place);
  }
  for (; at < words.size(); ++at) {
    if (const std::size_t place = layer_place_at(words, at); place < words.size()) at = end_of_place(words, place);
    if (at >= words.size()) break;
    if (is_digit(words[at]) && is_number_of_its_own(words, at)) return true;
  }
  return false;
}

/// Whether a number begins here that may be an expert's.
bool ExpertNames::is_expert_at(std::string_view words, std::size_t at) const {
  if (!has_number_at(words, at)) return false;
  std::size_t number = 0;
  for (; at < words.size() && is_digit(words[at]) && number < renumbering_.expert_count; ++at)
    number = 10 * number + static_cast<std::size_t>(words[at] - '0');
  return number < renumbering_.expert_count;
}

/// "experts[3]", "expert_3", "expert 3": numbers that follow the word in another way than in names of tensors.
bool ExpertNames::may_hide_numbers(std::string_view words, std::size_t word, std::size_t behind) const {
  if (behind >= words.size()) return false;
  if (std::string_view("+*?").find(words[behind]) != std::string_view::npos) return !goes_on_with_a_name(words, behind);
  if (std::string_view("[\\(/").find(words[behind]) != std::string_view::npos)
    return std::ranges::any_of(words.substr(behind, 12), is_digit);
  const std::string_view before = word_before(words, word);
  if (before.starts_with("num") || before.starts_with("n_")) return false;
  const std::size_t number = std::min(words.find_first_not_of("_-:#=/ ", behind), words.size());
  // "experts: 64" says how many; "experts_3" and "expert: 3" don't.
  const bool counts =
      words[behind - 1] == 's' && words.substr(behind, number - behind).find_first_of(" =") != std::string_view::npos;
  return number - behind <= 3 && is_expert_at(words, number) && !counts;
}

/// "experts.w1.3", "experts.gate_up_projs.(3|5)": behind a module's name.
bool ExpertNames::has_number_further(std::string_view words, std::size_t begin) const {
  for (std::size_t dot = words.find('.', begin); dot != std::string_view::npos; dot = words.find('.', dot + 1)) {
    if (words.substr(begin, dot - begin).find(' ') != std::string_view::npos) return false;
    const std::size_t place = dot + 1;
    if (is_expert_at(words, place)) return true;
    if (place < words.size() && std::string_view("([{").find(words[place]) != std::string_view::npos &&
        std::ranges::any_of(words.substr(place, end_of_place(words, place) - place), is_digit))
      return true;
  }
  return false;
}

/// The new text of the numbers at `begin`, behind the word "experts" at `word`; nothing if they stay.
std::optional<std::string> ExpertNames::renumbered_place(std::string_view words, std::size_t word,
                                                         std::size_t begin) const {
  const NumberPlace experts = place_at(words, begin, renumbering_.expert_count);
  if (experts.all) return std::nullopt;
  if (!experts.clear) refuse(words);
  const std::size_t layers_place = layer_place_before(words, word);
  NumberPlace layers;
  if (is_other_stack(words.substr(0, std::min(layers_place, word)))) return std::nullopt;
  if (layers_place == std::string_view::npos) {
    layers.all = true;
  } else {
    layers = place_at(words, layers_place, max_layers);
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
std::set<std::int32_t> ExpertNames::with_longer_numbers(std::set<std::int32_t> numbers) const {
  for (std::size_t number = 0; number < renumbering_.expert_count; ++number)
    for (std::size_t shorter = number / 10; shorter > 0; shorter /= 10)
      if (numbers.contains(static_cast<std::int32_t>(shorter))) numbers.insert(static_cast<std::int32_t>(number));
  return numbers;
}

/// "3" and "(3|5)" number by number; other patterns can't be renumbered.
std::string ExpertNames::with_new_numbers(std::string_view place, const Renumbering::Layer& layer,
                                          std::string_view words) const {
  const bool is_list = place.starts_with("(") && place.ends_with(")");
  if (place.find_first_not_of(is_list ? "0123456789|()?:" : "0123456789") != std::string_view::npos) refuse(words);
  if (is_list && std::ranges::count(place, '(') != 1) refuse(words);
  std::string renamed;
  for (std::size_t at = 0; at < place.size();) {
    std::size_t end = at;
    while (end < place.size() && is_digit(place[end])) ++end;
    if (end == at) {
      renamed += place[at++];
      continue;
    }
    if (place[at] == '0' && end - at > 1) refuse(words);
    const std::string digits(place.substr(at, std::min<std::size_t>(9, end - at)));
    renamed += std::to_string(new_number(static_cast<std::size_t>(std::stol(digits)), layer, words));
    at = end;
  }
  return renamed;
}

std::int32_t ExpertNames::new_number(std::size_t number, const Renumbering::Layer& layer,
                                     std::string_view words) const {
  if (number >= layer.old_of_new.size())
    throw DataError(
        fmt::format("{}: names expert {} in \"{}\", but layer {} has experts 0 to {}; give the mapping of this model",
                    origin_, number, words.substr(0, 120), layer.id, layer.old_of_new.size() - 1));
  return new_of_old(layer)[number];
}

}  // namespace gem
