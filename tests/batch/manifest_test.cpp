#include "batch/manifest.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <sstream>

#include "base/error.hpp"
#include "batch/manifest_keys.hpp"

namespace gem {
namespace {

const std::string good = R"(output = "results"
[defaults]
device = "simulated"
devices = 8
synthetic = true
slowdown = [1.0, 1.28]
steps = 16
[[task]]
name = "steady"
[[model]]
name = "gpt-oss-20b"
batch_size = [64, 128]
[[model]]
name = "DeepSeek-V2-Lite"
devices = 4
  [[model.task]]
  name = "skewed"
  skew = 4
  methods = ["eplb"]
  seed = 7
)";

std::string refusal(const std::string& text) {
  try {
    parse_manifest(text, "night/m.toml", 1);
  } catch (const DataError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Manifest, ABracketThatEndsItsLineIsRefused) {
  EXPECT_NE(refusal(good + "[[\nmodel.task]]\n").find("night/m.toml: is not TOML"), std::string::npos);
}

TEST(Manifest, LaterLevelsOverrideEarlierOnes) {
  const Manifest manifest = parse_manifest(good, "night/m.toml", 2);
  EXPECT_EQ(manifest.output, "night/results");
  std::vector<std::string> names;
  for (const BatchPair& pair : manifest.pairs) names.push_back(pair.name);
  EXPECT_EQ(names, (std::vector<std::string>{"gpt-oss-20b/steady-b64", "gpt-oss-20b/steady-b128",
                                             "DeepSeek-V2-Lite/steady", "DeepSeek-V2-Lite/skewed"}));
  EXPECT_EQ(manifest.pairs[0].profile.devices.device_count, 8u);
  EXPECT_EQ(manifest.pairs[1].source.synthesis.tokens_per_step, 128u);
  EXPECT_EQ(manifest.pairs[2].profile.devices.device_count, 4u);
  const BatchPair& last = manifest.pairs[3];
  EXPECT_EQ(last.methods, std::vector<std::string>{"eplb"});
  EXPECT_EQ(last.source.synthesis.skew, 4.0);
  EXPECT_EQ(last.profile.seed, 7u);
  EXPECT_EQ(last.replay.seed, 7u);
  EXPECT_EQ(manifest.pairs[2].profile.seed, 1u) << "a task's key is the task's alone";
}

TEST(Manifest, ASettingIsAPairMoreOfEachTask) {
  const Manifest manifest = parse_manifest(
      good + "[[setting]]\nname = \"as-is\"\n[[setting]]\nname = \"uneven\"\nslowdown = [1.0, 1.5]\ndevices = 16\n",
      "night/m.toml", 2);
  std::vector<std::string> names;
  for (const BatchPair& pair : manifest.pairs) names.push_back(pair.name);
  EXPECT_EQ(names, (std::vector<std::string>{"gpt-oss-20b/steady-as-is-b64", "gpt-oss-20b/steady-as-is-b128",
                                             "gpt-oss-20b/steady-uneven-b64", "gpt-oss-20b/steady-uneven-b128",
                                             "DeepSeek-V2-Lite/steady-as-is", "DeepSeek-V2-Lite/steady-uneven",
                                             "DeepSeek-V2-Lite/skewed-as-is", "DeepSeek-V2-Lite/skewed-uneven"}));
  EXPECT_EQ(manifest.pairs[4].profile.devices.slowdown, "1,1.28");
  EXPECT_EQ(manifest.pairs[4].profile.devices.device_count, 4u);
  EXPECT_EQ(manifest.pairs[5].profile.devices.slowdown, "1,1.5");
  EXPECT_EQ(manifest.pairs[5].profile.devices.device_count, 16u);
}

TEST(Manifest, AMethodWithOptionsOfItsOwnIsAFurtherMapping) {
  const std::string variant = "[[method]]\nname = \"gem-layer\"\nexchange_row_time = 20\n";
  const Manifest manifest = parse_manifest(good + variant, "night/m.toml", 2, "iterations = 3");
  const BatchPair& pair = manifest.pairs[0];
  EXPECT_EQ(mapping_names(pair), (std::vector<std::string>{"linear", "eplb", "gem", "gem-layer"}));
  EXPECT_EQ(method_name(pair.variants[0].mapping.method), "gem");
  EXPECT_EQ(pair.variants[0].mapping.iterations, 3u) << "what holds for the pair holds for it";
  EXPECT_NE(pair.variants[0].mapping.cost.exchange_row_ns, pair.mapping.cost.exchange_row_ns);
  // On a command line, too, in place of the manifest's.
  const Manifest set =
      parse_manifest(good + variant, "night/m.toml", 2, "method = [{name = \"other\", method = \"eplb\"}]");
  EXPECT_EQ(mapping_names(set.pairs[3]), (std::vector<std::string>{"eplb", "other"}));
  const std::string mistakes = refusal(good + "[[method]]\nname = \"gem\"\n[[method]]\nname = \"a/b\"\nslowdown = 2\n");
  EXPECT_NE(mistakes.find("'gem' can't be the name of a further mapping"), std::string::npos) << mistakes;
  EXPECT_NE(mistakes.find("'a/b' can't be the name"), std::string::npos) << mistakes;
  EXPECT_NE(mistakes.find("unknown key 'slowdown'"), std::string::npos) << mistakes;
}

TEST(Manifest, ASharedProfileHasOneTileAndTheLoadsOfItsSteps) {
  const std::string open = "[defaults]\n", shared = open + "for_traces = true\n";
  std::string text = good;
  text.replace(text.find(open), open.size(), shared);
  EXPECT_NE(refusal(text).find("for_traces needs tile_tokens"), std::string::npos) << refusal(text);
  text.replace(text.find(open), open.size(), open + "tile_tokens = 16\n");
  EXPECT_EQ(refusal(text), "accepted");
  text.replace(text.find(open), open.size(), open + "max_tokens = 64\n");
  EXPECT_NE(refusal(text).find("for_traces says what is measured, so max_tokens"), std::string::npos);
}

TEST(Manifest, AnyWholeNumberCanBeAListOfAlternatives) {
  std::string text = good;
  text.replace(text.find("devices = 4"), 11, "devices = [4, 8]\nseed = [1, 2]");
  const Manifest manifest = parse_manifest(text, "night/m.toml", 2);
  std::vector<std::string> names;
  for (const BatchPair& pair : manifest.pairs) names.push_back(pair.name);
  EXPECT_EQ(
      std::vector<std::string>(names.begin() + 2, names.end()),
      (std::vector<std::string>{"DeepSeek-V2-Lite/steady-devices4-seed1", "DeepSeek-V2-Lite/steady-devices4-seed2",
                                "DeepSeek-V2-Lite/steady-devices8-seed1", "DeepSeek-V2-Lite/steady-devices8-seed2",
                                "DeepSeek-V2-Lite/skewed-devices4", "DeepSeek-V2-Lite/skewed-devices8"}));
  EXPECT_EQ(manifest.pairs[4].profile.devices.device_count, 8u);
  EXPECT_EQ(manifest.pairs[3].mapping.seed, 2u);
}

TEST(Manifest, KeysSetFromOutsideReplaceThoseOfAllPairs) {
  const Manifest manifest = parse_manifest(good, "night/m.toml", 2, "devices = 2\nbatch_size = 32");
  EXPECT_EQ(manifest.pairs.size(), 3u) << "the list of batch sizes is replaced, too";
  for (const BatchPair& pair : manifest.pairs) EXPECT_EQ(pair.profile.devices.device_count, 2u);
  EXPECT_THROW(parse_manifest(good, "night/m.toml", 2, "device = 2"), DataError);
  EXPECT_THROW(parse_manifest(good, "night/m.toml", 2, "no toml"), DataError);
}

TEST(Manifest, SyntheticStepsHaveTheTokensOfAChunkToo) {
  std::string text = good;
  text.replace(text.find("batch_size = [64, 128]"), 22, "chunk_tokens = 2048");
  EXPECT_EQ(parse_manifest(text, "night/m.toml", 2).pairs[0].source.synthesis.tokens_per_step, 2048u);
}

TEST(Manifest, AllMistakesAreListedWithTheirLines) {
  const std::string message = refusal(R"(output = "results"
[defaults]
device = "simulated"
devices = 8
stepz = 4
steps = "many"
[[model]]
name = "gpt-os-20b"
  [[model.task]]
  name = "a"
  synthetic = true
[[model]]
name = "gpt-oss-20b"
devices = 33
slowdown = "absent.csv"
  [[model.task]]
  name = "a"
  synthetic = true
  methods = ["best"]
  dtype = "int4"
  [[model.task]]
  name = "a"
  routing = "absent.h5"
)");
  for (const char* part :
       {"night/m.toml:5: unknown key 'stepz'; did you mean steps", "m.toml:6: steps is a text",
        "m.toml:7: unknown model", "did you mean gpt-oss-20b", "m.toml:19: methods: 'best' is none of",
        "m.toml:20: dtype: 'int4'", "m.toml:15: slowdown: 'night/absent.csv'",
        "m.toml:16: 33 devices are more than the 32 experts", "no file night/absent.h5", "twice, see line 16"})
    EXPECT_NE(message.find(part), std::string::npos) << part << " in\n" << message;
}

TEST(Manifest, WhatOnlyASinglePairWouldFindIsFoundBeforeAnyRuns) {
  const std::string message = refusal(R"(output = "results"
[defaults]
device = "tpu"
split = -1
phase = "chat"
noise = nan
rounds = -3
[[model]]
name = "gpt-oss-20b"
  [[model.task]]
  name = "a"
  synthetic = true
[[model]]
name = "gpt-os-20b"
  [[model.task]]
  name = "a"
  routing = "absent.h5"
)");
  for (const char* part :
       {"m.toml:3: device: 'tpu'", "m.toml:4: split: -1 is out of range",
        "m.toml:5: phase: 'chat' is neither decode nor prefill", "m.toml:6: noise is not a finite number",
        "m.toml:7: rounds: -3 is out of range", "m.toml:15: there is no file night/absent.h5"})
    EXPECT_NE(message.find(part), std::string::npos) << part << " in\n" << message;
}

TEST(Manifest, AMistakeInTheDefaultsIsOne) {
  std::string text = good;
  text.replace(text.find("steps = 16"), 10, "noise = 2");
  text += "verify_steps = 0\n";
  const std::string message = refusal(text);
  EXPECT_NE(message.find("2 mistakes in the manifest"), std::string::npos) << message;
  EXPECT_NE(message.find("m.toml:7: noise: 2 is out of range (from 0 to 0.999)\n"), std::string::npos) << message;
  EXPECT_NE(message.find("m.toml:21: verify_steps: 0 is out of range (from 1 to 1000000)"), std::string::npos)
      << message;
}

TEST(Manifest, WhatIsOutOfAllProportionIsRefusedOnItsLine) {
  const std::string text = good +
                           "  points_per_doubling = 2147483648\n  mixed_steps = 100000000\n"
                           "  redundant_experts = 1000000000000\n  steps = 4000000000\n";
  const std::string message = refusal(text);
  for (const char* part : {"m.toml:21: points_per_doubling: 2147483648 is out of range (from 1 to 64)",
                           "m.toml:22: mixed_steps: 100000000 is", "m.toml:23: redundant_experts: 1000000000000 is",
                           "m.toml:24: steps: 4000000000 is"})
    EXPECT_NE(message.find(part), std::string::npos) << part << " in\n" << message;
}

TEST(Manifest, TooFewRanksAreNoMistakeOfTheManifest) {
  const std::string text =
      "output = \"x\"\n[[model]]\nname = \"gpt-oss-20b\"\ndevice = \"host\"\nslowdown = [1.0, 1.1, 1.2, 1.28]\n"
      "[[model.task]]\nname = \"a\"\nsynthetic = true\n[[model.task]]\nname = \"b\"\nsynthetic = true\n";
  EXPECT_EQ(parse_manifest(text, "m.toml", 4).pairs.size(), 2u);
  try {
    parse_manifest(text, "m.toml", 1);
    ADD_FAILURE() << "accepted";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("mpirun -n 4 gem-batch m.toml"), std::string::npos) << error.what();
  }
}

TEST(Manifest, EveryKeyIsDescribedWithItsDefault) {
  const std::string text = describe_keys();
  BatchPair pair = default_pair();
  OptionList options;
  describe(options, pair);
  for (const Option& option : options.all()) {
    EXPECT_FALSE(option.help().empty()) << option.name().key;
    EXPECT_NE(text.find("\n  " + option.name().key + " "), std::string::npos) << option.name().key;
  }
  for (const char* part : {"\nVerification", "a whole number from 1 to 1000000; default: 32",
                           "default: linear, eplb, gem", "(true or false; default: true)", "default: 128"})
    EXPECT_NE(std::regex_replace(text, std::regex("\n +"), " ").find(part), std::string::npos) << part;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
}

TEST(Manifest, SyntaxErrorsNameTheLine) {
  EXPECT_NE(refusal("output = \"x\"\n[[model]\n").find("night/m.toml:2"), std::string::npos);
  EXPECT_NE(refusal("output = \"x\"\n").find("no model"), std::string::npos);
  EXPECT_NE(refusal("[[model]]\nname = \"gpt-oss-20b\"\n").find("output is missing"), std::string::npos);
}

TEST(Manifest, ATaskHasExactlyOneSourceOfSteps) {
  std::string text = good;
  text.replace(text.find("synthetic = true"), 16, "synthetic = false");
  EXPECT_NE(refusal(text).find("has 0 sources of steps"), std::string::npos) << refusal(text);
}

TEST(Manifest, ANameCantLeaveTheOutputDirectory) {
  std::string text = good;
  text.replace(text.find("\"steady\""), 8, "\"../../x\"");
  EXPECT_NE(refusal(text).find("can't be the name of a folder"), std::string::npos) << refusal(text);
}

}  // namespace
}  // namespace gem
