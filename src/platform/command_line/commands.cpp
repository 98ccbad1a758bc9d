#include "platform/command_line/commands.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <iostream>

#include "base/error.hpp"
#include "base/text.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/version.hpp"

namespace gem {
namespace {

void print_help(const std::string& program, const std::string& summary, const std::vector<Command>& commands,
                const std::vector<std::string>& examples) {
  std::size_t width = 0;
  for (const Command& command : commands) width = std::max(width, command.name.size());
  std::cout << program << ": " << summary << "\n\nUsage: " << program << " COMMAND [options]\n\nCommands:\n";
  for (const Command& command : commands)
    std::cout << fmt::format("  {:<{}}  {}\n", command.name, width, command.summary);
  std::cout << "\nOptions of a command: " << program << " COMMAND --help\n\nExamples:\n";
  for (const std::string& example : examples) std::cout << example_lines(example);
}

}  // namespace

int run_command(const Arguments& arguments, const std::string& program, const std::string& summary,
                const std::vector<Command>& commands, const std::vector<std::string>& examples) {
  if (arguments.size() < 2) throw UsageError("a command is missing; see " + program + " --help");
  const std::string& word = arguments[1];
  if (word == "--help" || word == "-h" || word == "help") {
    print_help(program, summary, commands, examples);
    return 0;
  }
  if (word == "--version") {
    std::cout << version_text();
    return 0;
  }
  std::vector<std::string> names;
  for (const Command& command : commands) {
    if (command.name == word) return command.run(arguments);
    names.push_back(command.name);
  }
  const std::vector<std::string> near = near_words(word, names);
  throw UsageError(
      "unknown command '" + word + "'; " +
      (near.empty() ? "the commands are " + join(names) + "." : "did you mean " + join(near, " or ") + "?") + " See " +
      program + " --help");
}

}  // namespace gem
