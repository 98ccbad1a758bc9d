// What gem-map counts beside the routed experts: the exchange, inside and between nodes, and shared experts.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "files/mapping_file.hpp"
#include "files/profile_file.hpp"
#include "files/trace_file.hpp"
#include "jobs/map/map_runs.hpp"
#include "search/move_plan.hpp"

namespace gem {
namespace {

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

}  // namespace
}  // namespace gem
