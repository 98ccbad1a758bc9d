#include "model/latency_surface.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/error.hpp"

namespace gem {
namespace {

double affine(double tiles, double active) {
  return 1e-5 + 2e-6 * tiles + 3e-6 * active;
}

std::vector<LoadPoint> grid() {
  std::vector<LoadPoint> points;
  for (std::int64_t active : {1, 4, 8})
    for (std::int64_t tiles : {1, 8, 32, 100})
      if (tiles >= active) points.push_back({tiles, active, tiles * 16});
  return points;
}

std::vector<double> latencies(const std::vector<LoadPoint>& points) {
  std::vector<double> latency;
  for (const LoadPoint& point : points)
    latency.push_back(affine(static_cast<double>(point.tiles), static_cast<double>(point.active_experts)));
  return latency;
}

TEST(LatencySurface, AffineLatencyIsExactInsideAndOutsideThePoints) {
  const std::vector<LoadPoint> points = grid();
  const LatencySurface surface(points, latencies(points), "test");
  for (double active : {1.0, 3.0, 5.0, 8.0, 12.0})
    for (double tiles : {12.0, 20.0, 50.0, 300.0})
      EXPECT_NEAR(surface.seconds(tiles, active), affine(tiles, active), 1e-12) << tiles << " " << active;
  EXPECT_EQ(surface.seconds(0, 0), 0.0);
}

TEST(LatencySurface, BilinearBetweenFourPoints) {
  const std::vector<LoadPoint> points{{10, 2, 0}, {20, 2, 0}, {10, 4, 0}, {20, 4, 0}};
  const std::vector<double> latency{1.0, 2.0, 3.0, 6.0};
  EXPECT_NEAR(LatencySurface(points, latency, "test").seconds(15, 3), (1.5 + 4.5) / 2, 1e-12);
}

TEST(LatencySurface, NoiseOfTheLastPointsDoesNotTurnWhatIsBeyondThem) {
  const std::vector<LoadPoint> points{{10, 1, 0}, {60, 1, 0}, {100, 1, 0}, {101, 1, 0}};
  const std::vector<double> latency{10.0, 60.0, 101.0, 99.0};
  const LatencySurface surface(points, latency, "test");
  EXPECT_NEAR(surface.seconds(100.5, 1), 100.0, 1e-9);
  EXPECT_NEAR(surface.seconds(201, 1), 99.0 + 100.0 * (99.0 - 60.0) / 41.0, 1e-9);
  const std::vector<double> falling{10.0, 9.0, 8.0, 7.0};
  EXPECT_EQ(LatencySurface(points, falling, "test").seconds(1000, 1), 7.0);
  EXPECT_NEAR(LatencySurface(points, falling, "test").seconds(5, 1), 10.1, 1e-9);
}

TEST(LatencySurface, RefusesWhatIsNotALatency) {
  const std::vector<LoadPoint> points{{1, 1, 16}, {2, 1, 32}};
  EXPECT_THROW(LatencySurface(points, std::vector<double>{1.0, std::nan("")}, "test"), DataError);
  EXPECT_THROW(LatencySurface(points, std::vector<double>{1.0, -1.0}, "test"), DataError);
  EXPECT_THROW(LatencySurface({}, {}, "test"), DataError);
}

TEST(LatencyCurve, FollowsThePathOfEvenSpreading) {
  const std::vector<LoadPoint> points = grid();
  const LatencyCurve curve(points, latencies(points), "test");
  EXPECT_NEAR(curve.seconds(32 * 16), affine(32, 8), 1e-12);
  EXPECT_NEAR(curve.seconds(16), affine(1, 1), 1e-12);
}

}  // namespace
}  // namespace gem
