#include "device/cuda/gpu_expert_matrix.hpp"

#include <cmath>

#include "kernels/quantise.hpp"
#include "kernels/random_values.hpp"

namespace gem {

using kernels::FfnType;

GpuExpertMatrix::GpuExpertMatrix(FfnType type, std::size_t slots, std::size_t rows, std::size_t columns)
    : type_(type),
      rows_(rows),
      columns_(columns),
      slot_bytes_(rows * columns * (type == FfnType::fp8 ? 1 : sizeof(std::uint16_t))),
      values_(slots * slot_bytes_),
      scales_(slots * scale_count()) {}

std::size_t GpuExpertMatrix::scale_count() const {
  return scale_bytes(type_, rows_ * columns_) / sizeof(float);
}

std::size_t GpuExpertMatrix::scale_bytes(FfnType type, std::size_t weights) {
  constexpr std::size_t block = kernels::kScaleBlock;
  return type == FfnType::fp8 ? weights / (block * block) * sizeof(float) : 0;
}

std::vector<std::span<std::byte>> GpuExpertMatrix::pieces(std::size_t slot) {
  std::vector<std::span<std::byte>> pieces{
      {reinterpret_cast<std::byte*>(values_.data() + slot * slot_bytes_), slot_bytes_}};
  if (type_ == FfnType::fp8)
    pieces.push_back(std::as_writable_bytes(std::span(scales_.data() + slot * scale_count(), scale_count())));
  return pieces;
}

void GpuExpertMatrix::fill(std::size_t slot, std::uint32_t seed, DeviceBuffer<std::uint16_t>& scratch,
                           const CudaStream& stream) {
  const auto amplitude = static_cast<float>(std::sqrt(3.0 / static_cast<double>(columns_)));  // uniform
  unsigned char* values = values_.data() + slot * slot_bytes_;
  const bool quantised = type_ == FfnType::fp8;
  if (quantised) scratch.reserve(rows_ * columns_);
  check_cuda(kernels::launch_random_bf16(quantised ? static_cast<void*>(scratch.data()) : values, rows_ * columns_,
                                         amplitude, seed, stream.handle()),
             "making weights");
  if (quantised)
    check_cuda(
        kernels::launch_quantise_weights(scratch.data(), static_cast<std::int64_t>(rows_), static_cast<int>(columns_),
                                         values, scales_.data() + slot * scale_count(), stream.handle()),
        "quantising weights");
}

void GpuExpertMatrix::copy(std::size_t slot, const GpuExpertMatrix& from, std::size_t from_slot,
                           const CudaStream& stream) {
  check_cuda(cudaMemcpyAsync(values_.data() + slot * slot_bytes_, from.values_.data() + from_slot * slot_bytes_,
                             slot_bytes_, cudaMemcpyDeviceToDevice, stream.handle()),
             "moving weights");
  if (type_ == FfnType::fp8)
    check_cuda(cudaMemcpyAsync(scales_.data() + slot * scale_count(), from.scales_.data() + from_slot * scale_count(),
                               scale_count() * sizeof(float), cudaMemcpyDeviceToDevice, stream.handle()),
               "moving weights");
}

}  // namespace gem
