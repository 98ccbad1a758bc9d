#pragma once

#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "interchange/number_array.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {

/// Nested JSON lists as an array; lists beside each other must be equally long. DataError naming the place otherwise.
NumberArray array_of_json(const JsonNode& node);

/// A JSON file of up to 1 GiB.
JsonDocument read_large_json(const std::string& path);

/// Calls `take` with each line of a file of JSON lines. A last line that was cut (the server was killed) is left out
/// with a note; DataError naming the line for any other that is no JSON.
void for_each_json_line(const std::string& path, std::vector<std::string>& notes,
                        const std::function<void(const JsonDocument&)>& take);

/// The first 64 KiB of a file, to tell its format by; empty where it cannot be read.
std::string beginning_of(const std::string& path);

/// The array in an NPY file, the first one of an NPZ file, or a bare JSON list, to tell its format by; nothing for any
/// other file.
std::optional<NumberArray> array_to_look_at(const std::string& path);

}  // namespace gem
