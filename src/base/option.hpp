#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.hpp"

// An option is described once, in the function `describe(OptionList&, Struct&)` beside the struct that holds its value.
// Command lines, manifests, help, checks and the digests of what results were made from all come from there.

namespace gem {

/// What an option is called.
struct OptionName {
  std::string word;  ///< on a command line, without dashes before it: "tile-tokens"
  std::string key;   ///< in a manifest: "tile_tokens"

  /// The key is the word with underscores.
  OptionName(std::string name);  // NOLINT: a name is said as a text
  OptionName(const char* name) : OptionName(std::string(name)) {}
  OptionName(std::string name, std::string key_name) : word(std::move(name)), key(std::move(key_name)) {}
};

/// How those who read our messages write options: with two dashes, or as a key with underscores.
enum class OptionSpelling { CommandLine, Manifest };

/// As long as it lives, this process spells options that way. Without any, it spells them as on a command line.
class SpellOptions {
 public:
  explicit SpellOptions(OptionSpelling spelling);
  ~SpellOptions();
  SpellOptions(const SpellOptions&) = delete;
  SpellOptions& operator=(const SpellOptions&) = delete;

 private:
  OptionSpelling before_;
};

std::string spelled(const OptionName& name);

/// With two dashes, for a command that a message proposes.
std::string on_command_line(const OptionName& name);

/// A value that an option can't have, or not together with others: the message, and which option to look at.
class OptionError : public UsageError {
 public:
  OptionError(OptionName option, const std::string& message) : UsageError(message), option_(std::move(option)) {}
  const OptionName& option() const { return option_; }

 private:
  OptionName option_;
};

/// The error with this message, in whose pattern the first place is the option's name.
template <class... Arguments>
OptionError option_error(const OptionName& option, fmt::format_string<std::string, Arguments...> pattern,
                         Arguments&&... arguments) {
  return {option, fmt::format(pattern, spelled(option), std::forward<Arguments>(arguments)...)};
}

/// Does the work. A UsageError of it, which knows of no options, becomes one of this option.
template <class Work>
decltype(auto) blaming(const OptionName& option, const Work& work) {
  try {
    return work();
  } catch (const OptionError&) {
    throw;
  } catch (const UsageError& error) {
    throw option_error(option, "{}: {}", error.what());
  }
}

/// A word that stands for a value. The words of an enumeration are what `words_of(Enumeration)` returns, a list
/// declared beside it.
template <class Value>
struct OptionWord {
  std::string word;
  Value value;
};

/// The word that stands for the value.
template <class Value>
std::string word_of(Value value) {
  for (const OptionWord<Value>& known : words_of(value))
    if (known.value == value) return known.word;
  return "";
}

enum class OptionKind { Flag, Count, Number, Text, File, Counts, NumbersOrFile, Texts, Files };

/// One option, bound to the member of a struct that holds its value. Details are added to a description by name:
///
///     options.add("rounds", request.rounds, "N", "measurements of each step").range(1, 1000);
class Option {
 public:
  /// Numbers that it can be, both ends included.
  Option& range(double min, double max);
  /// Numbers that it can be, the lower end not.
  Option& above(double min, double max);
  /// Words that it can be; none at all, too, where that is its value.
  Option& one_of(std::vector<std::string> words);
  /// What holds where nothing is given and the member's own value doesn't say it: "by effort".
  Option& without(std::string meaning);
  /// A program can't do without it.
  Option& required();
  /// Only a dry run can.
  Option& required_to_write();
  /// Where it is given, no other one is required.
  Option& suffices();
  /// The same results whatever it is.
  Option& not_in_results();

  /// Takes a value: a flag "true" or "false", a list its items with commas between; each text of several by a call
  /// of its own, after forget(). OptionError for one that is out of range.
  void set(const std::string& word) const;
  /// Makes a list empty.
  void forget() const;
  /// OptionError if the present value is out of range.
  void check() const;
  /// The present value, exact; empty for none. A list's with commas.
  std::string value() const;
  bool is_on() const { return kind_ == OptionKind::Flag && value() == "true"; }

  const OptionName& name() const { return name_; }
  OptionKind kind() const { return kind_; }
  const std::string& group() const { return group_; }
  /// With "{word}" for other options.
  const std::string& help() const { return help_; }
  /// What help calls its value: "FILE", or the words it can be; empty for a flag.
  std::string value_name() const;
  /// What holds unless it is given, likewise; empty where that is nothing.
  std::string default_text() const;
  /// The kind of value, for people: "a whole number of 1 to 1000".
  std::string expected() const;
  bool is_list() const { return kind_ == OptionKind::Texts || kind_ == OptionKind::Files; }
  bool is_required() const { return required_; }
  bool is_required_to_write() const { return required_to_write_; }
  bool does_suffice() const { return suffices_; }
  bool is_in_results() const { return in_results_; }

 private:
  friend class OptionList;
  /// A member that holds the value.
  struct Place {
    const void* address;
    std::function<void(const std::string&)> assign;
    std::function<std::string()> value;
    std::function<void()> clear{};
  };
  Option& of_kind(OptionKind kind);
  void check_number(const std::string& word) const;
  std::string range_text() const;

  explicit Option(OptionName name) : name_(std::move(name)) {}

  OptionName name_;
  OptionKind kind_ = OptionKind::Text;
  std::string value_name_, group_, help_, without_;
  std::vector<std::string> words_;
  double min_ = -std::numeric_limits<double>::infinity(), max_ = std::numeric_limits<double>::infinity();
  bool min_excluded_ = false, required_ = false, required_to_write_ = false, suffices_ = false, in_results_ = true;
  std::vector<Place> places_;
};

/// The options of one or more structs in the order of help. An option that several of them have is one: it sets all.
class OptionList {
 public:
  /// Title that the options added from now on stand under.
  void group(std::string title) { group_ = std::move(title); }

  Option& add(const OptionName& name, bool& flag, const std::string& help);
  /// Whole numbers, 0 and up.
  Option& add(const OptionName& name, std::size_t& count, const std::string& value_name, const std::string& help);
  Option& add(const OptionName& name, std::optional<std::size_t>& count, const std::string& value_name,
              const std::string& help);
  Option& add(const OptionName& name, double& number, const std::string& value_name, const std::string& help);
  Option& add(const OptionName& name, std::optional<double>& number, const std::string& value_name,
              const std::string& help);
  Option& add(const OptionName& name, std::string& text, const std::string& value_name, const std::string& help);
  /// Any number of texts.
  Option& add(const OptionName& name, std::vector<std::string>& texts, const std::string& value_name,
              const std::string& help);
  /// "0,11,23".
  Option& add(const OptionName& name, std::vector<std::int32_t>& numbers, const std::string& value_name,
              const std::string& help);
  /// Names of files, which a manifest takes relative to itself.
  Option& add_file(const OptionName& name, std::string& path, const std::string& value_name, const std::string& help);
  Option& add_files(const OptionName& name, std::vector<std::string>& paths, const std::string& value_name,
                    const std::string& help);
  /// "1.0,1.28" or the name of a CSV file.
  Option& add_numbers_or_file(const OptionName& name, std::string& text, const std::string& value_name,
                              const std::string& help);
  /// One of the words of an enumeration.
  template <class Value>
  requires std::is_enum_v<Value> Option& add(const OptionName& name, Value& value, const std::string& help) {
    std::vector<std::string> words;
    for (const auto& known : words_of(Value{})) words.push_back(known.word);
    const auto assign = [&value](const std::string& given) {
      for (const auto& known : words_of(Value{}))
        if (known.word == given) value = known.value;
    };
    return insert(name, OptionKind::Text, "", help, {&value, assign, [&value] { return word_of(value); }})
        .one_of(words);
  }
  /// The same or nothing, which the empty word means.
  template <class Value>
  requires std::is_enum_v<Value> Option& add(const OptionName& name, std::optional<Value>& value,
                                             const std::string& help) {
    std::vector<std::string> words;
    for (const auto& known : words_of(Value{})) words.push_back(known.word);
    const auto assign = [&value](const std::string& given) {
      value.reset();
      for (const auto& known : words_of(Value{}))
        if (known.word == given) value = known.value;
    };
    const auto present = [&value] { return value ? word_of(*value) : std::string(); };
    return insert(name, OptionKind::Text, "", help, {&value, assign, present}).one_of(words);
  }

  /// Without the options of these words, which are said in another way.
  void leave_out(std::span<const std::string_view> words);

  const std::deque<Option>& all() const { return options_; }
  /// The one of that word; null if there is none.
  const Option* find(std::string_view word) const;
  const Option* find_key(std::string_view key) const;
  /// The one whose value lies there; null if there is none.
  const Option* find_at(const void* address) const;
  /// The text, in which "{word}" is an option, with that spelled.
  std::string spelled_out(const std::string& text) const;

 private:
  Option& insert(const OptionName& name, OptionKind kind, const std::string& value_name, const std::string& help,
                 Option::Place place);

  std::deque<Option> options_;  // references to them stay valid
  Option repeated_{
      OptionName("")};  // takes the details of an option that is there already: the first description holds
  std::string group_ = "Options";
};

/// OptionError if an option of the struct has a value out of its range.
template <class Struct>
void check_options(Struct values) {
  OptionList options;
  describe(options, values);
  for (const Option& option : options.all()) option.check();
}

/// The name of the option whose value that member holds.
template <class Struct, class Value>
OptionName option_name(Value Struct::*member) {
  Struct defaults;
  OptionList options;
  describe(options, defaults);
  return options.find_at(&(defaults.*member))->name();
}

}  // namespace gem

/// Spelled for the user.
template <>
struct fmt::formatter<gem::OptionName> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }
  template <class Context>
  auto format(const gem::OptionName& name, Context& context) const {
    return std::ranges::copy(gem::spelled(name), context.out()).out;
  }
};
