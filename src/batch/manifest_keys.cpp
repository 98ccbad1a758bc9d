#include "batch/manifest_keys.hpp"

#include <fmt/core.h>

#include <array>
#include <filesystem>
#include <optional>

#include "base/text.hpp"

namespace gem {
namespace {

/// The word for a value that is no list, as a command line has it; none for another kind than the option's.
std::optional<std::string> word_of_item(OptionKind kind, const JsonNode& value, const std::string& directory) {
  switch (kind) {
    case OptionKind::Flag:
      return value.is_boolean() ? std::optional(value.boolean() ? "true" : "false") : std::nullopt;
    case OptionKind::Count:
    case OptionKind::Counts:
      return value.is_integer() ? std::optional(std::to_string(value.integer())) : std::nullopt;
    case OptionKind::Number:
      return value.is_number() ? std::optional(fmt::format("{}", value.number())) : std::nullopt;
    case OptionKind::NumbersOrFile:
      if (value.is_number()) return fmt::format("{}", value.number());
      break;
    default:
      break;
  }
  if (!value.is_text()) return std::nullopt;
  const std::string& text = value.text();
  const bool is_file = kind == OptionKind::File || kind == OptionKind::Files ||
                       (kind == OptionKind::NumbersOrFile && text.ends_with(".csv"));
  return is_file ? (std::filesystem::path(directory) / text).lexically_normal().string() : text;
}

bool takes_list(OptionKind kind) {
  return kind == OptionKind::Counts || kind == OptionKind::NumbersOrFile || kind == OptionKind::Texts ||
         kind == OptionKind::Files;
}

/// The words of a value, or of a list's items; none for another kind than the option's.
std::optional<std::vector<std::string>> words_of_value(const Option& option, const JsonNode& value,
                                                       const std::string& directory) {
  if (!value.is_array()) {
    const std::optional<std::string> word = word_of_item(option.kind(), value, directory);
    return word && !option.is_list() ? std::optional(std::vector{*word}) : std::nullopt;
  }
  if (!takes_list(option.kind()) || value.size() == 0) return std::nullopt;
  std::vector<std::string> words;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const std::optional<std::string> word = word_of_item(option.kind(), value.item(i), directory);
    if (!word) return std::nullopt;
    words.push_back(*word);
  }
  return words;
}

std::string default_of(const Option& option) {
  return option.kind() == OptionKind::Flag ? option.value() : option.default_text();
}

}  // namespace

void describe(OptionList& options, TraceSource& source) {
  options.group("Steps");
  options.add_file("routing", source.routing, "FILE",
                   "token-level routing to batch into steps; train and test from disjoint requests");
  options.add_file("trace", source.trace, "FILE",
                   "steps to search on, from gem-trace; a pair has one of {routing}, {trace} and {synthetic}");
  options.add_file("test-trace", source.test_trace, "FILE", "steps to score on, beside {trace}")
      .without("the later half of {trace}");
  options.add("synthetic", source.synthetic, "draw the steps, from the parameters of synthetic loads");
  describe(options, source.batching);
  options.add(
      "plain-steps", source.plain_steps,
      "decode from {routing}: search on steps as a server runs them, like those that are scored on. "
      "Without it the steps to search on are of requests drawn anew ({resample}), four times as many as {steps} says, "
      "up to {mixed-steps} (512 if it isn't given): on requests never seen the mapping is better");
  describe(options, source.synthesis);
}

void describe(OptionList& options, BatchPair& pair) {
  describe(options, pair.profile);
  options.group("What is measured");
  options.add("for-traces", pair.for_traces,
              "one profile for all pairs of a model, tile and devices: of just what their steps can bring to a device, "
              "instead of {max-tokens}");
  describe(options, pair.source);
  options.group("What to find");
  std::vector<std::string> methods;
  for (const Method method : all_methods()) methods.push_back(method_name(method));
  options.add("methods", pair.methods, "LIST", "whose mappings are written and compared").one_of(methods);
  describe(options, pair.mapping);
  options.group("Verification");
  options.add("verify", pair.verify, "replay the mappings on the devices");
  describe(options, pair.replay);
  // A model is a table, and methods are a list.
  options.leave_out(std::array<std::string_view, 2>{"model", "method"});
}

BatchPair default_pair() {
  BatchPair pair;
  pair.profile.devices.kind = default_device_kind();
  pair.profile.devices.tile_tokens = 0;  // what suits the device
  pair.profile.quiet = pair.replay.quiet = true;
  pair.source.batching.steps = 128;
  pair.source.batching.seed = pair.source.synthesis.seed = pair.profile.seed;
  return pair;
}

void take_value(const Option& option, const JsonNode& value, const std::string& directory) {
  const std::optional<std::vector<std::string>> words = words_of_value(option, value, directory);
  if (!words) throw option_error(option.name(), "{} is {}; it must be {}", value.kind(), option.expected());
  if (!option.is_list()) return option.set(join(*words, ","));
  option.forget();
  for (const std::string& word : *words) option.set(word);
}

JsonRecord keys_record() {
  const SpellOptions spelling(OptionSpelling::Manifest);
  BatchPair defaults = default_pair();
  OptionList options;
  describe(options, defaults);
  std::vector<JsonRecord> keys;
  for (const Option& option : options.all())
    keys.push_back(JsonRecord()
                       .add("key", option.name().key)
                       .add("group", option.group())
                       .add("expected", option.expected())
                       .add("default", default_of(option))
                       .add("help", options.spelled_out(option.help())));
  return JsonRecord().add("keys", keys);
}

std::string describe_keys() {
  constexpr std::size_t name_width = 22, width = 80;
  const SpellOptions spelling(OptionSpelling::Manifest);
  std::string text =
      wrap(
          "A manifest is TOML: output = \"DIRECTORY\" for all results, then tables. [defaults] holds for all pairs, "
          "[[model]] for one model, whose name is one of gem-profile's list or a CSV file, [[model.task]] for one "
          "task of it and [[task]] for one of all models; tasks have a name too. In each can stand the keys below, and "
          "the later level wins. [[setting]], with a name and keys, makes a further pair of each task, with these "
          "keys; so does each number of a list where one whole number is expected. [[method]], with a name and keys of "
          "a mapping (method: gem unless it says so), is a further mapping of each pair. Names of files are relative "
          "to the manifest.") +
      "\n";
  BatchPair defaults = default_pair();
  OptionList options;
  describe(options, defaults);
  std::vector<std::pair<std::string, std::string>> groups;
  for (const Option& option : options.all()) {
    if (std::ranges::find(groups, option.group(), &std::pair<std::string, std::string>::first) == groups.end())
      groups.emplace_back(option.group(), "");
    const std::string value = default_of(option);
    const std::string help = options.spelled_out(option.help() + " (" + option.expected() +
                                                 (value.empty() ? "" : "; default: " + value) + ")");
    std::string entry, name = "  " + option.name().key;
    for (const std::string& line : split(wrap(help, width - name_width), '\n')) {
      name.resize(std::max(name_width, name.size() + 1), ' ');
      entry += name + line + "\n";
      name.clear();
    }
    std::ranges::find(groups, option.group(), &std::pair<std::string, std::string>::first)->second += entry;
  }
  for (const auto& [group, entries] : groups) text += "\n" + group + "\n" + entries;
  return text;
}

}  // namespace gem
