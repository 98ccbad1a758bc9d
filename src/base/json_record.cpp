#include "base/json_record.hpp"

#include <cmath>

#include "base/quoting.hpp"

namespace gem {

std::string JsonRecord::quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char letter : printable(text)) {
    if (letter == '"' || letter == '\\') quoted += '\\';
    if (letter == '\n')
      quoted += "\\n";
    else if (letter == '\t')
      quoted += "\\t";
    else
      quoted += letter;
  }
  return quoted + "\"";
}

std::string JsonRecord::text_of(double number) {
  return std::isfinite(number) ? fmt::format("{}", number) : "null";
}

}  // namespace gem
