#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace gem {

/// A word as a shell reads it back, whatever is in it: as it is where that is safe, else in single quotes, or in $'...'
/// if it has control characters or bytes that are no UTF-8.
std::string shell_word(std::string_view word);

/// The words as a command that is safe to paste. Every command that is printed or kept is made here.
std::string shell_command(std::span<const std::string> words);

/// The command behind a label ("Next: "), for people: broken between words, as a shell goes on reading, so that no line
/// is longer than `width`, unless a word is. Ends with a line break.
std::string command_lines(std::string_view label, std::span<const std::string> words, std::size_t width = 80);

/// The text as a terminal can show it without obeying it: control characters and bytes that are no UTF-8 as \x1b.
/// Line breaks and tabs stay where `lines` is true.
std::string printable(std::string_view text, bool lines = true);

}  // namespace gem
