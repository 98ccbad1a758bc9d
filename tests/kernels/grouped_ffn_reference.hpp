// The grouped FFN in f64 on the host, for chosen rows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "kernels/device_buffer.hpp"

namespace gem::test {

using Rows = std::vector<std::vector<double>>;

/// Each of `operands` [depth] times a matrix [outputs, depth], whose elements at(output, k) gives; shared out among
/// threads.
template <class At>
Rows multiply_rows(const At& at, std::size_t outputs, std::size_t depth, const Rows& operands) {
  Rows results(operands.size(), std::vector<double>(outputs));
  const std::size_t threads = outputs * depth < 100000 ? 1 : std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> pool;
  for (std::size_t t = 0; t < threads; ++t)
    pool.emplace_back([&, t] {
      std::vector<double> weights(depth);
      for (std::size_t o = t; o < outputs; o += threads) {
        for (std::size_t k = 0; k < depth; ++k) weights[k] = at(o, k);
        for (std::size_t r = 0; r < operands.size(); ++r) {
          double sums[4] = {};
          std::size_t k = 0;
          for (; k + 4 <= depth; k += 4)
            for (std::size_t i = 0; i < 4; ++i) sums[i] += weights[k + i] * operands[r][k + i];
          for (; k < depth; ++k) sums[0] += weights[k] * operands[r][k];
          results[r][o] = sums[0] + sums[1] + sums[2] + sums[3];
        }
      }
    });
  for (std::thread& thread : pool) thread.join();
  return results;
}

/// silu(gate) * up of rows [2 * intermediate], gate first.
inline Rows gated_rows(const Rows& gate_and_up) {
  Rows activations;
  for (const std::vector<double>& both : gate_and_up) {
    std::vector<double> row(both.size() / 2);
    for (std::size_t i = 0; i < row.size(); ++i) row[i] = both[i] / (1.0 + std::exp(-both[i])) * both[row.size() + i];
    activations.push_back(std::move(row));
  }
  return activations;
}

/// Output rows [row][hidden] of one expert: (silu(x Wg^T) * (x Wu^T)) Wd^T without any rounding in between.
/// gate_up [2 * intermediate, hidden] and down [hidden, intermediate] are this expert's, input rows are [hidden] bf16.
inline Rows ffn_reference(const std::uint16_t* gate_up, const std::uint16_t* down, int hidden, int intermediate,
                          const std::vector<const std::uint16_t*>& rows) {
  const auto h_count = static_cast<std::size_t>(hidden);
  const auto i_count = static_cast<std::size_t>(intermediate);
  const auto bf16_matrix = [](const std::uint16_t* matrix, std::size_t depth) {
    return [=](std::size_t o, std::size_t k) { return static_cast<double>(from_bf16(matrix[o * depth + k])); };
  };
  Rows inputs;
  for (const std::uint16_t* row : rows) {
    std::vector<double> input(h_count);
    for (std::size_t k = 0; k < h_count; ++k) input[k] = static_cast<double>(from_bf16(row[k]));
    inputs.push_back(std::move(input));
  }
  const Rows activations = gated_rows(multiply_rows(bf16_matrix(gate_up, h_count), 2 * i_count, h_count, inputs));
  return multiply_rows(bf16_matrix(down, i_count), h_count, i_count, activations);
}

}  // namespace gem::test
