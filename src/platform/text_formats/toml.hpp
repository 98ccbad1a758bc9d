#pragma once

#include <string>
#include <string_view>

#include "platform/text_formats/json.hpp"

namespace gem {

/// Reads a TOML file of at most 16 MiB; members of tables are in the order of their names, every value knows its line,
/// dates and times come as text. DataError naming file and line for text that is no TOML.
JsonDocument read_toml(const std::string& path);

/// The same for text; `origin` names it in messages.
JsonDocument parse_toml(std::string_view text, const std::string& origin);

}  // namespace gem
