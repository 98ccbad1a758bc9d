#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_record.hpp"
#include "base/option.hpp"

namespace gem {

/// The options of one program (or of one of its commands), read with Boost.Program_options. `--help`, `--version`,
/// `--quiet`, `--json` and `--csv` are always there. Wrong words are a UsageError that lists near ones.
class CommandLine {
 public:
  /// `summary` is one sentence for the top of --help.
  CommandLine(std::string program, std::string summary);
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  /// The options of a struct, as its own `describe` tells them.
  template <class Struct>
  void add(Struct& target) {
    describe(options_, target);
  }
  /// For options of no struct.
  OptionList& options() { return options_; }
  /// `--name`, which prints that text, or with --json or --csv that record, and ends, as --help does.
  void add_answer(const OptionName& name, const std::string& help, std::function<std::string()> text,
                  std::function<JsonRecord()> record = {});
  /// For a program of several ranks: --patience, which holds for all its waits.
  void add_patience() { has_patience_ = true; }
  /// An exit code beside those that every program has, for --help.
  void add_exit_code(int code, const std::string& meaning) { exit_codes_[code] = meaning; }
  /// One word without a name, anywhere among the options; called `value_name` in --help.
  void add_positional(std::string* target, const std::string& value_name);
  /// A line for the examples at the end of --help.
  void add_example(const std::string& command);

  /// Reads the arguments; the first one (the program's name) is passed over. True: go on. False: --help or --version
  /// or another question was answered on standard output. UsageError for what is wrong or missing, and for an output
  /// (an option called so) that is an input or another output, unless for a dry run.
  bool parse(const std::vector<std::string>& arguments);

  bool quiet() const { return quiet_; }

 private:
  std::string help() const;
  void take_positional(const std::string& word);
  void check_required() const;
  bool is_dry_run() const;
  std::vector<std::string> words() const;

  std::string program_;
  std::string summary_;
  std::map<int, std::string> exit_codes_{{0, "good"}, {2, "wrong usage"}, {3, "bad data"}, {4, "the system failed"}};
  std::string* positional_ = nullptr;  // if there is one, empty until it is given
  std::string positional_name_;
  std::vector<std::string> examples_;
  OptionList options_;
  struct Answer {
    bool asked = false;
    std::function<std::string()> text{};
    std::function<JsonRecord()> record{};
  };
  std::deque<Answer> answers_;  // the list of options refers to them
  bool quiet_ = false;
  bool json_ = false;
  bool csv_ = false;
  bool has_patience_ = false;
};

/// A command for the examples of --help: broken before an option, as a shell reads it, where a line would pass 80
/// columns.
std::string example_lines(std::string_view command);

/// The error for an option that is missing, with its help.
OptionError missing_option(const OptionList& options, const Option& option);

/// The command as one would type it, safe to paste; for hints and the provenance of files.
std::string command_line_text(const std::vector<std::string>& arguments);

/// The program of that name in the folder that this one was called from.
std::string program_beside(const std::vector<std::string>& arguments, const std::string& name);

/// "Next: " and commands that go on from here, one below the other, safe to paste.
std::string next_commands(const std::vector<std::vector<std::string>>& commands);

/// "Draw it: gem-analysis report FILES", a line for the end of a program: the command that draws its files, called
/// where the program itself was. Three files or more of one folder are named by the folder; empty names are passed
/// over.
std::string drawing_hint(const std::vector<std::string>& arguments, const std::vector<std::string>& files);

}  // namespace gem
