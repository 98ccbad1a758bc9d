#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/grouped_ffn.hpp"
#include "platform/gpu/cuda.hpp"

namespace gem {

/// One matrix [rows, columns] of every expert of a layer, slot by slot on the GPU, in the type that the kernels read:
/// bf16, or e4m3 with a scale for each block of 128 x 128 (both sizes are then multiples of 128).
class GpuExpertMatrix {
 public:
  GpuExpertMatrix() = default;
  GpuExpertMatrix(kernels::FfnType type, std::size_t slots, std::size_t rows, std::size_t columns);

  /// Enqueues random weights with mean 0 and variance 1 / columns, a function of `seed` alone; quantised from bf16 in
  /// `scratch`, which is used only if it has to be.
  void fill(std::size_t slot, std::uint32_t seed, DeviceBuffer<std::uint16_t>& scratch, const CudaStream& stream);

  /// Enqueues a copy of one slot of a matrix of the same type and sizes.
  void copy(std::size_t slot, const GpuExpertMatrix& from, std::size_t from_slot, const CudaStream& stream);

  /// Memory of one slot: its values and, of fp8, its scales.
  std::vector<std::span<std::byte>> pieces(std::size_t slot);
  /// Of so many weights, whatever their matrices.
  static std::size_t scale_bytes(kernels::FfnType type, std::size_t weights);

  const void* values() const { return values_.data(); }
  /// Null for bf16.
  const float* scales() const { return scales_.data(); }

 private:
  std::size_t scale_count() const;  // of one slot

  kernels::FfnType type_ = kernels::FfnType::bf16;
  std::size_t rows_ = 0;
  std::size_t columns_ = 0;
  std::size_t slot_bytes_ = 0;
  DeviceBuffer<unsigned char> values_;
  DeviceBuffer<float> scales_;
};

}  // namespace gem
