#pragma once

#include <string>

#include "platform/command_line/program.hpp"

namespace gem {

// The commands of gem-deploy, given all arguments of the program; the command is arguments[1]. Each returns the exit
// code.
int run_check(const Arguments& arguments);
int run_export(const Arguments& arguments);
int run_map_import(const Arguments& arguments);
int run_moves(const Arguments& arguments);
int run_permute(const Arguments& arguments);
int run_profile_export(const Arguments& arguments);

}  // namespace gem
