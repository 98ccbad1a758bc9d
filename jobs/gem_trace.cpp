// gem-trace: makes and describes step traces, the time axis of routing.
#include <functional>
#include <iostream>
#include <vector>

#include "base/error.hpp"
#include "base/text.hpp"
#include "platform/command_line.hpp"
#include "trace_commands.hpp"

namespace {

struct Command {
  std::string name;
  std::string summary;
  std::function<int(const gem::Arguments&)> run;
};

const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      {"batch", "token-level routing -> step trace (batching or chunked prefill)", gem::run_batch},
      {"import", "what a serving engine recorded -> step trace, or routing", gem::run_import},
      {"synthesize", "a step trace drawn from a stated model: skewed, bursty, correlated", gem::run_synthesize},
      {"describe", "skew, correlation, kinds of experts and heat map of a trace", gem::run_describe},
      {"split", "the first steps of a trace into one file, the later into another", gem::run_split},
  };
  return all;
}

void print_help() {
  std::cout << "gem-trace: makes and describes step traces (tokens per step, layer and expert).\n\n"
            << "Usage: gem-trace COMMAND [options]\n\nCommands:\n";
  for (const Command& command : commands())
    std::cout << gem::format("  %-11s %s\n", command.name.c_str(), command.summary.c_str());
  std::cout << "\nOptions of a command: gem-trace COMMAND --help\n\nExamples:\n"
            << "  gem-trace batch --routing jobs/data/routing/gpt-oss-20b.mmlu.h5 \\\n"
            << "      --output trace.h5\n"
            << "  gem-trace describe --trace trace.h5\n";
}

const Command& find_command(const std::string& word) {
  std::vector<std::string> names;
  for (const Command& command : commands()) {
    if (command.name == word) return command;
    names.push_back(command.name);
  }
  const std::vector<std::string> near = gem::near_words(word, names);
  throw gem::UsageError(
      "unknown command '" + word + "'; " +
      (near.empty() ? "the commands are " + gem::join(names) + "." : "did you mean " + gem::join(near, " or ") + "?") +
      " See gem-trace --help");
}

int run(const gem::Arguments& arguments) {
  if (arguments.size() < 2) throw gem::UsageError("a command is missing; see gem-trace --help");
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
