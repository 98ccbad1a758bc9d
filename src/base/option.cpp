#include "base/option.hpp"

#include <algorithm>
#include <cmath>

#include "base/text.hpp"

namespace gem {
namespace {

OptionSpelling spelling = OptionSpelling::CommandLine;

std::string with_underscores(std::string word) {
  std::ranges::replace(word, '-', '_');
  return word;
}

std::string flag_word(bool on) {
  return on ? "true" : "false";
}

std::size_t parse_count(const std::string& word, const std::string& what) {
  const std::int64_t value = parse_integer(word, what);
  if (value < 0) throw UsageError(fmt::format("{}: {} is below 0", what, word));
  return static_cast<std::size_t>(value);
}

template <class Value>
std::string text_of(const std::optional<Value>& value) {
  return value ? fmt::format("{}", *value) : "";
}

// "neither a nor b", "none of a, b, c", "not a": what a word is that is none of these.
std::string none_of(const std::vector<std::string>& words) {
  if (words.size() == 1) return "unknown; it can be " + words[0];
  if (words.size() == 2) return "neither " + words[0] + " nor " + words[1];
  return "none of " + join(words);
}

}  // namespace

OptionName::OptionName(std::string name) : word(std::move(name)), key(with_underscores(word)) {}

SpellOptions::SpellOptions(OptionSpelling wanted) : before_(spelling) {
  spelling = wanted;
}

SpellOptions::~SpellOptions() {
  spelling = before_;
}

std::string spelled(const OptionName& name) {
  return spelling == OptionSpelling::Manifest ? name.key : on_command_line(name);
}

std::string on_command_line(const OptionName& name) {
  return "--" + name.word;
}

Option& Option::of_kind(OptionKind kind) {
  kind_ = kind;
  return *this;
}

Option& Option::range(double min, double max) {
  min_ = min;
  max_ = max;
  return *this;
}

Option& Option::above(double min, double max) {
  min_excluded_ = true;
  return range(min, max);
}

Option& Option::one_of(std::vector<std::string> words) {
  words_ = std::move(words);
  return *this;
}

Option& Option::without(std::string meaning) {
  without_ = std::move(meaning);
  return *this;
}

Option& Option::required() {
  required_ = true;
  return *this;
}

Option& Option::required_to_write() {
  required_to_write_ = true;
  return *this;
}

Option& Option::suffices() {
  suffices_ = true;
  return *this;
}

Option& Option::not_in_results() {
  in_results_ = false;
  return *this;
}

std::string Option::range_text() const {
  if (std::isinf(max_)) return min_excluded_ ? fmt::format("above {}", min_) : fmt::format("{} or more", min_);
  return min_excluded_ ? fmt::format("above {}, up to {}", min_, max_) : fmt::format("from {} to {}", min_, max_);
}

void Option::check_number(const std::string& word) const {
  const std::string what = spelled(name_);
  const double value =
      kind_ == OptionKind::Count ? static_cast<double>(parse_integer(word, what)) : parse_number(word, what);
  if (value > max_ || (min_excluded_ ? value <= min_ : value < min_))
    throw option_error(name_, "{}: {} is out of range ({})", word, range_text());
}

void Option::set(const std::string& word) const {
  try {
    if (kind_ == OptionKind::Count || kind_ == OptionKind::Number) check_number(word);
    const bool stays_empty = word.empty() && value().empty();
    if (!words_.empty() && !stays_empty && std::ranges::find(words_, word) == words_.end()) {
      const std::vector<std::string> near = near_words(word, words_, 1);
      throw option_error(name_, "{}: '{}' is {}{}", word, none_of(words_),
                         near.empty() || words_.size() < 3 ? "" : "; did you mean " + near[0] + "?");
    }
    for (const Place& place : places_) place.assign(word);
  } catch (const OptionError&) {
    throw;
  } catch (const UsageError& error) {
    throw OptionError(name_, error.what());
  }
}

void Option::check() const {
  if (!is_list() && !value().empty()) set(value());
}

void Option::forget() const {
  for (const Place& place : places_) place.clear();
}

std::string Option::value() const {
  return places_.front().value();
}

std::string Option::value_name() const {
  return words_.empty() ? value_name_ : join(words_, "|");
}

std::string Option::default_text() const {
  if (!without_.empty()) return without_;
  return kind_ == OptionKind::Flag ? "" : value();
}

std::string Option::expected() const {
  const std::string range = std::isinf(min_) ? "" : (range_text().starts_with("from") ? " " : ", ") + range_text();
  switch (kind_) {
    case OptionKind::Flag:
      return "true or false";
    case OptionKind::Count:
      return "a whole number" + range;
    case OptionKind::Number:
      return "a number" + (value_name_.size() > 2 ? " of " + to_lower(value_name_) : "") + range;
    case OptionKind::File:
      return "the name of a file";
    case OptionKind::Counts:
      return "a list of whole numbers";
    case OptionKind::NumbersOrFile:
      return "a list of numbers, or the name of a CSV file";
    case OptionKind::Texts:
      return words_.empty() ? "a list of texts" : "a list of any of " + join(words_);
    case OptionKind::Files:
      return "a list of names of files";
    case OptionKind::Text:
      break;
  }
  return words_.empty() ? "a text" : "one of " + join(words_);
}

Option& OptionList::insert(const OptionName& name, OptionKind kind, const std::string& value_name,
                           const std::string& help, Option::Place place) {
  const auto same = std::ranges::find(options_, name.key, [](const Option& option) { return option.name_.key; });
  if (same != options_.end()) {
    same->places_.push_back(std::move(place));
    return repeated_;
  }
  Option& option = options_.emplace_back(Option(name));
  option.places_.push_back(std::move(place));
  option.kind_ = kind;
  option.value_name_ = value_name;
  option.help_ = help;
  option.group_ = group_;
  return option;
}

Option& OptionList::add(const OptionName& name, bool& flag, const std::string& help) {
  return insert(name, OptionKind::Flag, "", help,
                {&flag, [&](const std::string& word) { flag = word == "true"; }, [&] { return flag_word(flag); }});
}

Option& OptionList::add(const OptionName& name, std::size_t& count, const std::string& value_name,
                        const std::string& help) {
  return insert(name, OptionKind::Count, value_name, help,
                {&count, [&, name](const std::string& word) { count = parse_count(word, spelled(name)); },
                 [&] { return std::to_string(count); }})
      .range(0, std::numeric_limits<double>::infinity());
}

Option& OptionList::add(const OptionName& name, std::optional<std::size_t>& count, const std::string& value_name,
                        const std::string& help) {
  return insert(name, OptionKind::Count, value_name, help,
                {&count, [&, name](const std::string& word) { count = parse_count(word, spelled(name)); },
                 [&] { return text_of(count); }})
      .range(0, std::numeric_limits<double>::infinity());
}

Option& OptionList::add(const OptionName& name, double& number, const std::string& value_name,
                        const std::string& help) {
  return insert(name, OptionKind::Number, value_name, help,
                {&number, [&, name](const std::string& word) { number = parse_number(word, spelled(name)); },
                 [&] { return fmt::format("{}", number); }});
}

Option& OptionList::add(const OptionName& name, std::optional<double>& number, const std::string& value_name,
                        const std::string& help) {
  return insert(name, OptionKind::Number, value_name, help,
                {&number, [&, name](const std::string& word) { number = parse_number(word, spelled(name)); },
                 [&] { return text_of(number); }});
}

Option& OptionList::add(const OptionName& name, std::string& text, const std::string& value_name,
                        const std::string& help) {
  return insert(name, OptionKind::Text, value_name, help,
                {&text, [&](const std::string& word) { text = word; }, [&] { return text; }});
}

Option& OptionList::add(const OptionName& name, std::vector<std::string>& texts, const std::string& value_name,
                        const std::string& help) {
  return insert(name, OptionKind::Texts, value_name, help,
                {&texts, [&](const std::string& word) { texts.push_back(word); }, [&] { return join(texts); },
                 [&] { texts.clear(); }});
}

Option& OptionList::add(const OptionName& name, std::vector<std::int32_t>& numbers, const std::string& value_name,
                        const std::string& help) {
  const auto assign = [&, name](const std::string& text) {
    numbers.clear();
    for (const std::string& word : split(text, ',')) {
      const std::int64_t number = parse_integer(word, spelled(name));
      if (number < 0 || number > std::numeric_limits<std::int32_t>::max())
        throw option_error(name, "{}: {} is out of range", word);
      numbers.push_back(static_cast<std::int32_t>(number));
    }
  };
  const auto value = [&] {
    std::vector<std::string> words;
    for (const std::int32_t number : numbers) words.push_back(std::to_string(number));
    return join(words, ",");
  };
  return insert(name, OptionKind::Counts, value_name, help, {&numbers, assign, value});
}

Option& OptionList::add_file(const OptionName& name, std::string& path, const std::string& value_name,
                             const std::string& help) {
  return add(name, path, value_name, help).of_kind(OptionKind::File);
}

Option& OptionList::add_files(const OptionName& name, std::vector<std::string>& paths, const std::string& value_name,
                              const std::string& help) {
  return add(name, paths, value_name, help).of_kind(OptionKind::Files);
}

Option& OptionList::add_numbers_or_file(const OptionName& name, std::string& text, const std::string& value_name,
                                        const std::string& help) {
  return add(name, text, value_name, help).of_kind(OptionKind::NumbersOrFile);
}

void OptionList::leave_out(std::span<const std::string_view> words) {
  std::erase_if(options_, [&](const Option& option) {
    return std::ranges::find(words, std::string_view(option.name_.word)) != words.end();
  });
}

const Option* OptionList::find(std::string_view word) const {
  const auto found = std::ranges::find(options_, word, [](const Option& option) { return option.name_.word; });
  return found == options_.end() ? nullptr : &*found;
}

const Option* OptionList::find_key(std::string_view key) const {
  const auto found = std::ranges::find(options_, key, [](const Option& option) { return option.name_.key; });
  return found == options_.end() ? nullptr : &*found;
}

const Option* OptionList::find_at(const void* address) const {
  for (const Option& option : options_)
    for (const Option::Place& place : option.places_)
      if (place.address == address) return &option;
  return nullptr;
}

std::string OptionList::spelled_out(const std::string& text) const {
  std::string result;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const std::size_t end = text[at] == '{' ? text.find('}', at) : std::string::npos;
    if (end == std::string::npos) {
      result += text[at];
      continue;
    }
    const std::string word = text.substr(at + 1, end - at - 1);
    const Option* other = find(word);
    result += spelled(other != nullptr ? other->name_ : OptionName(word));
    at = end;
  }
  return result;
}

}  // namespace gem
