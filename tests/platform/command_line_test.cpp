#include "platform/command_line/command_line.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace gem {
namespace {

struct Options {
  std::string trace, output;
  std::size_t steps = 16;
  double split = 0.5;
  std::vector<std::string> inputs;
  bool dry_run = false;
};

void describe(OptionList& options, Options& given) {
  options.group("Files");
  options.add_file("trace", given.trace, "FILE", "a trace");
  options.add_files("input", given.inputs, "FILE", "a file");
  options.add_file("output", given.output, "FILE", "what is written").required_to_write();
  options.group("Steps");
  options.add("steps", given.steps, "N", "how many steps of {trace} are looked at before anything else is done")
      .range(0, 1000);
  options.add("split", given.split, "F", "a fraction").without("half of {steps}");
  options.add("dry-run", given.dry_run, "say what would run");
}

Options parsed(std::vector<std::string> words) {
  Options options;
  CommandLine line("gem-test", "tests the options");
  line.add(options);
  words.insert(words.begin(), {"gem-test", "--output", "o.h5"});
  EXPECT_TRUE(line.parse(words));
  return options;
}

std::string refusal(const std::vector<std::string>& words) {
  Options options;
  CommandLine line("gem-test", "tests the options");
  line.add(options);
  try {
    line.parse(words);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(CommandLine, ReadsValuesAndKeepsDefaults) {
  const Options options = parsed({"--trace", "a.h5", "--split=0.25", "--dry-run"});
  EXPECT_EQ(options.trace, "a.h5");
  EXPECT_EQ(options.steps, 16u);
  EXPECT_EQ(options.split, 0.25);
  EXPECT_TRUE(options.dry_run);
}

TEST(CommandLine, AWordWithoutANameMayStandAnywhere) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"gem-test", "m.toml", "--steps", "3"}, {"gem-test", "--steps", "3", "m.toml"}}) {
    std::string file;
    std::size_t steps = 0;
    CommandLine line("gem-test", "tests the options");
    line.add_positional(&file, "FILE");
    line.options().add("steps", steps, "N", "how many steps");
    EXPECT_TRUE(line.parse(words));
    EXPECT_EQ(file, "m.toml");
    EXPECT_EQ(steps, 3u);
  }
  CommandLine line("gem-test", "tests the options");
  std::string file;
  line.add_positional(&file, "FILE");
  EXPECT_THROW(line.parse({"gem-test", "a.toml", "b.toml"}), UsageError);
}

TEST(CommandLine, HelpBreaksLongExamplesBeforeAnOption) {
  CommandLine line("gem-test", "tests the options");
  line.add_example("gem-test --trace short.h5");
  line.add_example("gem-test --trace a_long_name_of_a_trace.h5 --steps 128 --output another_long_name.h5 --dry-run");
  testing::internal::CaptureStdout();
  EXPECT_FALSE(line.parse({"gem-test", "--help"}));
  const std::string help = testing::internal::GetCapturedStdout();
  EXPECT_NE(help.find("\n  gem-test --trace short.h5\n"), std::string::npos) << help;
  EXPECT_NE(help.find("--steps 128 \\\n      --output another_long_name.h5 --dry-run\n"), std::string::npos) << help;
}

TEST(CommandLine, HelpHasGroupsWhatIsRequiredFirstAndDefaults) {
  Options options;
  CommandLine line("gem-test", "tests the options");
  line.add(options);
  testing::internal::CaptureStdout();
  EXPECT_FALSE(line.parse({"gem-test", "--help"}));
  const std::string help = testing::internal::GetCapturedStdout();
  EXPECT_EQ(help.substr(0, help.find("\nExit codes")),
            "gem-test: tests the options\n\n"
            "Usage: gem-test --output FILE [options]\n\n"
            "Required:\n"
            "  --output FILE           what is written (not for a dry run)\n\n"
            "Files:\n"
            "  --trace FILE            a trace\n"
            "  --input FILE            a file (may be repeated)\n\n"
            "Steps:\n"
            "  --steps N               how many steps of --trace are looked at before\n"
            "                          anything else is done (default: 16)\n"
            "  --split F               a fraction (default: half of --steps)\n"
            "  --dry-run               say what would run\n\n"
            "Common:\n"
            "  --quiet                 print results only, no progress and no hints\n"
            "  --json                  print what was found as one JSON object, and all else\n"
            "                          on standard error\n"
            "  --csv                   print it as tables of comma-separated values, each\n"
            "                          after a line '# NAME' where there are several\n"
            "  --help                  show this help\n"
            "  --version               show the version, the revision and what is built in\n");
}

TEST(CommandLine, AListIsGivenPieceByPiece) {
  EXPECT_EQ(parsed({"--input", "a", "--input", "b"}).inputs, (std::vector<std::string>{"a", "b"}));
}

TEST(CommandLine, WhatIsRequiredIsAskedForButInADryRun) {
  EXPECT_EQ(refusal({"gem-test"}), "--output is missing: what is written");
  EXPECT_EQ(refusal({"gem-test", "--dry-run"}), "accepted");
}

TEST(CommandLine, AnAnswerEndsTheProgram) {
  Options options;
  CommandLine line("gem-test", "tests the options");
  line.add(options);
  line.add_answer("list", "list all, and end", [] { return std::string("all\n"); });
  testing::internal::CaptureStdout();
  EXPECT_FALSE(line.parse({"gem-test", "--list"})) << "though --output is missing";
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "all\n");
}

TEST(CommandLine, HelpHasTheExitCodes) {
  CommandLine line("gem-test", "tests the options");
  line.add_exit_code(1, "the verdict is negative");
  testing::internal::CaptureStdout();
  EXPECT_FALSE(line.parse({"gem-test", "--help"}));
  const std::string help = testing::internal::GetCapturedStdout();
  EXPECT_NE(help.find("\nExit codes: 0 good, 1 the verdict is negative, 2 wrong usage, 3 bad data,"), std::string::npos)
      << help;
}

TEST(CommandLine, WrongWordsAreUsageErrors) {
  EXPECT_THROW(parsed({"--steps", "-1"}), UsageError);
  EXPECT_THROW(parsed({"--steps", "many"}), UsageError);
  EXPECT_THROW(parsed({"--steps"}), UsageError);
  EXPECT_THROW(parsed({"stray"}), UsageError);
  EXPECT_THROW(parsed({"--ste", "3"}), UsageError);
  try {
    parsed({"--steps", "3", "4"});
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(), "gem-test: '4' belongs to no option; see gem-test --help");
  }
  try {
    parsed({"--tracee", "a.h5"});
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("--trace"), std::string::npos);
  }
}

TEST(CommandLine, TextOfACommandCanBePasted) {
  EXPECT_EQ(command_line_text({"gem-map", "--trace", "my file.h5"}), "gem-map --trace 'my file.h5'");
}

TEST(CommandLine, HintNamesTheProgramBesideThisOneAndTheFiles) {
  EXPECT_EQ(program_beside({"bin/gem-profile"}, "gem-map"), "bin/gem-map");
  EXPECT_EQ(program_beside({"gem-profile"}, "gem-map"), "gem-map");
  EXPECT_EQ(drawing_hint({"bin/gem-profile"}, {"p.h5"}), "Draw it: bin/gem-analysis report p.h5\n");
  EXPECT_EQ(drawing_hint({"gem-map"}, {"r/p.h5", "r/t.h5", "", "other/m.h5"}),
            "Draw it: gem-analysis report r/p.h5 r/t.h5 other/m.h5\n");
  EXPECT_EQ(drawing_hint({"gem-map"}, {"r/p.h5", "r/t.h5", "r/m.h5"}), "Draw it: gem-analysis report r\n");
  EXPECT_EQ(drawing_hint({"gem-map"}, {"p.h5", "t.h5", "m.h5"}), "Draw it: gem-analysis report p.h5 t.h5 m.h5\n");
}

}  // namespace
}  // namespace gem
