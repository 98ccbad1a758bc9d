#include "platform/command_line/printable_output.hpp"

#include <algorithm>
#include <initializer_list>
#include <ostream>
#include <string_view>
#include <vector>

#include "base/quoting.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

/// The length of a colour of verdicts (terminal.cpp) that `text` begins with; 0 if it begins with none.
std::size_t colour_length(std::string_view text) {
  for (const std::string_view colour : {"\033[0m", "\033[1;31m", "\033[1;32m", "\033[1;33m"})
    if (text.starts_with(colour)) return colour.size();
  return 0;
}

std::string printable_but_colours(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const std::size_t plain = std::min(text.find('\033'), text.size());
    shown += printable(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) break;
    const std::size_t colour = colour_length(text);
    shown += colour > 0 ? std::string(text.substr(0, colour)) : printable(text.substr(0, 1));
    text.remove_prefix(std::max<std::size_t>(1, colour));
  }
  return shown;
}

}  // namespace

PrintableOutput::PrintableOutput(std::ostream& stream, std::size_t width)
    : stream_(stream), sink_(stream.rdbuf()), flags_(stream.flags()), width_(width) {
  const std::ios::iostate state = stream.rdstate();
  // std::cerr passes on each word: a line that is to be broken has to be whole.
  if (width_ > 0) stream.unsetf(std::ios::unitbuf);
  stream.rdbuf(this);  // clears the state
  stream.setstate(state);
}

PrintableOutput::~PrintableOutput() {
  const std::ios::iostate state = stream_.rdstate();
  stream_.flags(flags_);
  pass_on(waiting_.size());
  stream_.rdbuf(sink_);
  stream_.setstate(state);
}

PrintableOutput::int_type PrintableOutput::overflow(int_type letter) {
  if (traits_type::eq_int_type(letter, traits_type::eof())) return traits_type::not_eof(letter);
  const char one = traits_type::to_char_type(letter);
  return xsputn(&one, 1) == 1 ? letter : traits_type::eof();
}

std::streamsize PrintableOutput::xsputn(const char* letters, std::streamsize count) {
  waiting_.append(letters, static_cast<std::size_t>(count));
  const std::size_t line_end = waiting_.rfind('\n');
  return line_end == std::string::npos || pass_on(line_end + 1) ? count : 0;
}

int PrintableOutput::sync() {
  return pass_on(waiting_.size()) && sink_->pubsync() == 0 ? 0 : -1;
}

std::string PrintableOutput::broken(const std::string& text) const {
  if (width_ == 0) return text;
  std::string lines;
  for (const std::string& line : split(text, '\n')) {
    // What is indented is laid out already, as tables are; JSON is for programs.
    const bool is_laid_out = line.find_first_of(" {[") == 0 || line.find("  ") != std::string::npos;
    const bool is_sentence = line.size() > width_ && !is_laid_out;
    lines += (is_sentence ? wrap(line, width_) : line) + "\n";
  }
  return lines.substr(0, lines.size() - 1);
}

bool PrintableOutput::pass_on(std::size_t count) {
  const std::string shown = broken(printable_but_colours(std::string_view(waiting_).substr(0, count)));
  waiting_.erase(0, count);
  const auto size = static_cast<std::streamsize>(shown.size());
  return sink_->sputn(shown.data(), size) == size;
}

}  // namespace gem
