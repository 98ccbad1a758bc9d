#pragma once

#include <functional>
#include <string>
#include <vector>

#include "platform/command_line/program.hpp"

namespace gem {

/// What a program with several commands can be told to do.
struct Command {
  std::string name;
  std::string summary;                       ///< a line of --help
  std::function<int(const Arguments&)> run;  ///< given all arguments of the program; returns the exit code
};

/// Runs the command that the first argument after the program's name is; `summary` is a sentence for the top of --help,
/// which is answered here like --version. UsageError that lists near ones for another word.
int run_command(const Arguments& arguments, const std::string& program, const std::string& summary,
                const std::vector<Command>& commands, const std::vector<std::string>& examples);

}  // namespace gem
