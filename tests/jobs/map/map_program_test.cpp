// gem-map as a user runs it, on files made here.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <sstream>

#include "base/text.hpp"
#include "files/mapping_file.hpp"
#include "files/profile_file.hpp"
#include "files/trace_file.hpp"
#include "jobs/program_run.hpp"
#include "platform/hdf5/input.hpp"
#include "search/move_plan.hpp"
#include "search/random_problem.hpp"

namespace gem {
namespace {

// Profile of 4 devices and traces of one model with 8 experts; train and test parts are there.
void write_inputs(const TestFolder& folder) {
  const Provenance provenance = provenance_now("test", "made-up", 1);
  LatencyProfile profile = testing::made_up_profile(4, 4);
  const std::size_t points = profile.points.size();
  profile.device_kind = "simulated";
  profile.weight_dtype = "bf16";
  profile.expert = {64, 64};
  profile.experts_per_device = 4;
  for (DeviceDescription& device : profile.devices) device.kind = "simulated";
  profile.p95_s = profile.median_s;
  profile.samples_s = Cube<float>(4, points, 1);
  for (std::size_t d = 0; d < 4; ++d)
    for (std::size_t p = 0; p < points; ++p)
      profile.samples_s.row(d, p)[0] = static_cast<float>(profile.median_s(d, p));
  profile.settled = Matrix<std::uint8_t>(4, points, 1);
  profile.sm_clock_hz = profile.power_w = profile.temperature_c = Matrix<double>(4, points, 1.0);
  profile.throttle_reasons = Matrix<std::uint64_t>(4, points, 0);
  profile.drift.assign(4, 0.0);
  profile.program = {"python3 -m engine", "an engine's kernel (2)", "32:16,64"};
  write_profile(folder.file("profile.h5"), profile, provenance);
  profile.model = "another";
  write_profile(folder.file("another.h5"), profile, provenance_now("test", "another", 1));
  for (const std::string part : {"train", "test"}) {
    // Tokens of a step are what its experts got, as a trace has it.
    LoadTrace trace = testing::made_up_trace(24, 2, 8, part == "train" ? 1 : 2);
    trace.phase = "decode";
    trace.part = part;
    trace.top_k = 2;
    trace.tokens_per_step = 256;
    for (std::size_t t = 0; t < 24; ++t)
      for (std::size_t layer = 0; layer < 2; ++layer) {
        std::uint32_t left = 512;
        for (std::size_t e = 0; e < 8; ++e) {
          std::uint32_t& count = trace.counts(t, layer, e);
          count = e == 7 ? left : std::min({count, left, 256u});
          left -= count;
        }
        // No expert gets more than all tokens.
        for (std::size_t e = 0; trace.counts(t, layer, 7) > 256; e = (e + 1) % 7)
          if (trace.counts(t, layer, e) < 256) {
            ++trace.counts(t, layer, e);
            --trace.counts(t, layer, 7);
          }
      }
    write_trace(folder.file(part + ".h5"), trace, provenance);
  }
}

std::string map(const TestFolder& folder, const std::string& options, const std::string& profile = "profile.h5") {
  return std::string(GEM_PROGRAM_DIR) + "/gem-map --profile " + folder.file(profile) + " --trace " +
         folder.file("train.h5") + " --output " + folder.file("map.h5") + " " + options;
}

// Held-out ms/step by method, from the table.
double column(const std::string& output, const std::string& method, int number) {
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name != method) continue;
    for (int i = 0; i < number; ++i) words >> name;
    return std::stod(name);
  }
  ADD_FAILURE() << method << " is not in\n" << output;
  return 0.0;
}

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

TEST(MapProgram, CountsTheExchangeWhereItIsTold) {
  const TestFolder folder;
  write_inputs(folder);
  ASSERT_EQ(folder.run(map(folder, "--quiet --mixed-steps 0")).code, 0);
  const Mapping compute_alone = read_mapping(folder.file("map.h5"));
  const ProgramRun run = folder.run(map(folder, "--quiet --mixed-steps 0 --certify --exchange-row-time 1000"));
  ASSERT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("1e+03 ns of exchange for"), std::string::npos) << run.output;
  const Mapping mapping = read_mapping(folder.file("map.h5"));
  // The file's times are of the compute alone, of which the other mapping has the least.
  for (std::size_t layer = 0; layer < mapping.predicted_s.size(); ++layer) {
    EXPECT_GE(mapping.predicted_s[layer], compute_alone.predicted_s[layer]);
    EXPECT_LE(mapping.lower_bound_s[layer], compute_alone.predicted_s[layer]);
  }
  for (const std::string refused : {"--exchange-row-time -1", "--exchange-row-time nan", "--exchange-row-time 5e8",
                                    "--exchange-row-time 20 --objective p99"}) {
    const ProgramRun bad = folder.run(map(folder, refused));
    EXPECT_EQ(bad.code, 2) << refused;
    EXPECT_NE(bad.errors.find("exchange"), std::string::npos) << bad.errors;
  }
}

// 256 tokens a step, as write_inputs has them.
TEST(MapProgram, CountsTheExchangeByItselfAsFarAsTheProfileSaysItIsTrue) {
  const TestFolder folder;
  write_inputs(folder);
  std::string output;
  // What the steps searched on take under linear placement: compute, and the exchange where it counts.
  const auto linear_ms = [&](const std::string& options) {
    const ProgramRun run = folder.run(map(folder, "--effort fast --mixed-steps 0 " + options));
    EXPECT_EQ(run.code, 0) << run.errors;
    output = run.output;
    return column(output, "linear", 1);
  };
  const double compute_ms = linear_ms("");
  EXPECT_EQ(output.find("exchange"), std::string::npos) << "a profile without a law: as ever\n" << output;
  const double counted_ms = linear_ms("--exchange-row-time 900");
  ASSERT_GT(counted_ms, 1.1 * compute_ms);

  LatencyProfile profile = read_profile(folder.file("profile.h5"));
  const auto with_law = [&](double explained) {
    profile.exchange_law = {{64, 1e-4, 6e-5, 1e-6, explained}, {256, 1e-3, 6e-5, 1e-6, explained}};
    write_profile(folder.file("profile.h5"), profile, provenance_now("test", "made-up", 1));
  };
  with_law(0.9);
  EXPECT_EQ(linear_ms(""), counted_ms);
  EXPECT_NE(output.find("The exchange is counted with 900 ns"), std::string::npos) << output;
  EXPECT_NE(output.find("--exchange-row-time"), std::string::npos) << output;
  EXPECT_EQ(linear_ms("--exchange-row-time 0"), compute_ms);
  EXPECT_EQ(output.find("The exchange"), std::string::npos) << output;
  EXPECT_EQ(linear_ms("--objective p99"), compute_ms);
  EXPECT_EQ(output.find("The exchange"), std::string::npos) << "p99 counts compute alone\n" << output;
  with_law(0.12);
  EXPECT_EQ(linear_ms(""), compute_ms);
  EXPECT_NE(output.find("The exchange is not counted"), std::string::npos) << output;
  EXPECT_EQ(linear_ms("--exchange-row-time 900"), counted_ms) << "given by hand wins";
}

// The first experts are so much busier than the others that the placement hangs on which device takes less beside.
TEST(MapProgram, CountsSharedExpertsInsideTheMaximumOverDevices) {
  const TestFolder folder;
  write_inputs(folder);
  std::string output;
  const auto searched = [&](const std::string& options) {
    const ProgramRun run = folder.run(map(folder, "--effort fast --mixed-steps 0 " + options));
    EXPECT_EQ(run.code, 0) << run.errors;
    output = unbroken(run.output);
    return std::pair{column(run.output, "linear", 1), read_mapping(folder.file("map.h5"))};
  };
  const auto [alone_ms, alone] = searched("");
  EXPECT_EQ(output.find("hared experts"), std::string::npos) << "a profile without their times: as ever\n" << output;

  LatencyProfile profile = read_profile(folder.file("profile.h5"));
  profile.shared_tokens = {64};
  profile.shared_s = Matrix<double>(4, 1, 20e-6);
  profile.shared_s(0, 0) = 120e-6;  // the fastest of all for routed experts
  write_profile(folder.file("profile.h5"), profile, provenance_now("test", "made-up", 1));
  const auto [ignored_ms, ignored] = searched("--shared-experts ignore");
  EXPECT_EQ(ignored_ms, alone_ms);
  EXPECT_EQ(ignored.expert_to_device, alone.expert_to_device);
  EXPECT_EQ(output.find("hared experts"), std::string::npos) << output;
  const auto [counted_ms, counted] = searched("");
  EXPECT_GT(counted_ms, alone_ms + 2 * 0.02) << "of two layers";
  EXPECT_NE(output.find("Shared experts are counted with each device's compute, 20 us to 120 us for its own 64 "
                        "tokens"),
            std::string::npos)
      << output;
  EXPECT_NE(output.find("--shared-experts ignore leaves them out"), std::string::npos) << output;
  const auto tokens_of_first = [&](const Mapping& mapping) {
    const LoadTrace trace = read_trace(folder.file("train.h5"));
    std::size_t tokens = 0;
    for (std::size_t t = 0; t < trace.step_count(); ++t)
      for (std::size_t layer = 0; layer < 2; ++layer)
        for (std::size_t e = 0; e < 8; ++e)
          if (mapping.expert_to_device(layer, e) == 0) tokens += trace.counts(t, layer, e);
    return tokens;
  };
  EXPECT_LT(tokens_of_first(counted), 0.7 * static_cast<double>(tokens_of_first(alone)))
      << "the fastest device gets less, because it has more to do beside";
  // Scored beside each other where they count.
  std::filesystem::rename(folder.file("map.h5"), folder.file("counted.h5"));
  const ProgramRun both =
      folder.run(map(folder, "--effort fast --mixed-steps 0 --mapping " + folder.file("counted.h5")));
  ASSERT_EQ(both.code, 0) << both.errors;
  EXPECT_EQ(column(both.output, "counted.h5", 1), column(both.output, "gem", 1));
  EXPECT_LE(column(both.output, "gem", 1), column(both.output, "paper", 1));
  EXPECT_GE(column(both.output, "gem", 1), column(both.output, "(bound)", 1));
}

TEST(MapProgram, EachBaselineCanBeWritten) {
  const TestFolder folder;
  write_inputs(folder);
  for (const std::string method : {"linear", "round-robin", "eplb", "speed-aware", "paper"}) {
    ASSERT_EQ(folder.run(map(folder, "--quiet --method " + method)).code, 0);
    EXPECT_EQ(read_mapping(folder.file("map.h5")).method, method);
  }
}

TEST(MapProgram, PacksByNodesWhereThereAreSeveral) {
  const TestFolder folder;
  write_inputs(folder);
  const ProgramRun one_node = folder.run(map(folder, "--quiet"));
  ASSERT_EQ(one_node.code, 0) << one_node.errors;
  EXPECT_EQ(one_node.output.find("eplb-hierarchical"), std::string::npos) << one_node.output;
  const ProgramRun run = folder.run(map(folder, "--nodes 2 --routing-groups 2 --method eplb-hierarchical"));
  ASSERT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("\neplb-hierarchical "), std::string::npos) << run.output;
  const Mapping mapping = read_mapping(folder.file("map.h5"));
  for (std::size_t expert = 1; expert < 8; ++expert)
    if (expert != 4) {
      EXPECT_EQ(mapping.expert_to_device(0, expert) / 2, mapping.expert_to_device(0, expert - 1) / 2);
    }
  const ProgramRun none = folder.run(map(folder, "--method eplb-hierarchical"));
  EXPECT_EQ(none.code, 2);
  EXPECT_NE(none.errors.find("state them with --nodes"), std::string::npos) << none.errors;
  const ProgramRun left_out = folder.run(map(folder, "--nodes 2 --routing-groups 1024"));
  ASSERT_EQ(left_out.code, 0) << left_out.errors;
  EXPECT_NE(left_out.output.find("eplb-hierarchical is left out"), std::string::npos) << left_out.output;
}

TEST(MapProgram, CountsTheExchangeOfNodesAndPlacesInTwoLevels) {
  const TestFolder folder;
  write_inputs(folder);
  const std::string nodes = "--nodes 2 --inside-bandwidth 50 --across-bandwidth 5 --quota speed ";
  const ProgramRun run = folder.run(map(folder, nodes + "--across-nodes node --levels 2 --routing-groups 2"));
  ASSERT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("across nodes"), std::string::npos) << run.output;
  EXPECT_NE(run.output.find("in two levels"), std::string::npos) << run.output;
  EXPECT_LE(column(run.output, "gem", 1), column(run.output, "linear", 1));
  const Mapping mapping = read_mapping(folder.file("map.h5"));
  for (std::size_t expert = 1; expert < 8; ++expert)
    if (expert != 4) {
      EXPECT_EQ(mapping.expert_to_device(1, expert) / 2, mapping.expert_to_device(1, expert - 1) / 2);
    }

  const ProgramRun online = folder.run(map(folder, nodes + "--online-exact --redundant-experts 4 --split lp"));
  ASSERT_EQ(online.code, 0) << online.errors;
  for (const std::string row : {"online-exact", "gem+online", "gem+lp", "eplb+lp"})
    EXPECT_GT(column(online.output, row, 1), 0.0) << row << online.output;
  EXPECT_NE(online.output.find("Computed, not measured"), std::string::npos) << online.output;
  std::istringstream lines(online.output.substr(0, online.output.find("Written")));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
  for (const std::string& refused : {std::string("--online-exact"), std::string("--levels 2"),
                                     nodes + "--levels 2 --redundant-experts 4", nodes + "--split lp"})
    EXPECT_EQ(folder.run(map(folder, refused)).code, 2) << refused;
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

TEST(MapProgram, TimeLimitHoldsForMovesFromARunningPlacementToo) {
  const TestFolder folder;
  write_inputs(folder);
  ASSERT_EQ(folder.run(map(folder, "--method linear")).code, 0);
  std::filesystem::rename(folder.file("map.h5"), folder.file("present.h5"));
  const auto begin = std::chrono::steady_clock::now();
  const ProgramRun run =
      folder.run(map(folder, "--iterations 1000000 --starts 1000 --time-limit 1 --from " + folder.file("present.h5")));
  ASSERT_EQ(run.code, 0) << run.errors;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
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

TEST(MapProgram, FromARunningPlacementItMovesFewExpertsAndSaysHow) {
  const TestFolder folder;
  write_inputs(folder);
  const std::string live = folder.file("live.h5");
  ASSERT_EQ(folder.run(map(folder, "--method linear") + " && mv " + folder.file("map.h5") + " " + live).code, 0);
  const std::string from = " --move-time 1e-7 --from " + live;
  const ProgramRun run = folder.run(map(folder, "--max-moves 2 --test-trace " + folder.file("test.h5") + from));
  ASSERT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("Chosen, at most 2 a layer: "), std::string::npos) << run.output;
  const Mapping before = read_mapping(live), after = read_mapping(folder.file("map.h5"));
  EXPECT_EQ(after.moved_from, live);
  ASSERT_FALSE(after.moves.empty());
  std::vector<std::vector<std::vector<std::int32_t>>> contents{slots_of(before, 0), slots_of(before, 1)};
  for (std::size_t layer = 0; layer < 2; ++layer) {
    std::int32_t buffered = -1;
    std::size_t moved = 0;
    for (std::size_t e = 0; e < 8; ++e)
      moved += before.expert_to_device(layer, e) != after.expert_to_device(layer, e) ? 1 : 0;
    EXPECT_LE(moved, 2u);
    for (const ExpertMove& move : after.moves)
      if (move.layer == static_cast<std::int32_t>(layer)) apply_move(move, contents[layer], buffered);
    for (auto& device : contents[layer]) std::ranges::sort(device);
    EXPECT_EQ(contents[layer], slots_of(after, layer)) << "the moves lead there";
  }
  // moves, experts, bytes and seconds with their units, then ms a step.
  EXPECT_LT(column(run.output, "2", 6), column(run.output, "0", 6));
  EXPECT_LE(column(run.output, "all", 6), column(run.output, "gem", 1) * 1.005) << "as good as from nothing";

  // What costs more than it brings isn't done.
  const ProgramRun stays = folder.run(map(folder, "--horizon 1 --move-time 10 --from " + live));
  ASSERT_EQ(stays.code, 0) << stays.errors;
  EXPECT_TRUE(read_mapping(folder.file("map.h5")).moves.empty()) << stays.output;
  EXPECT_EQ(read_mapping(folder.file("map.h5")).expert_to_device, before.expert_to_device);

  const ProgramRun one = folder.run(map(folder, "--quiet" + from));
  const Mapping of_one_rank = read_mapping(folder.file("map.h5"));
  const ProgramRun two = folder.run(GEM_MPIRUN_COMMAND + std::string(" -n 2 ") + map(folder, "--quiet" + from));
  ASSERT_EQ(two.code, 0) << two.errors;
  EXPECT_EQ(read_mapping(folder.file("map.h5")).moves, of_one_rank.moves) << "on any number of ranks";
}

TEST(MapProgram, MovesFromCopiesKeepAsManyOfThem) {
  const TestFolder folder;
  write_inputs(folder);
  const std::string live = folder.file("live.h5");
  ASSERT_EQ(
      folder.run(map(folder, "--method eplb --redundant-experts 4") + " && mv " + folder.file("map.h5") + " " + live)
          .code,
      0);
  const ProgramRun run = folder.run(map(folder, "--max-moves 1 --move-time 1e-7 --from " + live));
  ASSERT_EQ(run.code, 0) << run.errors;
  const Mapping after = read_mapping(folder.file("map.h5"));
  EXPECT_EQ(after.redundant_count(), 4u);
  EXPECT_LE(after.moves.size(), 2u) << "one for each layer, and no buffer";
}

TEST(MapProgram, MovesFromNothingAndMovesWithoutAPriceAreRefused) {
  const TestFolder folder;
  write_inputs(folder);
  for (const char* option : {"--max-moves 4", "--horizon 100", "--move-time 1"}) {
    const ProgramRun run = folder.run(map(folder, option));
    EXPECT_EQ(run.code, 2);
    EXPECT_NE(run.errors.find("give --from"), std::string::npos) << run.errors;
  }
  ASSERT_EQ(
      folder.run(map(folder, "--method linear") + " && mv " + folder.file("map.h5") + " " + folder.file("live.h5"))
          .code,
      0);
  const ProgramRun run = folder.run(map(folder, "--horizon 100 --from " + folder.file("live.h5")));
  EXPECT_EQ(run.code, 2);
  EXPECT_NE(run.errors.find("--move-time"), std::string::npos) << run.errors;
}

}  // namespace
}  // namespace gem
