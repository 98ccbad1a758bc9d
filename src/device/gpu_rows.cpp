#include "device/gpu_rows.hpp"

#include <bit>

#include "kernels/permute.hpp"

namespace gem {
namespace {

// bf16 is the upper half of an f32; rounds to nearest, ties to even. No NaN comes here.
std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

float from_bf16(std::uint16_t word) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(word) << 16);
}

}  // namespace

void GpuRows::reserve(std::size_t row_count, std::size_t columns) {
  columns_ = columns;
  words_.reserve(row_count * columns);
}

void GpuRows::upload(std::span<const float> values, const CudaStream& stream) {
  std::vector<std::uint16_t> words;
  words.reserve(values.size());
  for (const float value : values) words.push_back(to_bf16(value));
  words_.upload(words, stream.handle());
  stream.synchronize();
}

std::vector<float> GpuRows::download(std::size_t row_count, const CudaStream& stream) const {
  std::vector<std::uint16_t> words(row_count * columns_);
  words_.download(words, stream.handle());
  std::vector<float> values;
  values.reserve(words.size());
  for (const std::uint16_t word : words) values.push_back(from_bf16(word));
  return values;
}

void GpuRows::poison(const CudaStream& stream) {
  check_cuda(cudaMemsetAsync(words_.data(), 0xff, byte_size(), stream.handle()), "poisoning rows");
}

void scatter_rows(GpuRows& from, const DeviceBuffer<std::int32_t>& map, std::size_t count, std::size_t choices,
                  GpuRows& to, const CudaStream& stream) {
  if (count == 0) return;
  check_cuda(
      kernels::launch_permute(from.data(), map.data(), static_cast<std::int64_t>(count), static_cast<int>(choices),
                              static_cast<int>(from.columns()), to.data(), stream.handle()),
      "scattering rows");
}

void gather_rows(GpuRows& from, const DeviceBuffer<std::int32_t>& map, const DeviceBuffer<float>& weights,
                 std::size_t count, std::size_t choices, GpuRows& to, const CudaStream& stream) {
  if (count == 0) return;
  check_cuda(kernels::launch_unpermute(from.data(), map.data(), weights.data(), static_cast<std::int64_t>(count),
                                       static_cast<int>(choices), static_cast<int>(from.columns()), to.data(),
                                       stream.handle()),
             "gathering rows");
}

}  // namespace gem
