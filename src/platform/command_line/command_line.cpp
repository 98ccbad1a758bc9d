#include "platform/command_line/command_line.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <filesystem>
#include <iostream>

#include "base/error.hpp"
#include "base/quoting.hpp"
#include "base/text.hpp"
#include "platform/command_line/result_output.hpp"
#include "platform/command_line/version.hpp"
#include "platform/file_system/named_files.hpp"
#include "platform/mpi/roll_call.hpp"

namespace gem {

namespace po = boost::program_options;

CommandLine::CommandLine(std::string program, std::string summary)
    : program_(std::move(program)), summary_(std::move(summary)) {}

void CommandLine::add_positional(std::string* target, const std::string& value_name) {
  positional_ = target;
  positional_name_ = value_name;
}

void CommandLine::add_example(const std::string& command) {
  examples_.push_back(command);
}

void CommandLine::add_answer(const OptionName& name, const std::string& help, std::function<std::string()> text,
                             std::function<JsonRecord()> record) {
  Answer& answer = answers_.emplace_back(Answer{false, std::move(text), std::move(record)});
  options_.add(name, answer.asked, help);
}

std::string example_lines(std::string_view command) {
  std::string lines, indent = "  ";
  while (indent.size() + command.size() > 80) {
    const std::size_t end = command.rfind(" --", 78 - indent.size());
    if (end == std::string_view::npos) break;
    lines += indent + std::string(command.substr(0, end)) + " \\\n";
    command.remove_prefix(end + 1);
    indent = "      ";
  }
  return lines + indent + std::string(command) + "\n";
}

namespace {

constexpr std::size_t width = 80, help_column = 26;

/// "--steps N", as it stands in a usage line.
std::string usage_of(const Option& option) {
  const std::string value = option.value_name();
  return spelled(option.name()) + (value.empty() ? "" : " " + value);
}

bool is_needed(const Option& option) {
  return option.is_required() || option.is_required_to_write();
}

/// The option as it stands in a usage line, broken behind a | where its words fill more than one line.
std::string heading_of(const Option& option) {
  std::string text = "  " + usage_of(option);
  for (std::size_t start = 0; text.size() - start > width;) {
    const std::size_t bar = text.rfind('|', start + width - 1);
    if (bar == std::string::npos || bar <= start) break;
    start = bar + 1;
    text.insert(start, "\n      ");
    ++start;
  }
  return text;
}

/// The option's lines of --help.
std::string entry_of(const OptionList& options, const Option& option) {
  std::string help = options.spelled_out(option.help());
  const std::string value = options.spelled_out(option.default_text());
  if (option.is_list()) help += " (may be repeated)";
  if (option.is_required_to_write()) help += " (not for a dry run)";
  if (!value.empty()) help += " (default: " + value + ")";
  std::string text, line = heading_of(option);
  for (const std::string& part : split(wrap(help, width - help_column), '\n')) {
    if (line.size() + 2 > help_column) {
      text += line + "\n";
      line.clear();
    }
    line.resize(help_column, ' ');
    text += line + part + "\n";
    line.clear();
  }
  return text;
}

/// The options by group, in the order of their first ones; what a program needs comes first.
std::string entries_of(const OptionList& options) {
  std::vector<std::pair<std::string, std::string>> groups{{"Required", ""}};
  for (const Option& option : options.all()) {
    const std::string& title = is_needed(option) ? groups.front().first : option.group();
    auto group = std::ranges::find(groups, title, &std::pair<std::string, std::string>::first);
    if (group == groups.end()) group = groups.insert(group, {title, ""});
    group->second += entry_of(options, option);
  }
  std::string text;
  for (const auto& [title, entries] : groups)
    if (!entries.empty()) text += "\n" + title + ":\n" + entries;
  return text;
}

/// The file that a value names; a model or slowdowns may be one (FILE.csv, FILE.csv:NAME) or not. Folders are for who
/// writes into them.
std::string file_of(const Option& option, const std::string& value) {
  const bool is_file = option.kind() == OptionKind::File || option.kind() == OptionKind::Files;
  if (is_file) return option.value_name() == "DIR" ? "" : value;
  if (option.kind() == OptionKind::NumbersOrFile)
    return value.find_first_not_of("0123456789.,eE+- ") == std::string::npos ? "" : value;
  if (option.name().word != "model") return "";
  const std::size_t extension = to_lower(value).rfind(".csv");
  return extension == std::string::npos ? "" : value.substr(0, extension + 4);
}

bool is_output(const Option& option) {
  return option.name().word.starts_with("output") || option.name().word.ends_with("-output");
}

}  // namespace

std::string CommandLine::help() const {
  std::string usage = "Usage: " + program_ + (positional_ == nullptr ? "" : " " + positional_name_);
  for (const Option& option : options_.all())
    if (is_needed(option)) usage += " " + usage_of(option);
  std::vector<std::string> codes;
  for (const auto& [code, meaning] : exit_codes_) codes.push_back(std::to_string(code) + " " + meaning);
  std::string text = wrap(program_ + ": " + summary_) + "\n\n" + wrap(usage + " [options]") + "\n" +
                     entries_of(options_) + "\n" + wrap("Exit codes: " + join(codes)) + "\n";
  if (!examples_.empty()) text += "\nExamples:\n";
  for (const std::string& example : examples_) text += example_lines(example);
  return text;
}

void CommandLine::take_positional(const std::string& word) {
  if (positional_ == nullptr || !positional_->empty())
    throw UsageError(program_ + ": '" + word + "' belongs to no option; see " + program_ + " --help");
  *positional_ = word;
}

bool CommandLine::is_dry_run() const {
  const Option* dry_run = options_.find("dry-run");
  return dry_run != nullptr && dry_run->is_on();
}

void CommandLine::check_required() const {
  if (std::ranges::any_of(options_.all(),
                          [](const Option& option) { return option.does_suffice() && !option.value().empty(); }))
    return;
  for (const Option& option : options_.all())
    if ((option.is_required() || (!is_dry_run() && option.is_required_to_write())) && option.value().empty())
      throw missing_option(options_, option);
}

std::vector<std::string> CommandLine::words() const {
  std::vector<std::string> words;
  for (const Option& option : options_.all()) words.push_back(option.name().word);
  return words;
}

bool CommandLine::parse(const std::vector<std::string>& arguments) {
  options_.group("Common");
  Patience waiting;
  if (has_patience_)
    options_
        .add("patience", waiting.limit_s, "SECONDS",
             "how long ranks wait for one that doesn't answer, before the job ends")
        .above(0.0, 1e9)
        .not_in_results();
  options_.add("quiet", quiet_, "print results only, no progress and no hints");
  options_.add("json", json_, "print what was found as one JSON object, and all else on standard error")
      .not_in_results();
  options_
      .add("csv", csv_,
           "print it as tables of comma-separated values, each after a line '# NAME' where there are several")
      .not_in_results();
  add_answer("help", "show this help", [this] { return help(); });
  add_answer("version", "show the version, the revision and what is built in", version_text);

  po::options_description known;
  for (const Option& option : options_.all()) {
    const char* word = option.name().word.c_str();
    if (option.kind() == OptionKind::Flag)
      known.add_options()(word, po::bool_switch());
    else if (option.is_list())
      known.add_options()(word, po::value<std::vector<std::string>>()->composing());
    else
      known.add_options()(word, po::value<std::string>());
  }
  po::variables_map values;
  try {
    const std::vector<std::string> given(arguments.begin() + (arguments.empty() ? 0 : 1), arguments.end());
    // No guessing of shortened names: a script that relies on one breaks when a longer name is added.
    const int style = po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    const po::parsed_options parsed = po::command_line_parser(given).options(known).style(style).run();
    for (const po::option& option : parsed.options)
      if (option.string_key.empty()) take_positional(join(option.value));
    po::store(parsed, values);
    po::notify(values);
  } catch (const po::unknown_option& error) {
    std::string word = error.get_option_name();
    word.erase(0, word.find_first_not_of('-'));
    std::vector<std::string> near = near_words(word, words());
    for (std::string& name : near) name = "--" + name;
    throw UsageError(program_ + ": unknown option --" + word + "; " +
                     (near.empty() ? "see " : "did you mean " + join(near, " or ") + "? See ") + program_ + " --help");
  } catch (const po::error& error) {
    throw UsageError(program_ + ": " + error.what() + "; see " + program_ + " --help");
  }
  // Help and version, which come last, are looked at first.
  for (auto answer = answers_.rbegin(); answer != answers_.rend(); ++answer) {
    if (!values[options_.find_at(&answer->asked)->name().word].as<bool>()) continue;
    const bool json = values["json"].as<bool>();
    if (answer->record && (json || values["csv"].as<bool>())) {
      keep_output_for_result(program_, json ? ResultForm::Json : ResultForm::Csv);
      print_result(answer->record());
    } else {
      std::cout << answer->text();
    }
    return false;
  }
  std::vector<NamedFile> read, written;
  const auto note_file = [&](const Option& option, const std::string& value) {
    (is_output(option) ? written : read).push_back({spelled(option.name()), file_of(option, value)});
  };
  for (const Option& option : options_.all()) {
    const po::variable_value& value = values[option.name().word];
    if (value.empty()) continue;
    if (option.kind() == OptionKind::Flag) {
      if (value.as<bool>()) option.set("true");
    } else if (option.is_list()) {
      option.forget();
      for (const std::string& word : value.as<std::vector<std::string>>()) {
        option.set(word);
        note_file(option, word);
      }
    } else {
      option.set(value.as<std::string>());
      note_file(option, value.as<std::string>());
    }
  }
  check_required();
  if (!is_dry_run()) keep_apart(read, written);
  if (json_ && csv_) throw option_error("csv", "{} and {} both want standard output; give one", OptionName("json"));
  if (json_ || csv_) keep_output_for_result(program_, json_ ? ResultForm::Json : ResultForm::Csv);
  waiting.quiet = quiet_;
  set_patience(waiting);
  return true;
}

OptionError missing_option(const OptionList& options, const Option& option) {
  return option_error(option.name(), "{} is missing: {}", options.spelled_out(option.help()));
}

std::string command_line_text(const std::vector<std::string>& arguments) {
  return shell_command(arguments);
}

std::string program_beside(const std::vector<std::string>& arguments, const std::string& name) {
  return (std::filesystem::path(arguments.at(0)).parent_path() / name).string();
}

std::string next_commands(const std::vector<std::vector<std::string>>& commands) {
  std::string text;
  for (const std::vector<std::string>& command : commands)
    text += command_lines(text.empty() ? "Next: " : "      ", command);
  return text;
}

std::string drawing_hint(const std::vector<std::string>& arguments, const std::vector<std::string>& files) {
  const auto folder_of = [](const std::string& path) { return std::filesystem::path(path).parent_path().string(); };
  std::vector<std::string> command{program_beside(arguments, "gem-analysis"), "report"};
  for (const std::string& file : files)
    if (!file.empty()) command.push_back(file);
  const std::string folder = folder_of(command.back());
  const bool together = std::all_of(command.begin() + 2, command.end(),
                                    [&](const std::string& file) { return folder_of(file) == folder; });
  if (together && !folder.empty() && command.size() >= 5) {
    command.resize(2);
    command.push_back(folder);
  }
  return command_lines("Draw it: ", command);
}

}  // namespace gem
