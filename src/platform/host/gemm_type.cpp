#include <cstdint>
#include <cstring>

#include "base/bf16.hpp"
#include "platform/host/gemm.hpp"

namespace gem {

std::string to_string(GemmType type) {
  return type == GemmType::F32 ? "f32" : "bf16";
}

std::size_t element_bytes(GemmType type) {
  return type == GemmType::F32 ? sizeof(float) : sizeof(std::uint16_t);
}

void store_elements(std::span<const float> values, GemmType type, std::byte* elements) {
  if (type == GemmType::F32) {
    std::memcpy(elements, values.data(), values.size_bytes());
    return;
  }
  auto* out = reinterpret_cast<std::uint16_t*>(elements);
  for (std::size_t i = 0; i < values.size(); ++i) out[i] = to_bf16(values[i]);
}

}  // namespace gem
