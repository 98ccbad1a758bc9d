#pragma once

#include <string>

#include "interchange/expert_names.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {

/// DataError for lists of experts' numbers, keys that are such, and lists with a value for each expert: in arrays and
/// objects under keys that speak of experts or routers, and anywhere in a file of such a name (names.origin()).
void refuse_listed_experts(const JsonNode& root, const ExpertNames& names);

/// The same in YAML, TOML, CSV and notes: behind a key that speaks of experts, in the lines of its block, in a table
/// with such a column, and in tables of numbers in a file of such a name.
void refuse_listed_experts(const std::string& text, const ExpertNames& names);

}  // namespace gem
