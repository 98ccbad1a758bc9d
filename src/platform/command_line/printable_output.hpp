#pragma once

#include <ios>
#include <iosfwd>
#include <streambuf>
#include <string>

namespace gem {

/// While it lives, whatever goes to a stream is printable (see base/quoting.hpp): names and texts of damaged files
/// can't give orders to a terminal. Only the colours of verdicts pass as they are. Lines are passed on as soon as they
/// end; those longer than `width` letters (0: of any length) are broken between words.
class PrintableOutput : private std::streambuf {
 public:
  explicit PrintableOutput(std::ostream& stream, std::size_t width = 0);
  ~PrintableOutput() override;
  PrintableOutput(const PrintableOutput&) = delete;
  PrintableOutput& operator=(const PrintableOutput&) = delete;

 private:
  int_type overflow(int_type letter) override;
  std::streamsize xsputn(const char* letters, std::streamsize count) override;
  int sync() override;
  bool pass_on(std::size_t count);
  std::string broken(const std::string& text) const;

  std::ostream& stream_;
  std::streambuf* sink_;
  std::ios::fmtflags flags_;
  std::size_t width_;
  std::string waiting_;
};

}  // namespace gem
