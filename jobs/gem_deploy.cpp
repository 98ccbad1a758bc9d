// gem-deploy: takes a mapping to the engines that serve the model.
#include <functional>
#include <iostream>
#include <vector>

#include "base/error.hpp"
#include "base/text.hpp"
#include "deploy_commands.hpp"
#include "platform/command_line.hpp"

namespace {

struct Command {
  std::string name;
  std::string summary;
  std::function<int(const gem::Arguments&)> run;
};

const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      {"export", "the mapping as the file that a serving engine starts with", gem::run_export},
      {"permute", "a checkpoint whose linear placement is the mapping, for any engine", gem::run_permute},
  };
  return all;
}

void print_help() {
  std::cout << "gem-deploy: takes a mapping to the engines that serve the model.\n\n"
            << "Usage: gem-deploy COMMAND [options]\n\nCommands:\n";
  for (const Command& command : commands())
    std::cout << gem::format("  %-8s %s\n", command.name.c_str(), command.summary.c_str());
  std::cout << "\nOptions of a command: gem-deploy COMMAND --help\n\nExamples:\n"
            << "  gem-deploy export --mapping mapping.h5 --engine sglang --output location.json\n"
            << "  gem-deploy permute --mapping mapping.h5 --checkpoint MODEL --output MODEL-gem\n";
}

const Command& find_command(const std::string& word) {
  std::vector<std::string> names;
  for (const Command& command : commands()) {
    if (command.name == word) return command;
    names.push_back(command.name);
  }
  throw gem::UsageError("unknown command '" + word + "'; the commands are " + gem::join(names) +
                        ". See gem-deploy --help");
}

int run(const gem::Arguments& arguments) {
  if (arguments.size() < 2) throw gem::UsageError("a command is missing; see gem-deploy --help");
  const std::string& word = arguments[1];
  if (word == "--help" || word == "-h" || word == "help") {
    print_help();
    return 0;
  }
  if (word == "--version") {
    std::cout << "GEM " << gem::software_version() << "\n";
    return 0;
  }
  return find_command(word).run(arguments);
}

}  // namespace

int main(int argc, char** argv) {
  return gem::run_serial_program(argc, argv, run);
}
