// gem-map from a running placement: few moves, their price, and what is refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "files/mapping_file.hpp"
#include "files/profile_file.hpp"
#include "jobs/map/map_runs.hpp"
#include "mapping/remapping.hpp"
#include "search/move_plan.hpp"

namespace gem {
namespace {

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
  EXPECT_EQ(after.expert_bytes, expert_bytes_of(read_profile(folder.file("profile.h5"))));
  EXPECT_GT(after.expert_bytes, 0u);
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
