#pragma once

#include <string>

#include "base/json_record.hpp"

namespace gem {

/// What --json asks for: from now on standard output is kept for one object, and all else that is printed there goes to
/// standard error. SystemError if that can't be arranged.
void keep_output_for_json(const std::string& program);

/// Prints what the program found as one line, after its name and version; nothing without --json. On one rank.
/// SystemError if it can't be written.
void print_json(const JsonRecord& result);

}  // namespace gem
