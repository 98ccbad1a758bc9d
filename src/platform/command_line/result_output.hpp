#pragma once

#include <string>

#include "base/json_record.hpp"

namespace gem {

/// In which form a program prints what it found, where others are to read it.
enum class ResultForm {
  Json,  ///< one object on one line, after the program's name and version
  Csv    ///< its tables, as csv_tables has them
};

/// What --json and --csv ask for: from now on standard output is kept for the result, and all else that is printed
/// there goes to standard error. SystemError if that can't be arranged.
void keep_output_for_result(const std::string& program, ResultForm form);

/// Prints what the program found; nothing without --json or --csv. On one rank. SystemError if it can't be written.
void print_result(const JsonRecord& result);

}  // namespace gem
