#include "base/quoting.hpp"

#include <gtest/gtest.h>

#include <cstdio>

namespace gem::test {
namespace {

/// What bash makes of a script.
std::string output_of_bash(const std::string& script) {
  std::string quoted;
  for (const char letter : script) quoted += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  std::FILE* pipe = popen(("exec bash -c '" + quoted + "'").c_str(), "r");
  std::string text;
  for (int letter = std::fgetc(pipe); letter != EOF; letter = std::fgetc(pipe)) text += static_cast<char>(letter);
  EXPECT_EQ(pclose(pipe), 0);
  return text;
}

const std::vector<std::string> awkward_words{"",
                                             " ",
                                             "a b",
                                             "it's",
                                             "''",
                                             "\"",
                                             "$(touch /tmp/ran)",
                                             "`touch /tmp/ran`",
                                             "$HOME",
                                             "~",
                                             "#x",
                                             "a;b",
                                             "a&b",
                                             "a|b",
                                             "a>b",
                                             "*",
                                             "?",
                                             "[x]",
                                             "{a,b}",
                                             "!x",
                                             "\\",
                                             "a\\'b",
                                             "a\nb",
                                             "\n",
                                             "\x1b[2Jx",
                                             "\x01"
                                             "2",
                                             "\xff\xfe",
                                             "Gr\xc3\xb6\xc3\x9f"
                                             "e",
                                             "-x=y"};

TEST(ShellWord, IsReadBackAsItWas) {
  for (const std::string& word : awkward_words)
    EXPECT_EQ(output_of_bash("printf '<%s>' " + shell_word(word)), "<" + word + ">");
}

TEST(ShellWord, HasNoControlCharacters) {
  for (const std::string& word : awkward_words)
    for (const char letter : shell_word(word)) EXPECT_FALSE(letter >= 0 && letter < 0x20) << word;
}

TEST(ShellWord, PlainWordsStayAsTheyAre) {
  for (const std::string word : {"gem-map", "--output", "a/b.h5", "x=1,2", "model:name"})
    EXPECT_EQ(shell_word(word), word);
  EXPECT_EQ(shell_word("a b"), "'a b'");
  const std::vector<std::string> words{"gem-map", "--trace", "it's"};
  EXPECT_EQ(shell_command(words), "gem-map --trace 'it'\\''s'");
}

TEST(CommandLines, FitATerminalAndAreReadBackAsOneCommand) {
  const std::vector<std::string> words{"echo",      "-n",
                                       "--profile", "results/quickstart/profile.h5",
                                       "--trace",   "it's a train.h5",
                                       "--output",  std::string(90, 'x'),
                                       "-",         "--last"};
  const std::string lines = command_lines("Next: ", words);
  EXPECT_EQ(lines,
            "Next: echo -n --profile results/quickstart/profile.h5 \\\n"
            "        --trace 'it'\\''s a train.h5' --output \\\n        " +
                std::string(90, 'x') + " \\\n        - --last\n");
  std::string joined;
  for (std::size_t i = 2; i < words.size(); ++i) joined += (i > 2 ? " " : "") + words[i];
  EXPECT_EQ(output_of_bash(lines.substr(6)), joined);
  EXPECT_EQ(command_lines("Draw it: ", std::vector<std::string>{"a", "b"}), "Draw it: a b\n");
}

TEST(Printable, ShowsControlCharactersAndBadBytesAsNumbers) {
  EXPECT_EQ(printable("a\x1b[31mb"), "a\\x1b[31mb");
  EXPECT_EQ(printable("a\nb\tc"), "a\nb\tc");
  EXPECT_EQ(printable("a\nb", false), "a\\x0ab");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\xc2\\x9b31m");
  EXPECT_EQ(printable("\xe2\x80\xae"
                      "txt"),
            "\\xe2\\x80\\xaetxt");
  EXPECT_EQ(printable("\xff"
                      "a\xc3"),
            "\\xffa\\xc3");
  EXPECT_EQ(printable("Gr\xc3\xb6\xc3\x9f"
                      "e \xe2\x80\x94"),
            "Gr\xc3\xb6\xc3\x9f"
            "e \xe2\x80\x94");
}

}  // namespace
}  // namespace gem::test
