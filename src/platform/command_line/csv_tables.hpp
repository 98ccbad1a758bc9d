#pragma once

#include <string>

#include "platform/text_formats/json.hpp"

namespace gem {

/// What a program found, an object as --json prints it, as tables of comma-separated values. Members that are lists of
/// objects are tables of that name, with a row an object; all others are rows of the first, "result": name, value.
/// Members of inner objects are "outer_inner". A list within a row is its values with "; " between, one of lists has
/// " | " between these, and of objects it is a table "outer_inner", whose rows begin with the first member of the row
/// that they belong to, as "of_NAME". Each table stands after a line "# NAME", an empty line between them; one alone
/// has none.
std::string csv_tables(const JsonNode& result);

}  // namespace gem
