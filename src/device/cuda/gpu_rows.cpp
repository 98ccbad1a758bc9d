#include "device/cuda/gpu_rows.hpp"

#include "base/bf16.hpp"
#include "kernels/permute.hpp"

namespace gem {
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
