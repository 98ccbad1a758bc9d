// One fp8 layer of the grouped FFN for tests: random bf16 weights and tokens, quantised on the device, and what the
// host needs to know of them.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "kernels/device_buffer.hpp"
#include "kernels/grouped_ffn.hpp"
#include "kernels/grouped_ffn_paths.hpp"
#include "kernels/grouped_ffn_reference.hpp"
#include "kernels/quantise.hpp"
#include "kernels/random_values.hpp"

namespace gem::test {

/// Value of an e4m3 number: 1 bit of sign, 4 of exponent (bias 7), 3 of mantissa; 0x7f and 0xff are NaN.
inline double from_e4m3(std::uint8_t value) {
  static const std::array<double, 256> values = [] {
    std::array<double, 256> all{};
    for (int i = 0; i < 256; ++i) {
      const int exponent = i >> 3 & 15;
      const int mantissa = i & 7;
      double magnitude = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
      if (exponent == 15 && mantissa == 7) magnitude = std::nan("");
      all[static_cast<std::size_t>(i)] = i >= 128 ? -magnitude : magnitude;
    }
    return all;
  }();
  return values[value];
}

/// Half the distance of e4m3 numbers around `value`, which is at most 448.
inline double half_step_e4m3(double value) {
  const int exponent = std::max(-6, static_cast<int>(std::floor(std::log2(std::max(std::abs(value), 1e-6)))));
  return std::ldexp(1.0, exponent - 4);
}

/// Experts without rows have poisoned weights and scales; rows behind the last expert's are poisoned too.
class Fp8Layer {
 public:
  Fp8Layer(int hidden, int intermediate, std::vector<int> rows, std::uint32_t seed)
      : shape_{static_cast<int>(rows.size()), hidden, intermediate, kernels::FfnType::fp8},
        hidden_(size(hidden)),
        intermediate_(size(intermediate)),
        rows_(std::move(rows)),
        offsets_(offsets_of(rows_)),
        max_rows_(offsets_.back() + 5),
        stride_(size(kernels::token_scale_stride(max_rows_))),
        gate_up_(rows_.size() * 2 * intermediate_ * hidden_),
        down_(rows_.size() * hidden_ * intermediate_),
        gate_up_scales_(gate_up_.bytes() / (128 * 128)),
        down_scales_(down_.bytes() / (128 * 128)),
        bf16_gate_up_(gate_up_.bytes()),
        bf16_down_(down_.bytes()),
        bf16_input_(size(max_rows_) * hidden_),
        input_(size(max_rows_) * hidden_),
        input_scales_(stride_ * hidden_ / 128),
        output_(size(max_rows_) * hidden_),
        workspace_(kernels::grouped_ffn_workspace_bytes(shape_, max_rows_)),
        device_offsets_(offsets_) {
    const float scale = std::sqrt(3.0f);  // uniform in [-s, s) has the standard deviation s / sqrt(3)
    for (std::size_t e = 0; e < rows_.size(); ++e) {
      if (rows_[e] == 0) continue;
      const auto salt = seed * 1000 + static_cast<std::uint32_t>(e) * 2;
      make_weights(e, 2 * intermediate_, hidden_, scale / std::sqrt(static_cast<float>(hidden)), salt, bf16_gate_up_,
                   gate_up_, gate_up_scales_);
      make_weights(e, hidden_, intermediate_, scale / std::sqrt(static_cast<float>(intermediate)), salt + 1, bf16_down_,
                   down_, down_scales_);
    }
    check(kernels::launch_random_bf16(bf16_input_.get(), size(offsets_.back()) * hidden_, scale, seed + 77, nullptr),
          "random tokens");
    check(kernels::launch_quantise_rows(bf16_input_.get(), offsets_.back(), hidden, input_.get(), input_scales_.get(),
                                        static_cast<std::int64_t>(stride_), nullptr),
          "quantise tokens");
  }

  kernels::GroupedFfnArguments arguments(int tile_tokens, kernels::FfnPath path, int variant = 0) const {
    kernels::GroupedFfnArguments a;
    a.shape = shape_;
    a.gate_up = gate_up_.get();
    a.gate_up_scales = gate_up_scales_.get();
    a.down = down_.get();
    a.down_scales = down_scales_.get();
    a.input = input_.get();
    a.input_scales = input_scales_.get();
    a.offsets = device_offsets_.get();
    a.output = output_.get();
    a.workspace = workspace_.get();
    a.max_rows = max_rows_;
    a.tile_tokens = tile_tokens;
    a.path = path;
    a.variant = variant;
    return a;
  }

  void poison_output() { output_.poison(); }
  void poison_workspace() { workspace_.poison(); }
  std::vector<std::uint16_t> output() const { return output_.host(); }
  const std::vector<int>& rows() const { return rows_; }
  std::size_t row_count() const { return size(offsets_.back()); }
  std::size_t hidden() const { return hidden_; }
  std::size_t intermediate() const { return intermediate_; }
  std::size_t scale_stride() const { return stride_; }

  /// Other rows of the same total; every expert had rows before, so all weights are there.
  void set_rows(const std::vector<int>& rows) {
    rows_ = rows;
    offsets_ = offsets_of(rows);
    check(cudaMemcpy(device_offsets_.get(), offsets_.data(), device_offsets_.bytes(), cudaMemcpyHostToDevice),
          "offsets");
  }

  /// At most `most` rows of an expert: first, last and between.
  std::vector<std::size_t> chosen_rows(std::size_t expert, int most) const {
    std::vector<std::size_t> chosen;
    const int count = std::min(rows_[expert], most);
    for (int i = 0; i < count; ++i)
      chosen.push_back(size(offsets_[expert]) + (count == 1 ? 0 : size(i) * size(rows_[expert] - 1) / size(count - 1)));
    return chosen;
  }

  /// Activations of chosen rows in f64, from the quantised operands.
  Rows activation_reference(std::size_t expert, const std::vector<std::size_t>& chosen) const {
    const std::vector<std::uint8_t> values = input_.host();
    const std::vector<float> scales = input_scales_.host();
    return gated_rows(multiply_rows([m = matrix(gate_up_, gate_up_scales_, expert, 2 * intermediate_, hidden_)](
                                        std::size_t o, std::size_t k) { return m.at(o, k); },
                                    2 * intermediate_, hidden_,
                                    dequantised_rows(values.data(), scales.data(), hidden_, chosen)));
  }

  /// Outputs of rows of activations, in f64.
  Rows down_reference(std::size_t expert, const Rows& activations) const {
    return multiply_rows([m = matrix(down_, down_scales_, expert, hidden_, intermediate_)](
                             std::size_t o, std::size_t k) { return m.at(o, k); },
                         hidden_, intermediate_, activations);
  }

  /// Outputs of chosen rows in f64 as if nothing had been quantised.
  Rows unquantised_reference(std::size_t expert, const std::vector<std::size_t>& chosen) const {
    const std::size_t count = hidden_ * intermediate_;
    const std::vector<std::uint16_t> input = bf16_input_.host();
    const std::vector<std::uint16_t> gate_up = part(bf16_gate_up_, expert * 2 * count, 2 * count);
    const std::vector<std::uint16_t> down = part(bf16_down_, expert * count, count);
    std::vector<const std::uint16_t*> inputs;
    for (const std::size_t row : chosen) inputs.push_back(input.data() + row * hidden_);
    return ffn_reference(gate_up.data(), down.data(), shape_.hidden, shape_.intermediate, inputs);
  }

  /// Chosen rows of e4m3 [rows, columns] with their scales [columns / 128, stride].
  Rows dequantised_rows(const std::uint8_t* values, const float* scales, std::size_t columns,
                        const std::vector<std::size_t>& chosen) const {
    Rows result;
    for (const std::size_t row : chosen) {
      std::vector<double> values_of_row(columns);
      for (std::size_t k = 0; k < columns; ++k)
        values_of_row[k] = from_e4m3(values[row * columns + k]) * static_cast<double>(scales[k / 128 * stride_ + row]);
      result.push_back(std::move(values_of_row));
    }
    return result;
  }

 private:
  // One expert's matrix on the host.
  struct Matrix {
    std::vector<std::uint8_t> values;
    std::vector<float> scales;
    std::size_t depth;
    double at(std::size_t o, std::size_t k) const {
      return from_e4m3(values[o * depth + k]) * static_cast<double>(scales[o / 128 * (depth / 128) + k / 128]);
    }
  };

  static std::size_t size(std::int64_t value) { return static_cast<std::size_t>(value); }
  static std::vector<std::int32_t> offsets_of(const std::vector<int>& rows) {
    std::vector<std::int32_t> offsets(rows.size() + 1, 0);
    std::partial_sum(rows.begin(), rows.end(), offsets.begin() + 1);
    return offsets;
  }

  template <class T>
  static std::vector<T> part(const DeviceBuffer<T>& buffer, std::size_t first, std::size_t count) {
    std::vector<T> values(count);
    check(cudaMemcpy(values.data(), buffer.get() + first, count * sizeof(T), cudaMemcpyDeviceToHost), "copy");
    return values;
  }

  static Matrix matrix(const DeviceBuffer<std::uint8_t>& values, const DeviceBuffer<float>& scales, std::size_t expert,
                       std::size_t height, std::size_t depth) {
    const std::size_t count = height * depth;
    const std::size_t blocks = count / (128 * 128);
    return {part(values, expert * count, count), part(scales, expert * blocks, blocks), depth};
  }

  static void make_weights(std::size_t expert, std::size_t height, std::size_t depth, float amplitude,
                           std::uint32_t seed, const DeviceBuffer<std::uint16_t>& bf16,
                           const DeviceBuffer<std::uint8_t>& values, const DeviceBuffer<float>& scales) {
    const std::size_t count = height * depth;
    check(kernels::launch_random_bf16(bf16.get() + expert * count, count, amplitude, seed, nullptr), "random weights");
    check(kernels::launch_quantise_weights(bf16.get() + expert * count, static_cast<std::int64_t>(height),
                                           static_cast<int>(depth), values.get() + expert * count,
                                           scales.get() + expert * (count / (128 * 128)), nullptr),
          "quantise weights");
  }

  kernels::GroupedFfnShape shape_;
  std::size_t hidden_;
  std::size_t intermediate_;
  std::vector<int> rows_;
  std::vector<std::int32_t> offsets_;
  std::int64_t max_rows_;
  std::size_t stride_;
  DeviceBuffer<std::uint8_t> gate_up_;
  DeviceBuffer<std::uint8_t> down_;
  DeviceBuffer<float> gate_up_scales_;
  DeviceBuffer<float> down_scales_;
  DeviceBuffer<std::uint16_t> bf16_gate_up_;
  DeviceBuffer<std::uint16_t> bf16_down_;
  DeviceBuffer<std::uint16_t> bf16_input_;
  DeviceBuffer<std::uint8_t> input_;
  DeviceBuffer<float> input_scales_;
  DeviceBuffer<std::uint16_t> output_;
  DeviceBuffer<unsigned char> workspace_;
  DeviceBuffer<std::int32_t> device_offsets_;
};

}  // namespace gem::test
