// The table of pairs as a user sees it.
#include "batch/board.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <regex>
#include <string>
#include <thread>

namespace gem {
namespace {

void wait_ms(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

/// What rank 0 prints while the last rank tells of its pairs.
template <class Work>
std::string printed(std::size_t pair_count, bool live, const Work& work) {
  const Communicator world = Communicator::world();
  std::vector<std::string> names;
  for (std::size_t pair = 0; pair < pair_count; ++pair) names.push_back("model/" + std::to_string(pair));
  if (world.is_root()) testing::internal::CaptureStdout();
  {
    Board board(world, names, true, live);
    if (world.rank() == world.size() - 1) work(board);
    world.barrier();
    board.wait_for_all();
    world.barrier();  // what the next board tells is not for this one
  }
  return world.is_root() ? testing::internal::GetCapturedStdout() : "";
}

TEST(Board, TimesAreThoseOfWhoDidTheWork) {
  const std::string text = printed(1, false, [](Board& board) {
    board.begin(0);
    wait_ms(120);
    board.report(0, PairState::Profiling);
    wait_ms(120);
    board.report(0, PairState::Done);
    wait_ms(700);  // rank 0 hears of it later
  });
  if (!Communicator::world().is_root()) return;
  std::smatch match;
  ASSERT_TRUE(std::regex_search(text, match, std::regex("^1/1  model/0  done  ([0-9.]+) ms\n$"))) << text;
  EXPECT_GE(std::stod(match[1]), 240.0) << "from the beginning, not from the first report";
  EXPECT_LT(std::stod(match[1]), 700.0) << text;
}

TEST(Board, InterruptedPairsAreOneLineInALog) {
  const std::string text = printed(4, false, [](Board& board) {
    board.begin(0);
    board.report(0, PairState::Kept);
    for (std::size_t pair = 1; pair < 4; ++pair) {
      board.begin(pair);
      board.report(pair, PairState::Interrupted);
    }
  });
  EXPECT_EQ(text, Communicator::world().is_root() ? "1/4  model/0  kept  -\n3 of 4 pairs interrupted\n" : "");
}

TEST(Board, TheClockOfALiveTableGoesOnWithinAStage) {
  const std::string text = printed(2, true, [](Board& board) {
    board.begin(0);
    board.report(0, PairState::Profiling);
    if (Communicator::world().is_root()) wait_ms(2500);
    board.report(0, PairState::Done);
    board.begin(1);
    board.report(1, PairState::Interrupted);
  });
  if (!Communicator::world().is_root()) return;
  EXPECT_NE(text.find("profiling"), std::string::npos) << text;
  EXPECT_NE(text.find("1 of 2 pairs, 1 interrupted"), std::string::npos) << text;
  EXPECT_EQ(text.find("model/1"), std::string::npos) << text;
  EXPECT_EQ(text.find("\033[J"), std::string::npos) << "tmux keeps a copy of what is cleared at once";
  if (Communicator::world().size() > 1) return;  // the others' clocks go on as rank 0 last heard of them
  EXPECT_TRUE(std::regex_search(text, std::regex("model/0 +profiling +1\\.[0-9]"))) << text;
  EXPECT_TRUE(std::regex_search(text, std::regex("model/0 +profiling +2\\.[0-9]"))) << text;
}

}  // namespace
}  // namespace gem
