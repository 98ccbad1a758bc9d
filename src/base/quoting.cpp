#include "base/quoting.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace gem {
namespace {

/// The bytes of the UTF-8 character that `text` begins with; 0 if that is none.
std::size_t character_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::size_t length = byte(0) < 0x80                      ? 1
                             : byte(0) >= 0xc2 && byte(0) < 0xe0 ? 2
                             : (byte(0) & 0xf0) == 0xe0          ? 3
                             : byte(0) >= 0xf0 && byte(0) < 0xf5 ? 4
                                                                 : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  return length;
}

/// Control characters, those of eight bits too, and those that turn the direction of text round.
bool is_control(std::string_view character) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(character[i]); };
  if (character.size() == 1) return byte(0) < 0x20 || byte(0) == 0x7f;
  if (character.size() == 2) return byte(0) == 0xc2 && byte(1) < 0xa0;
  const bool turning = byte(0) == 0xe2 && ((byte(1) == 0x80 && byte(2) >= 0xaa && byte(2) <= 0xae) ||
                                           (byte(1) == 0x81 && byte(2) >= 0xa6 && byte(2) <= 0xa9));
  return character.size() == 3 && turning;
}

template <class Plain, class Escaped>
void for_each_character(std::string_view text, const Plain& plain, const Escaped& escaped) {
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    const std::string_view character = text.substr(0, std::max<std::size_t>(1, length));
    if (length == 0 || is_control(character))
      escaped(character);
    else
      plain(character);
    text.remove_prefix(character.size());
  }
}

std::string hexadecimal(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += fmt::format("\\x{:02x}", static_cast<std::uint8_t>(byte));
  return text;
}

bool is_safe(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9') ||
         std::string_view("_-./:=,+@%").find(letter) != std::string_view::npos;
}

}  // namespace

std::string shell_word(std::string_view word) {
  if (!word.empty() && std::ranges::all_of(word, is_safe)) return std::string(word);
  bool hidden = false;
  std::string quoted, escaped_text;
  for_each_character(
      word,
      [&](std::string_view character) {
        quoted += character == "'" ? "'\\''" : character;
        escaped_text += character == "'" || character == "\\" ? "\\" : "";
        escaped_text += character;
      },
      [&](std::string_view bytes) {
        hidden = true;
        // Three octal digits: a hexadecimal one would take in digits that follow.
        for (const char byte : bytes) escaped_text += fmt::format("\\{:03o}", static_cast<std::uint8_t>(byte));
      });
  return hidden ? fmt::format("$'{}'", escaped_text) : fmt::format("'{}'", quoted);
}

std::string shell_command(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += ' ';
    text += shell_word(word);
  }
  return text;
}

std::string command_lines(std::string_view label, std::span<const std::string> words, std::size_t width) {
  constexpr std::string_view go_on = " \\";
  const std::string indent(label.size() + 2, ' ');
  // An option and its values stay on a line, where a line has room for them.
  std::vector<std::string> parts;
  for (const std::string& word : words) {
    const std::string quoted = shell_word(word);
    const bool belongs = !parts.empty() && !word.starts_with("--") && parts.back().starts_with("--") &&
                         indent.size() + parts.back().size() + 1 + quoted.size() + go_on.size() <= width;
    if (belongs)
      parts.back() += " " + quoted;
    else
      parts.push_back(quoted);
  }
  std::string lines, line(label);
  bool is_empty = true;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::size_t end = i + 1 < parts.size() ? go_on.size() : 0;
    if (!is_empty && line.size() + 1 + parts[i].size() + end > width) {
      lines += line + std::string(go_on) + "\n";
      line = indent;
      is_empty = true;
    }
    line += (is_empty ? "" : " ") + parts[i];
    is_empty = false;
  }
  return lines + line + "\n";
}

std::string printable(std::string_view text, bool lines) {
  std::string shown;
  for_each_character(
      text, [&](std::string_view character) { shown += character; },
      [&](std::string_view bytes) {
        shown += lines && (bytes == "\n" || bytes == "\t") ? std::string(bytes) : hexadecimal(bytes);
      });
  return shown;
}

}  // namespace gem
