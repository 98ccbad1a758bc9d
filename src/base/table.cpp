#include "base/table.hpp"

#include <algorithm>
#include <cctype>
#include <limits>
#include <string_view>

#include "base/option.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

constexpr std::size_t gap = 2;            // between columns
constexpr std::size_t shortest_word = 8;  // of what is shortened
constexpr std::string_view cut_mark = "..";

bool begins_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U;
}

/// Letters, not bytes: a name may be UTF-8.
std::size_t letters_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, begins_character));
}

/// Where letter `count` of the text begins.
std::size_t offset_of(std::string_view text, std::size_t count) {
  std::size_t at = 0;
  for (std::size_t seen = 0; at < text.size(); ++at)
    if (begins_character(text[at]) && seen++ == count) break;
  return at;
}

/// The word without its middle: beginnings and ends of names and paths tell more.
std::string shortened(const std::string& word, std::size_t width) {
  const std::size_t letters = letters_of(word);
  if (letters <= width) return word;
  const std::size_t kept = width - cut_mark.size(), head = kept / 2, tail = kept - head;
  return word.substr(0, offset_of(word, head)) + std::string(cut_mark) + word.substr(offset_of(word, letters - tail));
}

}  // namespace

/// Which columns are shown, how wide each is, and whether words in them are shortened.
struct Table::Layout {
  std::vector<std::size_t> shown, left_out;
  std::vector<std::size_t> widths;  // of all columns
  std::vector<bool> textual;        // begins with a letter: to the left
  std::vector<bool> has_letters;    // may be shortened, as no number may be
  bool is_shortened = false;

  std::size_t width() const {
    std::size_t sum = shown.empty() ? 0 : gap * (shown.size() - 1);
    for (const std::size_t column : shown) sum += widths[column];
    return sum;
  }
};

void Table::add_row(std::vector<std::string> cells) {
  rows_.push_back(std::move(cells));
}

Table::Layout Table::whole_layout() const {
  Layout layout;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    std::size_t widest = std::max(letters_of(columns_[c].name), letters_of(columns_[c].unit));
    const auto is_letter = [](char byte) { return std::isalpha(static_cast<unsigned char>(byte)) != 0; };
    bool is_text = c == 0, has_letters = false;
    for (const auto& row : rows_) {
      widest = std::max(widest, letters_of(row[c]));
      is_text |= !row[c].empty() && is_letter(row[c][0]);
      has_letters |= std::ranges::any_of(row[c], is_letter);
    }
    layout.has_letters.push_back(has_letters);
    layout.shown.push_back(c);
    layout.widths.push_back(widest);
    layout.textual.push_back(is_text);
  }
  return layout;
}

void Table::leave_out_columns(Layout& layout, std::size_t width) const {
  constexpr int stays = std::numeric_limits<int>::max();
  const auto turn = [&](std::size_t column) {
    const bool says_nothing = std::ranges::all_of(rows_, [&](const auto& row) { return row[column] == "-"; });
    if (says_nothing && !rows_.empty()) return 0;
    return columns_[column].leave_out > 0 ? columns_[column].leave_out : stays;
  };
  while (layout.width() > width) {
    const auto next = std::ranges::min_element(layout.shown, {}, turn);
    if (turn(*next) == stays) return;
    layout.left_out.push_back(*next);
    layout.shown.erase(next);
  }
}

void Table::shorten_words(Layout& layout, std::size_t width) const {
  const auto by_width = [&](std::size_t a, std::size_t b) {
    const auto room = [&](std::size_t c) { return layout.has_letters[c] ? layout.widths[c] : 0; };
    return room(a) < room(b);
  };
  while (layout.width() > width) {
    const std::size_t widest = *std::ranges::max_element(layout.shown, by_width);
    if (!layout.has_letters[widest] || layout.widths[widest] <= shortest_word) return;
    --layout.widths[widest];
    layout.is_shortened = true;
  }
}

std::string Table::title(std::size_t column) const {
  // A column without a name goes on with the one before it.
  std::size_t named = column;
  while (named > 0 && columns_[named].name.empty()) --named;
  return trim(columns_[named].name + " " + columns_[column].unit);
}

std::string Table::to_string(std::size_t width, const std::string& all_there) const {
  Layout layout = whole_layout();
  leave_out_columns(layout, width);
  shorten_words(layout, width);
  std::string text;
  const auto add_line = [&](const auto& cell) {
    std::string line;
    for (const std::size_t c : layout.shown) {
      const std::string word = shortened(cell(c), layout.widths[c]);
      const std::string pad(layout.widths[c] - letters_of(word), ' ');
      if (c != layout.shown.front()) line += std::string(gap, ' ');
      line += layout.textual[c] ? word + pad : pad + word;
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  };
  add_line([&](std::size_t c) { return columns_[c].name; });
  add_line([&](std::size_t c) { return columns_[c].unit; });
  for (const auto& row : rows_) add_line([&](std::size_t c) { return row[c]; });

  std::ranges::sort(layout.left_out);
  std::vector<std::string> titles;
  for (const std::size_t c : layout.left_out) titles.push_back(title(c));
  std::string note = titles.empty() ? "" : "no room for: " + join(titles);
  if (layout.is_shortened) note += std::string(note.empty() ? "" : "; ") + "long words are cut";
  if (note.empty()) return text;
  const std::string where = all_there.empty() ? on_command_line("json") + " has all" : all_there;
  return text + wrap("(" + note + "; " + where + ")", width) + "\n";
}

}  // namespace gem
