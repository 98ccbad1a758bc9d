// gem-map as a user runs it, on files made here.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "files/mapping_file.hpp"
#include "files/profile_file.hpp"
#include "files/trace_file.hpp"
#include "jobs/map/map_runs.hpp"
#include "platform/hdf5/input.hpp"
#include "search/move_plan.hpp"

namespace gem {
namespace {

TEST(GemMap, EndedFromOutsideItSaysWhatIsKeptAndGivesNoVerdict) {
  const TestFolder folder;
  write_inputs(folder);
  const ProgramRun run =
      folder.run("sh -c '" + std::string(GEM_PROGRAM_DIR) + "/gem-map --profile " + folder.file("profile.h5") +
                 " --trace " + folder.file("train.h5") + " --starts 10000 --iterations 100000 --output " +
                 folder.file("out.h5") + " > /dev/null & sleep 2; kill -INT $!; wait $!'");
  EXPECT_EQ(run.code, 4) << run.errors;
  EXPECT_NE(run.errors.find("nothing was written"), std::string::npos) << run.errors;
  EXPECT_FALSE(std::filesystem::exists(folder.file("out.h5")));
}

TEST(MapProgram, GemIsBestOnWhatWasSearchedAndAboveItsBound) {
  const TestFolder folder;
  write_inputs(folder);
  const ProgramRun run = folder.run(map(folder, "--test-trace " + folder.file("test.h5")));
  ASSERT_EQ(run.code, 0) << run.errors;
  const double gem = column(run.output, "gem", 1);
  for (const std::string method : {"linear", "round-robin", "eplb", "speed-aware", "paper"})
    EXPECT_LE(gem, column(run.output, method, 1)) << method;
  EXPECT_GE(gem, column(run.output, "(bound)", 1));
  EXPECT_EQ(column(run.output, "linear", 2), 1.0);
  EXPECT_NE(run.output.find("held-out requests, never searched on"), std::string::npos) << run.output;
  std::istringstream lines(run.output.substr(0, run.output.find("Written")));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;

  const Mapping mapping = read_mapping(folder.file("map.h5"));
  EXPECT_EQ(mapping.method, "gem");
  EXPECT_EQ(mapping.device_count, 4u);
  EXPECT_EQ(mapping.program.kernel, "an engine's kernel (2)");
  double predicted_s = 0.0;
  for (std::size_t layer = 0; layer < 2; ++layer) {
    EXPECT_LE(mapping.lower_bound_s[layer], mapping.predicted_s[layer]);
    predicted_s += mapping.predicted_s[layer];
  }
  EXPECT_NEAR(predicted_s * 1e3, gem, 1e-4);
  // How the search went, for plots: each start of each layer has a course.
  const Hdf5Input file(folder.file("map.h5"));
  const Extents points = file.extents("/search/layer", 1);
  EXPECT_GE(points[0], 2u * 3u) << "start, first local optimum and end of each layer";
  EXPECT_EQ(file.read<double>("/search/predicted_s", points).size(), points[0]);
  EXPECT_EQ(file.units("/search/elapsed_s"), "s");
}

// To start MPI takes longer than a short search, and Open MPI can't be started with a part that there isn't.
TEST(MapProgram, StartedAloneItStartsNoMpi) {
  const TestFolder folder;
  write_inputs(folder);
  const ProgramRun run = folder.run("TMPDIR=/dev/null OMPI_MCA_pml=none-such " + map(folder, "--quiet"));
  EXPECT_EQ(run.code, 0) << run.errors;
}

TEST(MapProgram, TheSameMappingOnAnyNumberOfRanks) {
  const TestFolder folder;
  write_inputs(folder);
  Matrix<std::int32_t> first;
  for (const std::string ranks : {"1", "2", "4"}) {
    const ProgramRun run = folder.run(std::string(GEM_MPIRUN_COMMAND) + " -n " + ranks + " " +
                                      map(folder, "--objective p99 --mixed-steps 64 --certify"));
    ASSERT_EQ(run.code, 0) << run.errors;
    const Mapping mapping = read_mapping(folder.file("map.h5"));
    if (first.rows() == 0) first = mapping.expert_to_device;
    EXPECT_EQ(mapping.expert_to_device, first) << ranks;
  }
}

TEST(MapProgram, NoIterationsAreNone) {
  const TestFolder folder;
  write_inputs(folder);
  const ProgramRun run = folder.run(map(folder, "--iterations 0"));
  ASSERT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find(" starts, 0 iterations in "), std::string::npos) << run.output;
}

TEST(MapProgram, EachBaselineCanBeWritten) {
  const TestFolder folder;
  write_inputs(folder);
  for (const std::string method : {"linear", "round-robin", "eplb", "speed-aware", "paper"}) {
    ASSERT_EQ(folder.run(map(folder, "--quiet --method " + method)).code, 0);
    EXPECT_EQ(read_mapping(folder.file("map.h5")).method, method);
  }
}

TEST(MapProgram, ScoresAMappingMadeElsewhere) {
  const TestFolder folder;
  write_inputs(folder);
  const std::string test = " --test-trace " + folder.file("test.h5");
  ASSERT_EQ(folder.run(map(folder, "--quiet --method eplb")).code, 0);
  Mapping other = read_mapping(folder.file("map.h5"));
  other.method = "imported";
  write_mapping(folder.file("other.h5"), other, provenance_now("test", "made-up", 1));
  const ProgramRun run = folder.run(map(folder, "--effort fast --mapping " + folder.file("other.h5") + test));
  ASSERT_EQ(run.code, 0) << run.errors;
  for (const int number : {1, 4}) EXPECT_EQ(column(run.output, "other.h5", number), column(run.output, "eplb", number));
  EXPECT_EQ(read_mapping(folder.file("map.h5")).method, "gem");

  other.layer_ids.back() += 7;
  write_mapping(folder.file("layers.h5"), other, provenance_now("test", "made-up", 1));
  const ProgramRun lacks = folder.run(map(folder, "--mapping " + folder.file("layers.h5")));
  EXPECT_EQ(lacks.code, 3);
  EXPECT_NE(lacks.errors.find("layers.h5: has no layer"), std::string::npos) << lacks.errors;
  ASSERT_EQ(folder.run(map(folder, "--quiet --effort fast --redundant-experts 4")).code, 0);
  std::filesystem::copy_file(folder.file("map.h5"), folder.file("copies.h5"));
  const ProgramRun copies = folder.run(map(folder, "--mapping " + folder.file("copies.h5")));
  EXPECT_EQ(copies.code, 2);
  EXPECT_NE(copies.errors.find("--redundant-experts 4"), std::string::npos) << copies.errors;
  EXPECT_EQ(folder.run(map(folder, "--effort fast --redundant-experts 4 --mapping " + folder.file("copies.h5"))).code,
            0);
  EXPECT_EQ(folder.run(map(folder, "--mapping " + folder.file("map.h5"))).code, 2);  // would be replaced
}

TEST(MapProgram, CertifiesOptimaOfFewExperts) {
  const TestFolder folder;
  write_inputs(folder);
  const ProgramRun run = folder.run(map(folder, "--certify --mixed-steps 0"));
  ASSERT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("optimal: 2 of 2"), std::string::npos) << run.output;
  const Mapping mapping = read_mapping(folder.file("map.h5"));
  EXPECT_EQ(mapping.predicted_s, mapping.lower_bound_s) << "a proven optimum is its own bound";
}

TEST(MapProgram, SaysHowToReplayOnStepsThatWereNotSearchedOn) {
  const TestFolder folder;
  write_inputs(folder);
  const auto next = [&](const std::string& options) {
    const std::string output = as_one_line(folder.run(map(folder, "--effort fast " + options)).output);
    const std::size_t begin = output.find("Next: ");
    return begin == std::string::npos ? "" : output.substr(begin);
  };
  const std::string verify =
      "Next: " GEM_PROGRAM_DIR "/gem-verify --profile " + folder.file("profile.h5") + " --trace ";
  const std::string mapping = " --mapping " + folder.file("map.h5") + "\n";
  EXPECT_EQ(next("--test-trace " + folder.file("test.h5")), verify + folder.file("test.h5") + mapping);
  EXPECT_EQ(next("--train-steps 16"), verify + folder.file("train.h5") + mapping);
  EXPECT_EQ(next("--test-trace " + folder.file("train.h5")), verify + "TEST" + mapping);
  EXPECT_EQ(next("--method linear"), "");
  EXPECT_EQ(next("--devices 2"), "");
  EXPECT_EQ(next("--quiet"), "");
}

TEST(MapProgram, EqualDevicesKnowNoFastOnes) {
  const TestFolder folder;
  write_inputs(folder);
  const ProgramRun run = folder.run(map(folder, "--equal-devices --method eplb"));
  ASSERT_EQ(run.code, 0) << run.errors;
  EXPECT_EQ(column(run.output, "speed-aware", 1), column(run.output, "eplb", 1));
}

TEST(MapProgram, ADryRunWritesNothing) {
  const TestFolder folder;
  write_inputs(folder);
  const ProgramRun run = folder.run(map(folder, "--dry-run"));
  EXPECT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("2 layers x 8 experts on 4 devices"), std::string::npos) << run.output;
  EXPECT_FALSE(std::filesystem::exists(folder.file("map.h5")));
}

TEST(MapProgram, ScoresOnTheSameRequestsAreCalledInSample) {
  const TestFolder folder;
  write_inputs(folder);
  EXPECT_NE(folder.run(map(folder, "--effort fast --test-trace " + folder.file("train.h5"))).output.find("in-sample"),
            std::string::npos);
  EXPECT_NE(folder.run(map(folder, "--effort fast --train-steps 16")).output.find("later steps"), std::string::npos);
}

TEST(MapProgram, OneMappingForSeveralTraces) {
  const TestFolder folder;
  write_inputs(folder);
  const std::string both = "--effort fast --trace " + folder.file("test.h5");
  const ProgramRun run = folder.run(map(folder, both + " --trace-weight 3,1"));
  ASSERT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("The common mapping against one for each trace alone"), std::string::npos) << run.output;
  EXPECT_NE(run.output.find("random (train, 24 steps)"), std::string::npos) << run.output;
  EXPECT_NE(run.output.find("random (test, 24 steps)"), std::string::npos) << run.output;
  EXPECT_EQ(read_mapping(folder.file("map.h5")).train_steps, 48u);
  EXPECT_EQ(folder.run(map(folder, both + " --trace-weight 3")).code, 2);
  EXPECT_EQ(folder.run(map(folder, both + " --trace-weight 3,0")).code, 2);
  EXPECT_EQ(folder.run(map(folder, both + " --test-trace " + folder.file("test.h5"))).code, 2);
  EXPECT_EQ(folder.run(map(folder, both + " --train-steps 4")).code, 2);
}

TEST(MapProgram, SaysBeforehandWhatAMappingIsWorth) {
  const TestFolder folder;
  write_inputs(folder);
  const ProgramRun run = folder.run(map(folder, "--effort fast --cross-validate 3"));
  ASSERT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("searched on 2 of 3 blocks of steps"), std::string::npos) << run.output;
  std::istringstream lines(run.output.substr(0, run.output.find("Written")));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
  EXPECT_EQ(folder.run(map(folder, "--cross-validate 1")).code, 2);
  EXPECT_EQ(folder.run(map(folder, "--cross-validate 25")).code, 2);
  EXPECT_EQ(folder.run(map(folder, "--cross-validate 3 --time-limit 5")).code, 2);
}

TEST(MapProgram, RoutingThatIsNotCountedIsRefused) {
  const TestFolder folder;
  write_inputs(folder);
  const ProgramRun run = folder.run(map(folder, "--method linear --routing " + folder.file("nowhere.h5")));
  EXPECT_EQ(run.code, 2) << run.output;
  EXPECT_NE(run.errors.find("--routing is counted for --transport-dedup node alone"), std::string::npos) << run.errors;
}

TEST(MapProgram, GivesHotExpertsCopies) {
  const TestFolder folder;
  write_inputs(folder);
  const ProgramRun run = folder.run(map(folder, "--redundant-experts 4 --test-trace " + folder.file("test.h5")));
  ASSERT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("4 redundant experts a layer"), std::string::npos) << run.output;
  std::istringstream lines(run.output.substr(0, run.output.find("Written")));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
  const Mapping mapping = read_mapping(folder.file("map.h5"));
  EXPECT_EQ(mapping.redundant_count(), 4u);
  double predicted_s = 0.0;
  for (const double layer_s : mapping.predicted_s) predicted_s += layer_s;
  EXPECT_NEAR(predicted_s * 1e3, column(run.output, "gem", 1), 1e-4);
  EXPECT_EQ(folder.run(map(folder, "--redundant-experts 3")).code, 2);
}

TEST(MapProgram, CopiesAreNoWorseThanTheBaselinesHoweverShortTheSearch) {
  const TestFolder folder;
  write_inputs(folder);
  for (const std::string effort : {"--time-limit 0.0001", "--mixed-steps 64 --effort fast"}) {
    const ProgramRun run = folder.run(map(folder, "--redundant-experts 8 " + effort));
    ASSERT_EQ(run.code, 0) << run.errors;
    for (const std::string baseline : {"eplb", "speed-aware"})
      EXPECT_LE(column(run.output, "gem", 1), column(run.output, baseline, 1)) << effort << "\n" << run.output;
  }
}

TEST(MapProgram, KeepsGroupsOfExpertsTogether) {
  const TestFolder folder;
  write_inputs(folder);
  for (const std::size_t groups : {std::size_t{4}, std::size_t{2}}) {  // of 8 experts on 4 devices
    const ProgramRun run = folder.run(map(folder, fmt::format("--starts 3 --expert-groups {}", groups)));
    ASSERT_EQ(run.code, 0) << run.errors;
    EXPECT_NE(run.output.find(groups == 4 ? "whole groups of 2 experts" : "4 experts on 2 devices"), std::string::npos)
        << run.output;
    EXPECT_LE(column(run.output, "gem", 1), column(run.output, "linear", 1));
    const Mapping mapping = read_mapping(folder.file("map.h5"));
    const std::size_t per_group = 8 / groups;
    const auto block = static_cast<std::int32_t>(4 / groups);
    for (std::size_t layer = 0; layer < mapping.layer_count(); ++layer)
      for (std::size_t e = 0; e < 8; ++e)
        EXPECT_EQ(mapping.expert_to_device(layer, e) / block,
                  mapping.expert_to_device(layer, e / per_group * per_group) / block);
  }
}

TEST(MapProgram, ExpertsThatDoNotDivideGoToTheFirstDevices) {
  const TestFolder folder;
  write_inputs(folder);
  for (const std::string method : {"linear", "round-robin", "eplb", "speed-aware", "paper", "gem"}) {
    const ProgramRun run = folder.run(map(folder, "--quiet --devices 3 --method " + method));
    ASSERT_EQ(run.code, 0) << run.errors;
    const Mapping mapping = read_mapping(folder.file("map.h5"));
    for (std::size_t layer = 0; layer < mapping.layer_count(); ++layer) {
      const auto slots = slots_of(mapping, layer);
      EXPECT_EQ(slots[0].size() * 100 + slots[1].size() * 10 + slots[2].size(), 332u) << method;
    }
  }
  const ProgramRun copies = folder.run(map(folder, "--quiet --devices 3 --redundant-experts 1"));
  EXPECT_EQ(copies.code, 0) << copies.errors;
  EXPECT_EQ(read_mapping(folder.file("map.h5")).slots_per_device(), 3u);
}

TEST(MapProgram, WrongInputsGetASentenceAndACode) {
  const TestFolder folder;
  write_inputs(folder);
  const auto expect = [&](const std::string& command, int code, const std::string& words) {
    const ProgramRun run = folder.run(command);
    EXPECT_EQ(run.code, code) << command << "\n" << run.errors;
    EXPECT_NE(run.errors.find(words), std::string::npos) << command << "\n" << run.errors;
    EXPECT_FALSE(std::filesystem::exists(folder.file("map.h5")));
  };
  expect(map(folder, "", "another.h5"), 2, "the profile is of model 'another'");
  expect(map(folder, "--devices 3 --expert-groups 3"), 2, "do not divide into 3 groups");
  expect(map(folder, "--devices 5"), 2, "the profile has 4");
  expect(map(folder, "--method best"), 2, "'best' is none of linear, round-robin");
  expect(map(folder, "--train-steps 25"), 2, "has 24");
  expect(map(folder, "--expert-groups 3"), 2, "do not divide into 3 groups");
  expect(map(folder, "--expert-groups 4 --method eplb"), 2, "method gem searches for");
  expect(map(folder, "--certify --method eplb"), 2, "method gem finds");
  expect(map(folder, "--objective median"), 2, "neither mean nor p99");
  expect(map(folder, "--effort huge"), 2, "fast, default, thorough");
  expect(map(folder, "--test-trace " + folder.file("profile.h5")), 3, "gem.trace");
  expect(map(folder, "", "missing.h5"), 3, "missing.h5");
  expect(std::string(GEM_PROGRAM_DIR) + "/gem-map --trace x", 2, "--profile");
  EXPECT_EQ(folder.run(map(folder, "--allow-model-mismatch --effort fast", "another.h5")).code, 0);
  LoadTrace unnamed = read_trace(folder.file("train.h5"));
  unnamed.model = "unknown";
  write_trace(folder.file("train.h5"), unnamed, provenance_now("test", "unknown", 1));
  EXPECT_NE(folder.run(map(folder, "")).errors.find("gem-trace import --model"), std::string::npos);
}

TEST(MapProgram, ADoubtfulProfileIsWarnedOfAndRefusedIfStrict) {
  const TestFolder folder;
  write_inputs(folder);
  LatencyProfile profile = read_profile(folder.file("profile.h5"));
  profile.settled = Matrix<std::uint8_t>(4, profile.points.size(), 0);
  profile.drift[3] = 20.0;  // the samples of this profile scatter widely
  write_profile(folder.file("profile.h5"), profile, provenance_now("test", "made-up", 1));
  const ProgramRun strict = folder.run(map(folder, "--strict --effort fast"));
  EXPECT_EQ(strict.code, 3) << strict.errors;
  EXPECT_NE(strict.errors.find("the profile is doubtful: the medians of"), std::string::npos) << strict.errors;
  EXPECT_FALSE(std::filesystem::exists(folder.file("map.h5")));
  const ProgramRun warned = folder.run(map(folder, "--effort fast"));
  EXPECT_EQ(warned.code, 0) << warned.errors;
  EXPECT_NE(warned.output.find("Warning: the medians of"), std::string::npos) << warned.output;
  EXPECT_NE(warned.output.find("Warning: 1 of 4 devices took other times"), std::string::npos) << warned.output;
}

}  // namespace
}  // namespace gem
