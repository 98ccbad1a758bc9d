#pragma once

#include <string>

#include "base/json_record.hpp"
#include "batch/manifest.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {

/// A pair of which no key has said anything.
BatchPair default_pair();

/// Gives the option the value of a key; names of files are relative to `directory`. OptionError for another kind of
/// value, or one out of range.
void take_value(const Option& option, const JsonNode& value, const std::string& directory);

/// All keys by group, with kind and default, for people.
std::string describe_keys();

/// The same for programs.
JsonRecord keys_record();

}  // namespace gem
