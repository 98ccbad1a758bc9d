// What gem-verify says of inputs and options that do not fit, or that say little.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "files/mapping_file.hpp"
#include "files/report_file.hpp"
#include "files/trace_file.hpp"
#include "jobs/pipeline/pipeline_runs.hpp"

namespace gem {
namespace {

TEST(Pipeline, MappingsOfOneMethodAreCalledAsTheirFiles) {
  const TestFolder folder;
  make_inputs(folder, 4);
  expect_good(folder, bin + "gem-map --quiet --effort fast --seed 2 --profile " + folder.file("profile.h5") +
                          " --trace " + folder.file("test.h5") + " --output " + folder.file("other.h5"));
  const std::string both = bin + verify(folder, "--mapping " + folder.file("other.h5") + " --first-step 0 --judge ");
  expect_refused(folder, both + "eplb", 2, "named 'eplb'; there is gem and other");
  const ProgramRun run = folder.run(both + "gem");
  EXPECT_LE(run.code, 1) << run.errors;
  EXPECT_NE(run.output.find("- gem takes"), std::string::npos) << run.output;
  EXPECT_NE(run.output.find("mappings: linear, gem, other\n"), std::string::npos) << run.output;
  const VerificationReport report = read_report(folder.file("report.h5"));
  EXPECT_EQ(report.judged, "gem");
  ASSERT_EQ(report.mappings.size(), 3u);
  EXPECT_EQ(report.mappings[1].name, "gem");
  EXPECT_EQ(report.mappings[2].name, "other");
}

TEST(Pipeline, VerifySaysWhatDoesNotFit) {
  const TestFolder folder;
  make_inputs(folder, 4);
  expect_refused(folder, bin + verify(folder, "--device host"), 2, "mpirun -n 4");
  expect_refused(folder, bin + verify(folder, "--layers 99"), 2, "no layer 99");
  expect_refused(folder, bin + verify(folder, "--first-step -1"), 2, "--first-step: -1 is out of range");
  expect_refused(folder, bin + verify(folder, "--layers 3,3"), 2, "layer 3 is there twice");
  expect_refused(folder, bin + verify(folder, "--patience -1"), 2, "--patience: -1 is out of range");
  expect_refused(folder, bin + verify(folder, "--judge eplb"), 2, "no mapping given is named 'eplb'");
  expect_refused(folder, bin + verify(folder, "--judge-by eplb"), 2, "none of straggler, layer, step");
  expect_refused(folder, bin + verify(folder, "--judge-by layer --compute-only"), 2, "needs whole layers");
  expect_refused(folder, bin + verify(folder, "--judge-by layer --share-gpu turns"), 2, "needs whole layers");
  expect_refused(folder, bin + verify(folder, "--judge-by layer"), 2, "simulated devices exchange nothing");
  expect_refused(folder, bin + verify(folder, "--first-step 99"), 2, "has 16 steps");
  expect_refused(folder, bin + verify(folder, "--mapping " + folder.file("train.h5")), 3, "train.h5");
  expect_refused(folder, bin + verify(folder, "--trace-typo x"), 2, "did you mean --trace");
  const std::string inputs = "gem-verify --profile " + folder.file("profile.h5") + " --trace " +
                             folder.file("test.h5") + " --mapping " + folder.file("gem.h5") + " --output ";
  expect_refused(folder, bin + inputs + folder.file("gem.h5"), 2, "would destroy the file that is read");
  expect_refused(folder, bin + inputs + folder.file("nowhere/report.h5"), 4, "make the directory first");
  const std::string search =
      bin + "gem-map --profile " + folder.file("profile.h5") + " --trace " + folder.file("train.h5") + " --output ";
  expect_refused(folder, search + folder.file("m.h5") + " --time-limit -1", 2, "--time-limit: -1 is out of range");
  const std::string profile =
      bin + "gem-profile --model gpt-oss-20b --device simulated --devices 2 --output " + folder.file("p.h5") + " ";
  expect_refused(folder, profile + "--noise -1", 2, "--noise: -1");
  expect_refused(folder, profile + "--outliers 2", 2, "--outliers: 2");
  expect_refused(folder, profile + "--max-tokens 999999999999", 2, "--max-tokens: 999999999999");
  expect_refused(folder, search + folder.file("train.h5"), 2, "would destroy the file that is read");
  expect_refused(folder, search + folder.file("nowhere/gem.h5"), 4, "make the directory first");
  LoadTrace silent = read_trace(folder.file("test.h5"));
  for (std::uint32_t& tokens : silent.counts.values()) tokens = 0;
  write_trace(folder.file("silent.h5"), silent, provenance_now("test", "gpt-oss-20b", 1));
  expect_refused(folder,
                 bin + "gem-verify --profile " + folder.file("profile.h5") + " --trace " + folder.file("silent.h5") +
                     " --mapping " + folder.file("gem.h5") + " --output " + folder.file("report.h5"),
                 3, "has no token in steps 0 to 15");
  expect_refused(folder,
                 bin + "gem-map --profile " + folder.file("profile.h5") + " --trace " + folder.file("silent.h5") +
                     " --output " + folder.file("m.h5"),
                 3, "has no token in any step");
  std::filesystem::create_directory(folder.file("folder"));
  const ProgramRun into_folder = folder.run(
      bin + "gem-profile --model gpt-oss-20b --device simulated --devices 2 --output " + folder.file("folder"));
  EXPECT_EQ(into_folder.code, 4) << into_folder.errors;
  EXPECT_NE(into_folder.errors.find("give the name of a file"), std::string::npos) << into_folder.errors;
  EXPECT_FALSE(std::filesystem::exists(folder.file("folder.partial"))) << "found out after the measurement";
  Mapping mapping = read_mapping(folder.file("gem.h5"));
  mapping.device_count = 8;
  mapping.devices.clear();
  for (std::int32_t& home : mapping.expert_to_device.values()) home = 0;
  for (std::size_t layer = 0; layer < mapping.layer_count(); ++layer)
    for (std::size_t expert = 0; expert < mapping.expert_count(); ++expert)
      mapping.expert_to_device(layer, expert) = static_cast<std::int32_t>(expert / 4);
  write_mapping(folder.file("other.h5"), mapping, provenance_now("test", "gpt-oss-20b", 1));
  expect_refused(folder, bin + verify(folder, "--mapping " + folder.file("other.h5")), 3, "on 8 devices");
}

TEST(Pipeline, VerifyKnowsWhatIsOfAnotherModel) {
  const TestFolder folder;
  make_inputs(folder, 4);
  write_mapping(folder.file("gem.h5"), read_mapping(folder.file("gem.h5")), provenance_now("test", "another-model", 1));
  const std::string command = bin + verify(folder, "--steps 4");
  expect_refused(folder, command, 2, "mapping 'gem' is of model 'another-model', the trace of 'gpt-oss-20b'");
  const ProgramRun run = folder.run(command + " --allow-model-mismatch");
  EXPECT_TRUE(run.code == 0 || run.code == 1) << run.output << run.errors;
}

TEST(Pipeline, MoreRanksThanSimulatedDevicesReplayTheSame) {
  const TestFolder folder;
  make_inputs(folder, 2);
  const auto compute_on = [&](int ranks) {
    const ProgramRun run = folder.run(on_ranks(ranks, verify(folder, "--steps 4")));
    EXPECT_TRUE(run.code == 0 || run.code == 1) << run.output << run.errors;
    return read_report(folder.file("report.h5")).mappings.at(1).compute_s.values();
  };
  EXPECT_EQ(compute_on(1), compute_on(4));
}

TEST(Pipeline, OutputThatIsLostIsAnError) {
  const TestFolder folder;
  make_inputs(folder, 2);
  expect_refused(folder,
                 bin + "gem-map --effort fast --profile " + folder.file("profile.h5") + " --trace " +
                     folder.file("train.h5") + " --output " + folder.file("m.h5") + " > /dev/full",
                 4, "standard output could not be written");
}

TEST(Pipeline, ADryRunSaysWhatWouldBeReplayedAndWritesNothing) {
  const TestFolder folder;
  make_inputs(folder, 4);
  const ProgramRun run = folder.run(bin + verify(folder, "--dry-run"));
  EXPECT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("24 layers"), std::string::npos) << run.output;
  EXPECT_TRUE(folder.holds_only({"profile.h5", "train.h5", "test.h5", "gem.h5"}));
}

TEST(Pipeline, ATransportThatDoesNotFitIsSaidOnce) {
  const TestFolder folder;
  make_inputs(folder, 2);
  const ProgramRun run = folder.run(on_ranks(2, verify(folder, "--quiet --device host --transport nccl")));
  EXPECT_EQ(run.code, 2) << run.errors;
  const std::size_t first = run.errors.find("choose --transport mpi");
  EXPECT_NE(first, std::string::npos) << run.errors;
  EXPECT_EQ(run.errors.find("choose --transport mpi", first + 1), std::string::npos) << run.errors;
}

TEST(Pipeline, FewStepsAreSaidToBeFew) {
  const TestFolder folder;
  make_inputs(folder, 4);
  const ProgramRun all = folder.run(bin + verify(folder, "--dry-run --steps 5000"));
  EXPECT_NE(all.output.find("note: 16 steps are all that the trace has to replay, not 5000"), std::string::npos)
      << all.output;
  EXPECT_EQ(all.output.find("warning"), std::string::npos) << all.output;
  const ProgramRun two = folder.run(bin + verify(folder, "--dry-run --steps 2"));
  EXPECT_NE(two.output.find("warning: an interval over 2 steps says little"), std::string::npos) << two.output;
  EXPECT_EQ(two.output.find("note:"), std::string::npos) << two.output;
}

TEST(Pipeline, ScoringOnStepsThatWereSearchedOnIsCalledInSample) {
  const TestFolder folder;
  make_inputs(folder, 4);
  const std::string in_sample = "gem-verify --profile " + folder.file("profile.h5") + " --trace " +
                                folder.file("train.h5") + " --mapping " + folder.file("gem.h5") + " --output " +
                                folder.file("report.h5");
  expect_refused(folder, bin + in_sample, 2, "were searched on");
  const ProgramRun run = folder.run(bin + in_sample + " --first-step 0");
  EXPECT_NE(run.output.find("in-sample"), std::string::npos) << run.output << run.errors;
}

}  // namespace
}  // namespace gem
