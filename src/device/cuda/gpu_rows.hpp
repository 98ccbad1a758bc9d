#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "platform/gpu/cuda.hpp"

namespace gem {

/// Rows of bf16 on the GPU, [row, columns], as raw 16-bit words.
class GpuRows {
 public:
  /// Room for `row_count` rows of `columns`; what was there is lost if it grows.
  void reserve(std::size_t row_count, std::size_t columns);

  std::uint16_t* data() { return words_.data(); }
  std::size_t columns() const { return columns_; }
  std::size_t byte_size() const { return words_.size() * sizeof(std::uint16_t); }

  /// Converts and copies whole rows to the start; returns when the copy is done.
  void upload(std::span<const float> values, const CudaStream& stream);
  /// The first `row_count` rows as floats; waits for the stream.
  std::vector<float> download(std::size_t row_count, const CudaStream& stream) const;
  /// Every word NaN, so that what is never written is seen. Enqueued on `stream`.
  void poison(const CudaStream& stream);

 private:
  std::size_t columns_ = 0;
  DeviceBuffer<std::uint16_t> words_;
};

/// Enqueues to[map[i, j]] = from[i] for i < count and j < choices where map is not negative; map is i32 [count,
/// choices] on the GPU.
void scatter_rows(GpuRows& from, const DeviceBuffer<std::int32_t>& map, std::size_t count, std::size_t choices,
                  GpuRows& to, const CudaStream& stream);

/// Enqueues to[i] = sum over j of weights[i, j] * from[map[i, j]], summed in f32 in the order of j.
void gather_rows(GpuRows& from, const DeviceBuffer<std::int32_t>& map, const DeviceBuffer<float>& weights,
                 std::size_t count, std::size_t choices, GpuRows& to, const CudaStream& stream);

}  // namespace gem
