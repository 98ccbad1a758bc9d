#include "adaptation/regimes.hpp"

#include <gtest/gtest.h>

namespace gem {
namespace {

// 100 steps each of two tasks, again and again: the first uses experts 0 and 1, the second experts 2 and 3.
LoadTrace alternating(std::size_t steps) {
  LoadTrace trace;
  trace.layer_ids = {0};
  trace.counts = Cube<std::uint32_t>(steps, 1, 4);
  for (std::size_t step = 0; step < steps; ++step)
    for (std::size_t expert = 0; expert < 2; ++expert) trace.counts(step, 0, expert + 2 * (step / 100 % 2)) = 8;
  return trace;
}

TEST(Regimes, TheNearestIsFoundIfItIsNearEnough) {
  const LoadTrace trace = alternating(400);
  Regimes regimes(trace);
  regimes.remember(0, 100);
  regimes.remember(100, 200);
  const Matrix<double> shares = load_shares(steps_of(trace, 210, 16));
  const Regime* found = regimes.nearest(shares, 0.5);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->begin, 0u);
  EXPECT_EQ(found->count, 100u);
  EXPECT_EQ(regimes.nearest(shares, 0.0), nullptr) << "nothing is nearer than what is the same";
}

TEST(Regimes, ATaskThatComesBackTakesThePlaceOfItself) {
  const LoadTrace trace = alternating(400);
  Regimes regimes(trace);
  for (std::size_t begin = 0; begin < 400; begin += 100) regimes.remember(begin, begin + 100);
  EXPECT_EQ(regimes.nearest(load_shares(steps_of(trace, 0, 16)), 1.0)->begin, 200u);
  EXPECT_EQ(regimes.nearest(load_shares(steps_of(trace, 100, 16)), 1.0)->begin, 300u);
}

TEST(Regimes, ShortOnesMakeTheHorizonShortButAreNotRemembered) {
  const LoadTrace trace = alternating(400);
  Regimes regimes(trace);
  EXPECT_EQ(regimes.horizon(1000), 1000.0) << "without experience as was said";
  for (std::size_t begin = 0; begin < 90; begin += 30) regimes.remember(begin, begin + 30);
  EXPECT_EQ(regimes.horizon(1000), 1090.0 / 4.0);
  EXPECT_EQ(regimes.nearest(load_shares(trace), 1.0), nullptr);
  regimes.remember(0, 400);
  regimes.count(10);
  EXPECT_EQ(regimes.horizon(1000), 1500.0 / 6.0) << "speeds that were others soon count as well";
  EXPECT_LE(regimes.horizon(100), 100.0) << "never longer than was said";
}

}  // namespace
}  // namespace gem
