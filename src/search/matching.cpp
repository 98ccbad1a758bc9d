#include "search/matching.hpp"

#include <algorithm>

namespace gem {

// Rows join one after the other along the cheapest path of exchanges; potentials keep reduced costs at 0 or more.
// Row and column 0 stand for "none".
std::vector<std::size_t> best_matching(const Matrix<std::int64_t>& gain) {
  const std::size_t count = gain.rows();
  std::vector<std::int64_t> row_potential(count + 1, 0), column_potential(count + 1, 0);
  std::vector<std::size_t> row_of(count + 1, 0), before(count + 1, 0);
  for (std::size_t row = 1; row <= count; ++row) {
    row_of[0] = row;
    std::size_t column = 0;
    std::vector<std::int64_t> distance(count + 1, INT64_MAX);
    std::vector<bool> reached(count + 1, false);
    while (row_of[column] != 0) {
      reached[column] = true;
      const std::size_t from = row_of[column];
      std::size_t nearest = 0;
      for (std::size_t to = 1; to <= count; ++to) {
        if (reached[to]) continue;
        const std::int64_t reduced = -gain(from - 1, to - 1) - row_potential[from] - column_potential[to];
        if (reduced < distance[to]) {
          distance[to] = reduced;
          before[to] = column;
        }
        if (nearest == 0 || distance[to] < distance[nearest]) nearest = to;
      }
      const std::int64_t step = distance[nearest];
      for (std::size_t to = 0; to <= count; ++to) {
        if (reached[to]) {
          row_potential[row_of[to]] += step;
          column_potential[to] -= step;
        } else if (distance[to] != INT64_MAX) {
          distance[to] -= step;
        }
      }
      column = nearest;
    }
    for (; column != 0; column = before[column]) row_of[column] = row_of[before[column]];
  }
  std::vector<std::size_t> column_of(count);
  for (std::size_t column = 1; column <= count; ++column) column_of[row_of[column] - 1] = column - 1;
  return column_of;
}

}  // namespace gem
