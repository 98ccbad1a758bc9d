#include "adaptation/regimes.hpp"

#include <algorithm>
#include <cmath>

namespace gem {
namespace {

constexpr std::size_t max_remembered = 8;
constexpr std::size_t max_steps = 256;  // of one
constexpr std::size_t min_steps = 64;   // fewer tell too little to be searched on later

// Share of tokens by which regimes differ that are one and the same.
constexpr double alike = 0.05;

}  // namespace

Matrix<double> load_shares(const LoadTrace& trace) {
  Matrix<double> shares(trace.layer_count(), trace.expert_count());
  for (std::size_t layer = 0; layer < shares.rows(); ++layer) {
    double sum = 0.0;
    for (std::size_t step = 0; step < trace.step_count(); ++step)
      for (std::size_t expert = 0; expert < shares.columns(); ++expert) {
        shares(layer, expert) += trace.counts(step, layer, expert);
        sum += trace.counts(step, layer, expert);
      }
    if (sum > 0.0)
      for (double& share : shares.row(layer)) share /= sum;
  }
  return shares;
}

double share_distance(const Matrix<double>& a, const Matrix<double>& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.values().size(); ++i) sum += std::abs(a.values()[i] - b.values()[i]);
  return sum / 2.0 / static_cast<double>(a.rows());
}

void Regimes::remember(std::size_t begin, std::size_t end) {
  if (end <= begin) return;
  this->count(end - begin);
  const std::size_t count = std::min(end - begin, max_steps);
  if (count < min_steps) return;
  Regime regime{load_shares(steps_of(trace_, end - count, count)), end - count, count};
  std::erase_if(remembered_, [&](const Regime& old) { return share_distance(old.shares, regime.shares) < alike; });
  if (remembered_.size() == max_remembered) remembered_.erase(remembered_.begin());
  remembered_.push_back(std::move(regime));
}

void Regimes::count(std::size_t steps) {
  ++ended_;
  lasted_ += static_cast<double>(steps);
}

const Regime* Regimes::nearest(const Matrix<double>& shares, double distance) const {
  const Regime* nearest = nullptr;
  for (const Regime& regime : remembered_)
    if (const double own = share_distance(shares, regime.shares); own < distance) {
      distance = own;
      nearest = &regime;
    }
  return nearest;
}

double Regimes::horizon(double expected) const {
  return std::min(expected, (expected + lasted_) / static_cast<double>(1 + ended_));
}

}  // namespace gem
