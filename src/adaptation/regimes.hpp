#pragma once

#include <cstddef>
#include <vector>

#include "base/array.hpp"
#include "model/load_trace.hpp"

namespace gem {

/// Mean share of a layer's tokens that each expert gets, [layer, expert].
Matrix<double> load_shares(const LoadTrace& trace);

/// Share of the tokens that would have to go to another expert, mean over layers.
double share_distance(const Matrix<double>& a, const Matrix<double>& b);

/// Steps whose loads were alike.
struct Regime {
  Matrix<double> shares;
  std::size_t begin = 0;  ///< of the steps that are remembered of it, its last ones
  std::size_t count = 0;
};

/// What loads were like before: tasks come back, and regimes that were short are likely to be short again.
class Regimes {
 public:
  /// Steps of `trace`, which must outlive this.
  explicit Regimes(const LoadTrace& trace) : trace_(trace) {}

  /// Steps begin to end - 1 were a regime, which is over. It takes the place of one that is remembered and alike.
  void remember(std::size_t begin, std::size_t end);

  /// Devices had the same speeds for so many steps, and then others: a regime, too, of which nothing is remembered.
  void count(std::size_t steps);

  /// The one whose loads are nearest to the shares, if they are nearer than `distance`; null if none is.
  const Regime* nearest(const Matrix<double>& shares, double distance) const;

  /// Steps for which a placement is likely to be of use: the mean of what regimes lasted and of `expected`, no more
  /// than that.
  double horizon(double expected) const;

 private:
  const LoadTrace& trace_;
  std::vector<Regime> remembered_;  // the latest last
  std::size_t ended_ = 0;           // regimes
  double lasted_ = 0.0;             // steps of them
};

}  // namespace gem
