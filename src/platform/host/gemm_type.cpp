#include <cstdint>
#include <cstring>

#include "base/bf16.hpp"
#include "base/error.hpp"
#include "platform/host/gemm.hpp"

namespace gem {

GemmType parse_gemm_type(const std::string& word, const std::string& what) {
  if (word == "f32") return GemmType::F32;
  if (word == "bf16") return GemmType::Bf16;
  throw UsageError(what + ": '" + word + "' is neither bf16 nor f32");
}

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
