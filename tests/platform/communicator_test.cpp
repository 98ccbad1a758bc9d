#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include <numeric>

#include "platform/host/host_info.hpp"
#include "platform/mpi/mpi.hpp"

namespace gem {
namespace {

TEST(Communicator, CollectivesReturnValues) {
  const Communicator world = Communicator::world();
  EXPECT_EQ(world.sum(std::int64_t{1}), world.size());
  EXPECT_EQ(world.max(world.rank()), world.size() - 1);
  EXPECT_EQ(world.broadcast(world.is_root() ? 42 : 0), 42);
  std::vector<double> values;
  if (world.is_root()) values = {1.5, 2.5, 3.5};
  world.broadcast(values);
  EXPECT_EQ(values, (std::vector<double>{1.5, 2.5, 3.5}));
}

TEST(Communicator, GatherKeepsTheOrderOfRanks) {
  const Communicator world = Communicator::world();
  const std::vector<std::int32_t> mine(static_cast<std::size_t>(world.rank()), world.rank());
  const std::vector<std::int32_t> all = world.gather(std::span<const std::int32_t>(mine));
  const std::vector<std::string> names = world.gather(std::string(static_cast<std::size_t>(world.rank()), 'x'));
  if (!world.is_root()) return;
  std::vector<std::int32_t> expected;
  for (std::int32_t r = 0; r < world.size(); ++r) expected.insert(expected.end(), static_cast<std::size_t>(r), r);
  EXPECT_EQ(all, expected);
  ASSERT_EQ(names.size(), static_cast<std::size_t>(world.size()));
  EXPECT_EQ(names.back(), std::string(static_cast<std::size_t>(world.size() - 1), 'x'));
}

TEST(Communicator, RanksOfOneHostAreOnOneNode) {
  const Communicator world = Communicator::world();
  EXPECT_EQ(world.nodes_of_ranks(), std::vector<std::int32_t>(static_cast<std::size_t>(world.size()), 0));
  EXPECT_EQ(world.node_place().first_rank, 0);
}

TEST(Communicator, TwoRanksSwapBytes) {
  const Communicator world = Communicator::world();
  const int peer = world.rank() ^ 1;
  if (peer >= world.size()) return;
  const std::vector<std::byte> sent(5, static_cast<std::byte>(world.rank() + 1));
  std::vector<std::byte> received(5);
  world.swap(peer, sent, received);
  EXPECT_EQ(received, std::vector<std::byte>(5, static_cast<std::byte>(peer + 1)));
}

TEST(Communicator, AnErrorOnOneRankIsThrownByAll) {
  const Communicator world = Communicator::world();
  const int guilty = world.size() - 1;
  try {
    world.on_all([&] {
      if (world.rank() == guilty) throw DataError("profile.h5: bad");
    });
    FAIL();
  } catch (const AgreedError& error) {
    EXPECT_EQ(error.code(), ExitCode::BadData);
    EXPECT_STREQ(error.what(), "profile.h5: bad");
  }
  EXPECT_EQ(world.sum(1), world.size()) << "the ranks must still agree on the next collective";
}

TEST(Communicator, ABarrierLosesPatienceWithAMissingRank) {
  const Communicator world = Communicator::world();
  world.barrier();
  if (world.size() == 1) GTEST_SKIP() << "needs two ranks";
  if (world.is_root()) {
    try {
      world.barrier(0.2);
      FAIL();
    } catch (const SystemError& error) {
      const std::string message = error.what();
      EXPECT_NE(message.find("rank 1 on " + host_name()), std::string::npos) << message;
    }
  } else {
    std::this_thread::sleep_for(std::chrono::milliseconds(800));  // silent, as if it was stopped
  }
  if (!world.is_root()) world.barrier(30.0);  // the others arrive late, and complete what rank 0 gave up
  world.sum(1);
}

TEST(Communicator, ARankAtWorkIsWaitedForHoweverLong) {
  const Communicator world = Communicator::world();
  if (world.rank() == world.size() - 1)
    for (int i = 0; i < 800; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      sign_of_life();
    }
  EXPECT_NO_THROW(world.barrier(6.0));
}

}  // namespace
}  // namespace gem
