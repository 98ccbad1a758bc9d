// Whole decoder steps as gem-verify replays them: simulated devices, a table of operators, and host devices in turns.
#include <fstream>
#include <string>
#include <vector>

#include "files/profile_file.hpp"
#include "files/report_file.hpp"
#include "jobs/pipeline/pipeline_runs.hpp"
#include "verification/whole_step.hpp"

namespace gem {
namespace {

TEST(WholeStepProgram, WholeStepsOfSimulatedDevicesAndOfATable) {
  const TestFolder folder;
  make_inputs(folder, 4);
  const std::string steps = "--quiet --steps 8 --rounds 1 --whole-step ";
  const ProgramRun run = folder.run(
      bin + verify(folder, steps + "--batch 64 --output-tokens 4 --exchange-fixed-time 30 --exchange-row-time 12"));
  EXPECT_TRUE(run.code == 0 || run.code == 1) << run.output << run.errors;
  for (const char* words : {"of linear's whole steps", "force-balanced", "all but the experts: simulated",
                            "A token of a request's 4", "exchange: composed"})
    EXPECT_NE(one_line(run.output).find(words), std::string::npos) << words << "\n" << run.output;
  const VerificationReport report = read_report(folder.file("report.h5"));
  ASSERT_TRUE(report.whole_step && report.balanced.size() == 1);
  EXPECT_EQ(report.whole_step->moe_layers, 24u);

  std::ofstream(folder.file("rest.csv")) << "part,tokens,milliseconds\nqkv,16,0.01\nattention,16,0.02\n"
                                            "output,16,0.01\nrouter,16,0.01\nhead,16,0.1\n";
  const ProgramRun table =
      folder.run(bin + verify(folder, "--quiet --steps 8 --rounds 1 --rest " + folder.file("rest.csv")));
  EXPECT_TRUE(table.code == 0 || table.code == 1) << table.output << table.errors;
  EXPECT_NE(one_line(table.output).find("composed from"), std::string::npos) << table.output;

  expect_refused(folder, bin + verify(folder, steps + "--batch 128"), 2, "64 tokens a step");
  expect_refused(folder, bin + verify(folder, steps + "--output-tokens 9"), 2, "only 8 steps");
  expect_refused(folder, bin + verify(folder, steps + "--model Mixtral-8x7B"), 2, "8 experts, top-2");
  expect_refused(folder, bin + verify(folder, steps + "--model Qwen3-Next-80B-A3B"), 2, "no shape of the attention");
  expect_refused(folder, bin + verify(folder, "--batch 64"), 2, "--whole-step");
  expect_refused(folder, bin + verify(folder, "--judge-by step"), 2, "--whole-step");
  expect_refused(folder, bin + verify(folder, "--context 64"), 2, "--context is for whole steps: add --whole-step");
  expect_refused(folder, bin + verify(folder, "--whole-step --layers 0,2"), 2,
                 "12 layers of gpt-oss-20b attend to 2048 tokens, and none of them is replayed");
  expect_refused(folder, bin + verify(folder, "--model gpt-oss-20b"), 2, "--whole-step");
  expect_refused(folder, bin + verify(folder, "--rest " + folder.file("none.csv")), 3, "there is no such file");
  std::ofstream(folder.file("rest.csv")) << "part,tokens,milliseconds\nqkv,16,0.01\n";
  expect_refused(folder, bin + verify(folder, "--rest " + folder.file("rest.csv")), 3, "attention, output, router");
}

// Prefill of real routing, searched on one half of the requests and replayed on the other.
TEST(WholeStepProgram, CountingSharedExpertsMakesWholeStepsShorter) {
  const TestFolder folder;
  expect_good(folder, bin +
                          "gem-profile --quiet --model deepseek-v2-lite --device simulated --devices 2 --slowdown "
                          "1.0,1.28 --points-per-doubling 1 --max-tokens 12288 --shared-time measure --output " +
                          folder.file("profile.h5"));
  for (const std::string part : {"train", "test"})
    expect_good(folder, bin +
                            "gem-trace batch --quiet --phase prefill --chunk-tokens 2048 --steps 16 "
                            "--routing " GEM_DATA_DIR "/routing/deepseek-v2-lite.intent.h5 --part " +
                            part + " --output " + folder.file(part + ".h5"));
  const std::string names[] = {"gem", "ignored"};
  for (const std::string& name : names)
    expect_good(folder, bin + "gem-map --quiet --effort fast --exchange-row-time 15 --profile " +
                            folder.file("profile.h5") + " --trace " + folder.file("train.h5") +
                            (name == "gem" ? "" : " --shared-experts ignore") + " --output " +
                            folder.file(name + ".h5"));
  const auto replayed = [&] {
    expect_good(folder,
                bin + verify(folder,
                             "--quiet --whole-step --layers 1,13,26 --steps 8 --rounds 1 --exchange-row-time 15 "
                             "--mapping " +
                                 folder.file("ignored.h5")));
    return read_report(folder.file("report.h5"));
  };
  const VerificationReport report = replayed();
  const std::vector<WholeStep> steps = whole_steps(report, 1);  // linear, gem, ignored
  EXPECT_LT(steps[1].step.mean_s, 0.995 * steps[2].step.mean_s);
  EXPECT_EQ(report.whole_step->context, 2048u) << "attention of prefill is in it";
  EXPECT_LT(steps[1].median_error, 0.02) << "shared experts are in it once";
  // What the routed experts alone are predicted to take doesn't depend on whether the profile knows of shared ones.
  LatencyProfile profile = read_profile(folder.file("profile.h5"));
  profile.shared_tokens.clear();
  profile.shared_s = {};
  write_profile(folder.file("profile.h5"), profile, provenance_now("test", profile.model, 1));
  EXPECT_EQ(replayed().mappings[1].predicted_s, report.mappings[1].predicted_s);
}

TEST(WholeStepProgram, HostDevicesReplayWholeStepsInTurns) {
  const TestFolder folder;
  std::ofstream(folder.file("tiny.csv"))
      << "model,hidden_size,moe_intermediate_size,moe_layers,routed_experts,top_k,shared_experts,"
         "shared_intermediate_size,attention,query_heads,kv_heads,head_size,vocabulary\n"
         "tiny,64,64,24,32,4,1,32,gqa,8,2,16,512\n";
  const std::string model = "--model " + folder.file("tiny.csv") + " ";
  expect_good(folder, on_ranks(2, "gem-profile " + model +
                                      "--device host --dtype f32 --slowdown 1.0,1.28 --max-tokens 512 --min-samples 3 "
                                      "--max-samples 5 --output " +
                                      folder.file("profile.h5")));
  for (const std::string part : {"train", "test"})
    expect_good(folder, bin + "gem-trace batch --routing " + routing + " --batch-size 64 --steps 16 --part " + part +
                            " --output " + folder.file(part + ".h5"));
  expect_good(folder, bin + "gem-map --method eplb --allow-model-mismatch --profile " + folder.file("profile.h5") +
                          " --trace " + folder.file("train.h5") + " --output " + folder.file("gem.h5"));
  const std::string whole =
      model + "--allow-model-mismatch --steps 2 --rounds 1 --layers 0,11 --whole-step --context 64 ";
  for (const std::string way : {"", "--share-gpu turns --compute-only"}) {
    const ProgramRun run = folder.run(on_ranks(2, verify(folder, whole + way)));
    EXPECT_TRUE(run.code == 0 || run.code == 1) << run.output << run.errors;
    EXPECT_NE(one_line(run.output).find("all but the experts: measured"), std::string::npos) << run.output;
    EXPECT_NE(one_line(run.output).find(way.empty() ? "exchange: measured" : "exchange: not counted"),
              std::string::npos)
        << run.output;
    for (const WholeStep& step : whole_steps(read_report(folder.file("report.h5")), 1)) {
      EXPECT_GT(step.shares.attention_s, 0.0);
      EXPECT_GT(step.shares.shared_s, 0.0);
      EXPECT_GT(step.shares.tail_s, 0.0);
    }
  }
}

}  // namespace
}  // namespace gem
