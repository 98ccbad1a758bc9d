#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "files/trace_file.hpp"
#include "jobs/program_run.hpp"

namespace gem {
namespace {

const std::string program = GEM_PROGRAM_DIR "/gem-trace";
const std::string data = GEM_DATA_DIR "/routing/";
const std::string decode = data + "gpt-oss-20b.gpqa.h5";
const std::string prefill = data + "deepseek-v2-lite.intent.h5";

std::string batch(const std::string& routing, const std::string& options) {
  return program + " batch --routing " + routing + " " + options;
}

void expect_refused(const TestFolder& folder, const std::string& command, int code, const std::string& words) {
  const ProgramRun run = folder.run(command);
  EXPECT_EQ(run.code, code) << command << "\n" << run.errors;
  EXPECT_NE(run.errors.find(words), std::string::npos) << command << "\n" << run.errors;
  EXPECT_EQ(std::count(run.errors.begin(), run.errors.end(), '\n'), 1) << run.errors;  // one sentence, one line
}

void expect_conserved(const LoadTrace& trace) {
  for (std::size_t step = 0; step < trace.step_count(); ++step) {
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
      const auto row = trace.counts.row(step, layer);
      ASSERT_EQ(std::accumulate(row.begin(), row.end(), std::size_t{0}), trace.tokens_per_step * trace.top_k);
    }
  }
}

TEST(TraceProgram, BatchesEveryBundledRouting) {
  const TestFolder folder;
  struct Case {
    std::string routing, options;
    std::size_t steps, tokens, layers, experts;
  };
  for (const Case& c : {Case{"gpt-oss-20b.mmlu", "--batch-size 64 --steps 40 --part train", 40, 64, 24, 32},
                        Case{"gpt-oss-20b.gpqa", "--steps 30 --part test", 30, 256, 24, 32},
                        Case{"gpt-oss-20b.gpqa", "--phase prefill --chunk-tokens 4096", 8, 4096, 24, 32},
                        Case{"deepseek-v2-lite.intent", "--chunk-tokens 256 --steps 50", 50, 256, 26, 64},
                        Case{"deepseek-v2-lite.summary", "", 16, 512, 26, 64}}) {
    const std::string output = folder.file("trace.h5");
    const ProgramRun run = folder.run(batch(data + c.routing + ".h5", c.options + " --output " + output));
    ASSERT_EQ(run.code, 0) << run.errors;
    EXPECT_NE(run.output.find("written to " + output), std::string::npos) << run.output;
    EXPECT_NE(run.output.find("Next: gem-trace describe"), std::string::npos) << run.output;
    const LoadTrace trace = read_trace(output);
    EXPECT_EQ(trace.step_count(), c.steps);
    EXPECT_EQ(trace.tokens_per_step, c.tokens);
    EXPECT_EQ(trace.layer_count(), c.layers);
    EXPECT_EQ(trace.expert_count(), c.experts);
    EXPECT_EQ(trace.model + "." + trace.task, c.routing);
    expect_conserved(trace);
    EXPECT_TRUE(folder.holds_only({"trace.h5"}));
  }
}

TEST(TraceProgram, StepsToJudgeByAreNotSuggestedToSearchOn) {
  const TestFolder folder;
  const std::string output = folder.file("part.h5");
  const ProgramRun test = folder.run(batch(decode, "--steps 8 --part test --output " + output));
  EXPECT_NE(as_one_line(test.output).find("--trace TRAIN --test-trace " + output), std::string::npos) << test.output;
  EXPECT_NE(test.output.find("gem-verify --profile PROFILE --trace " + output), std::string::npos) << test.output;
  EXPECT_EQ(test.output.find("gem-map --profile PROFILE --trace " + output), std::string::npos) << test.output;
  const ProgramRun train = folder.run(batch(decode, "--steps 8 --part train --output " + output));
  EXPECT_NE(as_one_line(train.output).find("--trace " + output + " --test-trace TEST"), std::string::npos)
      << train.output;
}

TEST(TraceProgram, DescribesAndSplits) {
  const TestFolder folder;
  const std::string trace = folder.file("trace.h5");
  ASSERT_EQ(folder.run(batch(decode, "--steps 50 --seed 4 --quiet --output " + trace)).code, 0);
  const ProgramRun described = folder.run(program + " describe --trace " + trace + " --layer 7");
  EXPECT_EQ(described.code, 0) << described.errors;
  EXPECT_NE(described.output.find("max/mean"), std::string::npos);
  EXPECT_NE(described.output.find("\nLayer 7\n"), std::string::npos) << described.output;
  std::istringstream lines(described.output.substr(0, described.output.find("Draw it")));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;

  const std::string parts = " --output-train " + folder.file("first.h5") + " --output-test " + folder.file("later.h5");
  const ProgramRun cut = folder.run(program + " split --trace " + trace + " --train-steps 20" + parts);
  ASSERT_EQ(cut.code, 0) << cut.errors;
  const LoadTrace whole = read_trace(trace);
  EXPECT_EQ(read_trace(folder.file("first.h5")).counts, steps_of(whole, 0, 20).counts);
  EXPECT_EQ(read_trace(folder.file("later.h5")).counts, steps_of(whole, 20, 30).counts);
  EXPECT_EQ(read_trace(folder.file("later.h5")).part, "all");  // the requests are the same ones
  expect_refused(folder, program + " split --trace " + trace + " --train-steps 50" + parts, 2, "give 1 to 49");
  expect_refused(folder, program + " describe --trace " + trace + " --layer 24", 2, "numbered 0 to 23");
}

TEST(TraceProgram, Synthesizes) {
  const TestFolder folder;
  const std::string output = folder.file("trace.h5");
  const ProgramRun run =
      folder.run(program + " synthesize --model deepseek-v3 --tokens 128 --steps 9 --output " + output);
  ASSERT_EQ(run.code, 0) << run.errors;
  const LoadTrace trace = read_trace(output);
  EXPECT_EQ(trace.model, "DeepSeek-V3/R1");
  EXPECT_EQ(trace.layer_ids.front(), 3);
  EXPECT_EQ(trace.layer_count(), 58u);
  EXPECT_EQ(trace.step_count(), 9u);
  expect_conserved(trace);
  const std::string own = program + " synthesize --experts 16 --layers 2 --top-k 2 --skew 0 --burstiness 0 --output ";
  ASSERT_EQ(folder.run(own + output).code, 0);
  EXPECT_EQ(read_trace(output).expert_count(), 16u);
}

TEST(TraceProgram, SaysWhatItWouldDo) {
  const TestFolder folder;
  const ProgramRun dry = folder.run(batch(decode, "--steps 8 --dry-run --output " + folder.file("trace.h5")));
  EXPECT_EQ(dry.code, 0) << dry.errors;
  EXPECT_NE(dry.output.find("8 steps of 256 tokens"), std::string::npos) << dry.output;
  EXPECT_TRUE(folder.holds_only({}));
  for (const std::string command : {"", " batch", " synthesize", " describe", " split"}) {
    const ProgramRun help = folder.run(program + command + " --help");
    EXPECT_EQ(help.code, 0);
    EXPECT_NE(help.output.find("Examples:"), std::string::npos) << help.output;
  }
  EXPECT_NE(folder.run(program + " --version").output.find("GEM "), std::string::npos);
}

TEST(TraceProgram, RefusesWrongUse) {
  const TestFolder folder;
  const std::string output = " --output " + folder.file("trace.h5");
  expect_refused(folder, program, 2, "a command is missing");
  expect_refused(folder, program + " descrbe", 2, "did you mean describe");
  expect_refused(folder, program + " batch --routng x.h5", 2, "--routing");
  expect_refused(folder, program + " batch" + output, 2, "--routing is missing");
  expect_refused(folder, batch(decode, ""), 2, "--output is missing");
  expect_refused(folder, batch(decode, "--chunk-tokens 512" + output), 2, "use --batch-size");
  expect_refused(folder, batch(prefill, "--batch-size 8" + output), 2, "use --chunk-tokens");
  expect_refused(folder, batch(decode, "--resample --part test" + output), 2, "leave the option out");
  expect_refused(folder, batch(decode, "--phase chat" + output), 2, "decode");
  expect_refused(folder, batch(decode, "--part validation" + output), 2, "all, train, test");
  expect_refused(folder, batch(decode, "--part train --split 1.5" + output), 2, "--split: 1.5 is out of range");
  expect_refused(folder, batch(decode, "--split 1.5" + output), 2, "--split: 1.5 is out of range");
  expect_refused(folder, batch(decode, "--steps 100000000000" + output), 2, "out of range (from 0 to 100000000)");
  expect_refused(folder, batch(decode, "--batch-size 100000000000" + output), 2, "out of range (from 0 to 67108864)");
  expect_refused(folder, batch(decode, "--output " + decode), 2, "destroy");
  expect_refused(folder, program + " synthesize --model gpt-oss-2b" + output, 2, "gpt-oss-20b");
  expect_refused(folder, program + " synthesize" + output, 2, "shape is missing");
  expect_refused(folder, program + " synthesize --experts 8 --layers 999999999999 --top-k 2" + output, 2,
                 "--layers: 999999999999 is");
  expect_refused(folder, program + " synthesize --model gpt-oss-20b --skew 9" + output, 2, "out of reach");
  EXPECT_TRUE(folder.holds_only({}));
}

TEST(TraceProgram, RefusesBadFiles) {
  const TestFolder folder;
  const std::string output = " --output " + folder.file("trace.h5");
  expect_refused(folder, batch(folder.file("absent.h5"), output), 3, "absent.h5");
  std::ofstream(folder.file("text.h5")) << "not HDF5\n";
  expect_refused(folder, batch(folder.file("text.h5"), output), 3, "text.h5");
  std::filesystem::copy_file(decode, folder.file("short.h5"));
  std::filesystem::resize_file(folder.file("short.h5"), 100000);
  expect_refused(folder, batch(folder.file("short.h5"), output), 3, "short.h5");
  expect_refused(folder, program + " describe --trace " + decode, 3, "gem.trace");
  expect_refused(folder, batch(decode, "--steps 2 --output " + folder.file("absent") + "/trace.h5"), 4, "trace.h5");
  EXPECT_FALSE(std::filesystem::exists(folder.file("trace.h5")));
}

}  // namespace
}  // namespace gem
