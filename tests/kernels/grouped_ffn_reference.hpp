// The grouped FFN in f64 on the host, for chosen rows.
#pragma once

#include <cmath>
#include <cstdint>
#include <thread>
#include <vector>

#include "kernels/device_buffer.hpp"

namespace gem::test {

/// Output rows [row][hidden] of one expert: (silu(x Wg^T) * (x Wu^T)) Wd^T without any rounding in between.
/// gate_up [2 * intermediate, hidden] and down [hidden, intermediate] are this expert's, input rows are [hidden] bf16.
inline std::vector<std::vector<double>> ffn_reference(const std::uint16_t* gate_up, const std::uint16_t* down,
                                                      int hidden, int intermediate,
                                                      const std::vector<const std::uint16_t*>& rows) {
  const auto h_count = static_cast<std::size_t>(hidden);
  const auto i_count = static_cast<std::size_t>(intermediate);
  // Rows of `matrix` times each of `operands`, shared out among threads.
  const auto multiply = [](const std::uint16_t* matrix, std::size_t outputs, std::size_t depth,
                           const std::vector<std::vector<double>>& operands) {
    std::vector<std::vector<double>> results(operands.size(), std::vector<double>(outputs));
    const std::size_t threads = outputs * depth < 100000 ? 1 : std::max(1u, std::thread::hardware_concurrency());
    std::vector<std::thread> pool;
    for (std::size_t t = 0; t < threads; ++t)
      pool.emplace_back([&, t] {
        std::vector<double> weights(depth);
        for (std::size_t o = t; o < outputs; o += threads) {
          for (std::size_t k = 0; k < depth; ++k) weights[k] = static_cast<double>(from_bf16(matrix[o * depth + k]));
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
  };

  std::vector<std::vector<double>> inputs;
  for (const std::uint16_t* row : rows) {
    std::vector<double> input(h_count);
    for (std::size_t k = 0; k < h_count; ++k) input[k] = static_cast<double>(from_bf16(row[k]));
    inputs.push_back(std::move(input));
  }
  const auto gate_and_up = multiply(gate_up, 2 * i_count, h_count, inputs);
  std::vector<std::vector<double>> activations(rows.size(), std::vector<double>(i_count));
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::size_t i = 0; i < i_count; ++i) {
      const double gate = gate_and_up[r][i];
      activations[r][i] = gate / (1.0 + std::exp(-gate)) * gate_and_up[r][i_count + i];
    }
  return multiply(down, h_count, i_count, activations);
}

}  // namespace gem::test
