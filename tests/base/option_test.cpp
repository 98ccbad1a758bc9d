#include "base/option.hpp"

#include <gtest/gtest.h>

namespace gem {
namespace {

enum class Pace { Steady, Serving };

std::vector<OptionWord<Pace>> words_of(Pace) {
  return {{"steady", Pace::Steady}, {"serving", Pace::Serving}};
}

struct Wishes {
  std::size_t steps = 32;
  double share = 0.5;
  bool exchange = false;
  Pace pace = Pace::Steady;
  std::optional<double> rest_ms;
  std::vector<std::string> methods{"linear", "gem"};
  std::vector<std::int32_t> layers;
  std::string trace;
  std::size_t seed = 1;
};

void describe(OptionList& options, Wishes& wishes) {
  options.group("What is run");
  options.add_file("trace", wishes.trace, "FILE", "steps to run").required();
  options.add({"steps", "verify_steps"}, wishes.steps, "N", "how many, of {trace}").range(1, 1000);
  options.add("share", wishes.share, "F", "of what").above(0, 1);
  options.add("exchange", wishes.exchange, "time the exchange, too");
  options.group("How");
  options.add("pace", wishes.pace, "how fast");
  options.add("rest", wishes.rest_ms, "MILLISECONDS", "of what isn't run");
  options.add("methods", wishes.methods, "NAME", "what to run");
  options.add("layers", wishes.layers, "LIST", "which of them").without("all");
  options.add("seed", wishes.seed, "N", "of all random choices").not_in_results();
}

struct Others {
  std::size_t seed = 1;
  std::size_t steps = 4;
};

void describe(OptionList& options, Others& others) {
  options.add("seed", others.seed, "N", "of all random choices");
  options.add("steps", others.steps, "N", "of the trace");
}

std::string refusal(const Option& option, const std::string& word) {
  try {
    option.set(word);
  } catch (const OptionError& error) {
    EXPECT_EQ(error.option().word, option.name().word);
    return error.what();
  }
  return "accepted";
}

TEST(Option, SetsTheMemberThatItIsBoundTo) {
  Wishes wishes;
  OptionList options;
  describe(options, wishes);
  for (const auto& [word, value] : std::vector<std::pair<std::string, std::string>>{{"steps", "7"},
                                                                                    {"share", "0.25"},
                                                                                    {"exchange", "true"},
                                                                                    {"pace", "serving"},
                                                                                    {"rest", "1.5"},
                                                                                    {"layers", "0,11,23"}})
    options.find(word)->set(value);
  options.find("methods")->forget();
  options.find("methods")->set("eplb");
  EXPECT_EQ(wishes.steps, 7u);
  EXPECT_EQ(wishes.share, 0.25);
  EXPECT_TRUE(wishes.exchange && options.find("exchange")->is_on());
  EXPECT_EQ(wishes.pace, Pace::Serving);
  EXPECT_EQ(wishes.rest_ms, 1.5);
  EXPECT_EQ(wishes.methods, std::vector<std::string>{"eplb"});
  EXPECT_EQ(wishes.layers, (std::vector<std::int32_t>{0, 11, 23}));
  for (const auto& [word, value] : std::vector<std::pair<std::string, std::string>>{
           {"steps", "7"}, {"share", "0.25"}, {"exchange", "true"}, {"pace", "serving"}, {"layers", "0,11,23"}})
    EXPECT_EQ(options.find(word)->value(), value);
}

TEST(Option, RefusesWhatIsOutOfRangeOrUnknown) {
  Wishes wishes;
  OptionList options;
  describe(options, wishes);
  EXPECT_EQ(refusal(*options.find("steps"), "0"), "--steps: 0 is out of range (from 1 to 1000)");
  EXPECT_EQ(refusal(*options.find("steps"), "2147483648"), "--steps: 2147483648 is out of range (from 1 to 1000)");
  EXPECT_EQ(refusal(*options.find("steps"), "-1"), "--steps: -1 is out of range (from 1 to 1000)");
  EXPECT_EQ(refusal(*options.find("steps"), "many"), "--steps: 'many' is not a whole number");
  EXPECT_EQ(refusal(*options.find("steps"), "1e3"), "--steps: '1e3' is not a whole number");
  EXPECT_EQ(refusal(*options.find("share"), "0"), "--share: 0 is out of range (above 0, up to 1)");
  EXPECT_EQ(refusal(*options.find("share"), "nan"), "--share: 'nan' is not a number");
  EXPECT_EQ(refusal(*options.find("pace"), "fast"), "--pace: 'fast' is neither steady nor serving");
  EXPECT_EQ(refusal(*options.find("layers"), "1,x"), "--layers: 'x' is not a whole number");
  EXPECT_EQ(refusal(*options.find("layers"), "-1"), "--layers: -1 is out of range");
  EXPECT_EQ(wishes.steps, 32u);
  EXPECT_NO_THROW(check_options(wishes));
  wishes.share = 1.5;
  EXPECT_THROW(check_options(wishes), OptionError);
}

TEST(Option, IsSpelledAsItsUsersWriteIt) {
  const OptionName steps = option_name(&Wishes::steps);
  EXPECT_EQ(fmt::format("{}", steps), "--steps");
  {
    const SpellOptions spelling(OptionSpelling::Manifest);
    EXPECT_EQ(fmt::format("{}", steps), "verify_steps");
    EXPECT_STREQ(option_error(option_name(&Wishes::rest_ms), "{} {} is odd", 3).what(), "rest 3 is odd");
  }
  EXPECT_STREQ(option_error(steps, "{} {} is odd", 3).what(), "--steps 3 is odd");
}

TEST(Option, IsBlamedForWhatKnowsOfNoOptions) {
  EXPECT_EQ(blaming(option_name(&Wishes::steps), [] { return 3; }), 3);
  try {
    blaming(option_name(&Wishes::steps), [] { throw UsageError("3 do not divide by 2"); });
    ADD_FAILURE();
  } catch (const OptionError& error) {
    EXPECT_STREQ(error.what(), "--steps: 3 do not divide by 2");
    EXPECT_EQ(error.option().key, "verify_steps");
  }
}

TEST(OptionList, TellsHelpAndDefaults) {
  Wishes wishes;
  OptionList options;
  describe(options, wishes);
  EXPECT_EQ(options.find("steps")->group(), "What is run");
  EXPECT_EQ(options.spelled_out(options.find("steps")->help()), "how many, of --trace");
  EXPECT_EQ(options.find("steps")->expected(), "a whole number from 1 to 1000");
  EXPECT_EQ(options.find("share")->default_text(), "0.5");
  EXPECT_EQ(options.find("share")->expected(), "a number, above 0, up to 1");
  EXPECT_EQ(options.find("pace")->value_name(), "steady|serving");
  EXPECT_EQ(options.find("layers")->default_text(), "all");
  EXPECT_EQ(options.find("rest")->default_text(), "");
  EXPECT_TRUE(options.find("trace")->is_required());
  EXPECT_FALSE(options.find("seed")->is_in_results());
  EXPECT_EQ(options.find("absent"), nullptr);
}

TEST(OptionList, AnOptionOfSeveralStructsSetsAllOfThem) {
  Wishes wishes;
  Others others;
  OptionList options;
  describe(options, wishes);
  describe(options, others);
  options.find("seed")->set("9");
  EXPECT_EQ(wishes.seed, 9u);
  EXPECT_EQ(others.seed, 9u);
  options.find_key("verify_steps")->set("5");
  EXPECT_EQ(wishes.steps, 5u);
  EXPECT_EQ(others.steps, 4u) << "what a manifest calls otherwise is another option";
}

}  // namespace
}  // namespace gem
