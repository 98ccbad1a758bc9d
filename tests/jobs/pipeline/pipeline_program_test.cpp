// The whole way as a user goes it, on host and simulated devices.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "files/mapping_file.hpp"
#include "files/profile_file.hpp"
#include "files/report_file.hpp"
#include "files/trace_file.hpp"
#include "jobs/pipeline/pipeline_runs.hpp"

namespace gem {
namespace {

TEST(Pipeline, TheBundledProfileOfAnH100IsMappedTo) {
  const TestFolder folder;
  const std::string profile = GEM_DATA_DIR "/profiles/h100-four-shares.gpt-oss-20b.tile128.h5";
  for (const std::string part : {"train", "test"})
    expect_good(folder, bin + "gem-trace batch --quiet --routing " + routing +
                            " --phase prefill --chunk-tokens 4096 --steps 32 --part " + part + " --output " +
                            folder.file(part + ".h5"));
  const ProgramRun run = folder.run(bin + "gem-map --profile " + profile + " --trace " + folder.file("train.h5") +
                                    " --test-trace " + folder.file("test.h5") + " --output " + folder.file("gem.h5"));
  ASSERT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("held-out"), std::string::npos) << run.output;
  const LatencyProfile measured = read_profile(profile);
  EXPECT_EQ(measured.device_kind, "cuda");
  EXPECT_FALSE(measured.rule.is_plain());
  EXPECT_EQ(read_mapping(folder.file("gem.h5")).device_count, measured.device_count());
}

TEST(Pipeline, AProfileForATraceServesIt) {
  const TestFolder folder;
  expect_good(folder, bin + "gem-trace batch --quiet --routing " + routing +
                          " --phase prefill --chunk-tokens 1024 --steps 24 --output " + folder.file("trace.h5"));
  const std::string profile = bin + "gem-profile --quiet --device simulated --devices 4 --tile-tokens 64 --output " +
                              folder.file("profile.h5") + " --for-trace " + folder.file("trace.h5");
  expect_good(folder, profile + " --model gpt-oss-20b");
  std::int64_t fewest = std::numeric_limits<std::int64_t>::max(), most = 0;
  for (const LoadPoint& point : read_profile(folder.file("profile.h5")).points) {
    fewest = std::min(fewest, point.tiles);
    most = std::max(most, point.tiles);
  }
  EXPECT_GE(fewest, 4);  // 1,024 rows on a device in the mean are 16 tiles and more
  EXPECT_GT(most, 24);
  EXPECT_LT(most, 70);  // all tokens to its experts: 64 tiles and more
  const ProgramRun run = folder.run(bin + "gem-map --profile " + folder.file("profile.h5") + " --trace " +
                                    folder.file("trace.h5") + " --output " + folder.file("gem.h5"));
  ASSERT_EQ(run.code, 0) << run.errors;
  EXPECT_EQ(run.output.find("beyond the profile"), std::string::npos) << run.output;
  expect_refused(folder, profile + " --model DeepSeek-V2-Lite", 2, "task 'gpqa' of gpt-oss-20b has 32 experts");
  expect_refused(folder, profile + " --model gpt-oss-20b --max-tokens 100", 2, "--for-trace says what is measured");
  expect_refused(folder, profile + ", --model gpt-oss-20b", 2, "has an empty name");
  expect_refused(folder,
                 bin + "gem-profile --model gpt-oss-20b --device simulated --devices 4 --for-trace " +
                     folder.file("trace.h5") + " --output " + folder.file("trace.h5"),
                 2, "would destroy");
  expect_refused(folder, profile + ",nothing.h5 --model gpt-oss-20b", 3, "nothing.h5");
}

TEST(Pipeline, HostDevicesGoTheWholeWay) {
  const TestFolder folder;
  expect_good(folder, on_ranks(2,
                               "gem-profile --model gpt-oss-20b --device host --dtype f32 --expert-shape 64x64 "
                               "--slowdown 1.0,1.28 --max-tokens 512 --min-samples 3 --max-samples 5 --output " +
                                   folder.file("profile.h5")));
  for (const std::string part : {"train", "test"})
    expect_good(folder, bin + "gem-trace batch --routing " + routing + " --batch-size 64 --steps 16 --part " + part +
                            " --output " + folder.file(part + ".h5"));
  expect_good(folder, on_ranks(2, "gem-map --effort fast --profile " + folder.file("profile.h5") + " --trace " +
                                      folder.file("train.h5") + " --test-trace " + folder.file("test.h5") +
                                      " --output " + folder.file("gem.h5")));
  const ProgramRun run = folder.run(on_ranks(2, verify(folder, "--steps 4 --rounds 1 --layers 0,11,23")));
  // Whether it is faster is not for a test on a busy machine to say; that it was measured and checked, is.
  EXPECT_TRUE(run.code == 0 || run.code == 1) << run.output << run.errors;
  for (const char* words : {"VERDICT", "held-out requests", "emulated x1.00, x1.28", "of its straggler time"})
    EXPECT_NE(one_line(run.output).find(words), std::string::npos) << words << "\n" << run.output;
  const VerificationReport report = read_report(folder.file("report.h5"));
  ASSERT_EQ(report.mappings.size(), 2u);
  EXPECT_EQ(report.judged_by, JudgedBy::Layer) << "where whole layers are timed";
  for (const MappingReplay& replay : report.mappings) {
    EXPECT_EQ(replay.wrong_values, 0u);
    EXPECT_GT(replay.checked_values, 0u);
    EXPECT_LT(replay.output_error, 1e-4);
  }
  EXPECT_EQ(report.device_difference, "");
  EXPECT_EQ(run.errors.find("warning"), std::string::npos) << run.errors;

  const ProgramRun compute_alone =
      folder.run(on_ranks(2, verify(folder, "--steps 2 --rounds 1 --layers 0 --judge-by straggler")));
  EXPECT_TRUE(compute_alone.code == 0 || compute_alone.code == 1) << compute_alone.output << compute_alone.errors;
  EXPECT_NE(one_line(compute_alone.output).find("of linear's straggler time"), std::string::npos)
      << compute_alone.output;
  EXPECT_EQ(read_report(folder.file("report.h5")).judged_by, JudgedBy::Straggler);

  // What isn't checked isn't called right.
  const ProgramRun compute =
      folder.run(on_ranks(2, verify(folder, "--steps 2 --rounds 1 --layers 0 --compute-only --checked-steps 0")));
  EXPECT_TRUE(compute.code == 0 || compute.code == 1) << compute.output << compute.errors;
  for (const MappingReplay& replay : read_report(folder.file("report.h5")).mappings) {
    EXPECT_EQ(replay.checked_values, 0u);
    EXPECT_TRUE(std::isnan(replay.output_error));
    EXPECT_GT(replay.compute_s(0, 0, 0), 0.0);
  }

  // A mapping may be tried elsewhere, but it is said.
  LatencyProfile profile = read_profile(folder.file("profile.h5"));
  profile.devices[1].hostname = "elsewhere";
  write_profile(folder.file("profile.h5"), profile, provenance_now("test", "gpt-oss-20b", 1));
  const ProgramRun moved = folder.run(on_ranks(2, verify(folder, "--quiet --steps 1 --rounds 1 --layers 0")));
  EXPECT_TRUE(moved.code == 0 || moved.code == 1) << moved.output << moved.errors;
  EXPECT_NE(moved.errors.find("warning: these are not the devices of the profile"), std::string::npos) << moved.errors;
  EXPECT_NE(unbroken(moved.output).find("host devices, not the profile's"), std::string::npos) << moved.output;
  EXPECT_EQ(read_report(folder.file("report.h5")).device_difference.rfind("device 1 was host device", 0), 0u);

  LoadTrace huge = read_trace(folder.file("test.h5"));
  for (std::uint32_t& tokens : huge.counts.values()) tokens = 1u << 28;
  write_trace(folder.file("test.h5"), huge, provenance_now("test", "gpt-oss-20b", 1));
  expect_refused(folder, on_ranks(2, verify(folder, "--steps 1 --layers 0")), 4, "the largest step needs");
}

// Layers of 8, 6 and 5 experts, as pruned models have them: each step's tokens go to two experts, the later ones
// busier.
std::string uneven_counts() {
  std::string text = "{";
  RandomStream random{std::uint64_t{11}};
  for (const int experts : {8, 6, 5}) {
    text += (text.size() > 1 ? ", " : "") + std::string("\"") + std::to_string(12 - experts) + "\": [";
    for (int step = 0; step < 24; ++step) {
      std::vector<int> counts(static_cast<std::size_t>(experts), 0);
      for (int token = 0; token < 64; ++token) {
        const auto first = std::min(random.below(counts.size()), random.below(counts.size()));
        ++counts[first];
        ++counts[(first + 1 + random.below(counts.size() - 1)) % counts.size()];
      }
      text += step > 0 ? ", [" : "[";
      for (std::size_t expert = 0; expert < counts.size(); ++expert)
        text += (expert > 0 ? "," : "") + std::to_string(counts[expert]);
      text += "]";
    }
    text += "]";
  }
  return text + "}";
}

TEST(Pipeline, LayersOfDifferentExpertCountsGoTheWholeWay) {
  const TestFolder folder;
  std::ofstream(folder.file("counts.json")) << uneven_counts();
  std::ofstream(folder.file("tiny.csv")) << "model,hidden_size,moe_intermediate_size,moe_layers,routed_experts,top_k\n"
                                            "tiny,64,64,3,8,2\n";
  expect_good(folder, bin + "gem-trace import --quiet --top-k 2 --input " + folder.file("counts.json") + " --output " +
                          folder.file("test.h5"));
  EXPECT_EQ(read_trace(folder.file("test.h5")).experts_of_layer, (LayerExperts{8, 6, 5}));
  const std::string options = "--quiet --allow-model-mismatch --layers 4,7 --first-step 0 --steps 3 --rounds 1";
  for (const std::string kind : {"simulated", "host"}) {
    const std::string profile = "gem-profile --quiet --model " + folder.file("tiny.csv") + " --device " + kind +
                                " --slowdown 1.0,1.28 --max-tokens 256 --min-samples 3 --max-samples 5 --output " +
                                folder.file("profile.h5");
    expect_good(folder, kind == "host" ? on_ranks(2, profile + " --dtype f32") : bin + profile + " --devices 2");
    const ProgramRun map =
        folder.run(bin + "gem-map --effort fast --allow-model-mismatch --profile " + folder.file("profile.h5") +
                   " --trace " + folder.file("test.h5") + " --output " + folder.file("gem.h5"));
    ASSERT_EQ(map.code, 0) << map.output << map.errors;
    EXPECT_NE(one_line(map.output).find("3 layers x 5 to 8 experts on 2 devices"), std::string::npos) << map.output;
    const Mapping mapping = read_mapping(folder.file("gem.h5"));
    EXPECT_EQ(mapping.experts_of_layer, (LayerExperts{8, 6, 5}));
    EXPECT_EQ(mapping.expert_to_device(1, 6), -1);

    const std::string check = verify(folder, options);
    const ProgramRun run = folder.run(kind == "host" ? on_ranks(2, check) : bin + check);
    EXPECT_TRUE(run.code == 0 || run.code == 1) << run.output << run.errors;
    const VerificationReport report = read_report(folder.file("report.h5"));
    ASSERT_EQ(report.mappings.size(), 2u);
    if (kind == "host")
      for (const MappingReplay& replay : report.mappings) {
        EXPECT_EQ(replay.wrong_values, 0u);
        EXPECT_GT(replay.checked_values, 0u);
        EXPECT_LT(replay.output_error, 1e-4);
      }
  }
  for (const std::string engine : {"vllm-ascend", "tensorrt-llm", "eplb"})
    expect_refused(folder,
                   bin + "gem-deploy export --engine " + engine + " --mapping " + folder.file("gem.h5") + " --output " +
                       folder.file("map"),
                   2, "layers have different numbers of experts (5 to 8)");
  expect_refused(folder,
                 bin + "gem-map --allow-model-mismatch --redundant-experts 2 --profile " + folder.file("profile.h5") +
                     " --trace " + folder.file("test.h5") + " --output " + folder.file("none.h5"),
                 2, "have 5 to 8");
}

TEST(Pipeline, AProfileOfTheContractAloneIsEnough) {
  const TestFolder folder;
  make_inputs(folder, 4);
  LatencyProfile profile = read_profile(folder.file("profile.h5"));
  profile.device_kind.clear();
  write_profile(folder.file("profile.h5"), profile, provenance_now("test", "", 1));
  expect_good(folder, bin + "gem-map --quiet --effort fast --profile " + folder.file("profile.h5") + " --trace " +
                          folder.file("train.h5") + " --output " + folder.file("gem.h5"));
  const ProgramRun run = folder.run(bin + verify(folder, "--steps 2 --device simulated"));
  EXPECT_TRUE(run.code == 0 || run.code == 1) << run.output << run.errors;
}

TEST(Pipeline, SaysThroughWhichProgramAProfileWasMeasured) {
  const TestFolder folder;
  make_inputs(folder, 4);
  const DeviceProgram program{"python3 -m engine", "an engine's kernel (2)", "32:16,64"};
  LatencyProfile profile = read_profile(folder.file("profile.h5"));
  profile.program = program;
  write_profile(folder.file("profile.h5"), profile, provenance_now("test", "", 1));
  expect_good(folder, bin + "gem-map --quiet --effort fast --profile " + folder.file("profile.h5") + " --trace " +
                          folder.file("train.h5") + " --output " + folder.file("gem.h5"));
  EXPECT_EQ(read_mapping(folder.file("gem.h5")).program, program);
  const ProgramRun dry = folder.run(bin + verify(folder, "--steps 2 --dry-run"));
  EXPECT_NE(dry.output.find("profile measured through: python3 -m engine; kernel: an engine's"), std::string::npos)
      << dry.output;
  const ProgramRun run = folder.run(bin + verify(folder, "--steps 2 --json"));
  EXPECT_NE(run.output.find("\"profile_program\": {\"command\": \"python3 -m engine\""), std::string::npos)
      << run.output;
}

// DeepSeek's own 288 slots, on devices that 256 experts don't divide over, from the profile to the engines' files and
// the replay.
TEST(Pipeline, ExpertsAndCopiesThatDivideTogetherGoTheWholeWay) {
  const TestFolder folder;
  const std::string given = " --profile " + folder.file("profile.h5") + " --trace " + folder.file("test.h5");
  expect_good(folder, bin +
                          "gem-trace synthesize --quiet --experts 256 --layers 1 --top-k 8 --skew 4 --steps 6 "
                          "--tokens 1024 --output " +
                          folder.file("test.h5"));
  for (const std::size_t devices : {24u, 48u, 144u}) {
    expect_good(folder, bin + "gem-profile --quiet --model DeepSeek-V3 --device simulated --devices " +
                            std::to_string(devices) + " --redundant-experts 32 --max-tokens 1024 --output " +
                            folder.file("profile.h5"));
    for (const std::string method : {"eplb", "speed-aware", "gem"}) {
      const std::string file = folder.file(method + ".h5");
      expect_good(folder, bin + "gem-map --quiet --allow-model-mismatch --effort fast --mixed-steps 0 --method " +
                              method + " --redundant-experts 32" + given + " --output " + file);
      const Mapping mapping = read_mapping(file);
      EXPECT_EQ(mapping.redundant_count(), 32u) << method;
      for (std::vector<std::int32_t>& experts : slots_of(mapping, 0)) {
        EXPECT_EQ(experts.size(), 288 / devices) << method;
        std::ranges::sort(experts);
        EXPECT_EQ(std::ranges::adjacent_find(experts), experts.end()) << method;
      }
    }
    for (const std::string engine : {"vllm", "eplb"}) {
      const std::string exported = folder.file(engine + ".json");
      expect_good(folder, bin + "gem-deploy export --engine " + engine + " --mapping " + folder.file("gem.h5") +
                              " --output " + exported);
      std::ostringstream text;
      text << std::ifstream(exported).rdbuf();
      EXPECT_NE(text.str().find(engine == "vllm" ? "\"num_redundant_experts\": 32, \"num_slots\": 288" : "["),
                std::string::npos)
          << text.str();
    }
    const ProgramRun run = folder.run(
        bin + "gem-verify --allow-model-mismatch --device simulated --first-step 0 --steps 4" + given + " --mapping " +
        folder.file("eplb.h5") + " --mapping " + folder.file("gem.h5") + " --output " + folder.file("report.h5"));
    EXPECT_TRUE(run.code == 0 || run.code == 1) << run.output << run.errors;
    EXPECT_EQ(read_report(folder.file("report.h5")).mappings.size(), 3u) << run.output;
  }
}

TEST(Pipeline, SimulatedDevicesAreFasterUnderGemThanLinear) {
  const TestFolder folder;
  make_inputs(folder, 4);
  const ProgramRun run = folder.run(bin + verify(folder, "--steps 16"));
  EXPECT_EQ(run.code, 0) << run.output << run.errors;
  EXPECT_NE(run.output.find("VERDICT: FASTER"), std::string::npos) << run.output;
  EXPECT_NE(run.output.find("simulated"), std::string::npos) << run.output;
}

TEST(Pipeline, NoiseOfTheProfileDoesNotMisleadTheSearchAtSmallLoads) {
  const TestFolder folder;
  // Few tokens an expert: methods differ by about a percent, and each sample is 2 % off.
  expect_good(folder, bin + "gem-profile --quiet --model gpt-oss-20b --device simulated --devices 4 --slowdown " +
                          "1.0,1.03,1.05,1.08 --tile-tokens 32 --max-tokens 800 --noise 0.02 --max-samples 40 " +
                          "--output " + folder.file("profile.h5"));
  for (const std::string part : {"train", "test"})
    expect_good(folder, bin + "gem-trace batch --quiet --routing " + routing + " --batch-size 256 --steps 64 --part " +
                            part + " --output " + folder.file(part + ".h5"));
  for (const std::string method : {"speed-aware", "gem"})
    expect_good(folder, bin + "gem-map --quiet --profile " + folder.file("profile.h5") + " --trace " +
                            folder.file("train.h5") + " --method " + method + " --output " +
                            folder.file(method + ".h5"));
  expect_good(folder, bin + verify(folder, "--rounds 1 --mapping " + folder.file("speed-aware.h5")));
  const std::vector<MappingSummary> summaries = summarize(read_report(folder.file("report.h5")), 1);
  ASSERT_EQ(summaries[1].name, "gem");
  EXPECT_LT(summaries[1].interval.high, 1.0) << "not above linear";
  EXPECT_LT(summaries[1].relative, summaries[2].relative + 0.002) << "not above speed-aware";
}

TEST(Pipeline, TheModelsStepIsEstimatedWithAStatedRest) {
  const TestFolder folder;
  make_inputs(folder, 4);
  const ProgramRun run = folder.run(bin + verify(folder, "--steps 4 --layers 0,23 --rest-per-layer 0.25"));
  EXPECT_NE(unbroken(run.output).find("24 MoE layers (compute only) and a stated rest of 0.25 ms"), std::string::npos)
      << run.output;
  EXPECT_NE(run.output.find("2 replayed, in proportion"), std::string::npos) << run.output;
  const VerificationReport report = read_report(folder.file("report.h5"));
  EXPECT_EQ(report.model_layers, 24u);
  EXPECT_NEAR(report.rest_per_layer_s, 0.25e-3, 1e-12);
  expect_refused(folder, bin + verify(folder, "--rest-per-layer -1"), 2, "--rest-per-layer: -1 is out of range");
}

}  // namespace
}  // namespace gem
