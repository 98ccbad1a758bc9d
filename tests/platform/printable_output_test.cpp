#include "platform/command_line/printable_output.hpp"

#include <gtest/gtest.h>

#include <ostream>
#include <sstream>

namespace gem::test {
namespace {

TEST(PrintableOutput, OrdersToTheTerminalAreShownNotGiven) {
  std::ostringstream stream;
  {
    const PrintableOutput printable(stream);
    stream << "task \033]0;owned\007 of\tmodel\r\n" << 'G' << "\xc3\xbc" << '\xff';
    EXPECT_EQ(stream.str(), "task \\x1b]0;owned\\x07 of\tmodel\\x0d\n") << "a line that has ended is passed on";
    stream << std::flush;
    EXPECT_EQ(stream.str(), "task \\x1b]0;owned\\x07 of\tmodel\\x0d\nG\xc3\xbc\\xff");
    stream << "end";
  }
  EXPECT_TRUE(stream.str().ends_with("\\xffend"));
  stream << '\033';
  EXPECT_TRUE(stream.str().ends_with("\033"));
}

TEST(PrintableOutput, SentencesAreBrokenWhereTheyWouldPassTheTerminal) {
  std::ostringstream stream;
  stream << std::unitbuf;  // as std::cerr is
  const PrintableOutput printable(stream, 20);
  stream << "gem-map: "
         << "cannot open trace.h5"
         << "\n"
         << "\n  what is laid out by itself stays\na row of a  table stays\n{\"so\": \"does JSON, whole\"}\nshort\n";
  EXPECT_EQ(stream.str(),
            "gem-map: cannot open\ntrace.h5\n\n  what is laid out by itself stays\na row of a  table stays\n"
            "{\"so\": \"does JSON, whole\"}\nshort\n");
}

TEST(PrintableOutput, ColoursOfVerdictsPass) {
  std::ostringstream stream;
  const PrintableOutput printable(stream);
  stream << "VERDICT: \033[1;32mFASTER\033[0m - \033[8mhidden\033[0m\n";
  EXPECT_EQ(stream.str(), "VERDICT: \033[1;32mFASTER\033[0m - \\x1b[8mhidden\033[0m\n");
}

TEST(PrintableOutput, AStreamThatFailedStaysSo) {
  std::ostringstream stream;
  stream.setstate(std::ios::failbit);
  {
    const PrintableOutput printable(stream);
    EXPECT_TRUE(stream.fail());
    stream << "unseen";
  }
  EXPECT_TRUE(stream.fail());
  EXPECT_EQ(stream.str(), "");
}

}  // namespace
}  // namespace gem::test
