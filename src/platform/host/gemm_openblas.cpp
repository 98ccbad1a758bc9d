#include <cblas.h>

#include <vector>

#include "base/error.hpp"
#include "platform/host/gemm.hpp"

namespace gem {

struct Gemm::Weights::Storage {
  std::vector<float> values;  // [n, k]
};

std::string gemm_library() {
  // "OpenBLAS 0.3.21 NO_AFFINITY ...": name and version suffice.
  const std::string configuration = openblas_get_config();
  return configuration.substr(0, configuration.find(' ', configuration.find(' ') + 1));
}

bool gemm_has(GemmType type) {
  return type == GemmType::F32;
}

void use_one_gemm_thread() {
  openblas_set_num_threads(1);
}

Gemm::Gemm(std::size_t m, std::size_t n, std::size_t k, GemmType type) : m_(m), n_(n), k_(k) {
  if (type != GemmType::F32)
    throw UsageError("built with OpenBLAS, which multiplies f32 alone: choose f32, or build with oneDNN for bf16");
}

Gemm::Weights Gemm::pack(std::span<const float> b) const {
  return Weights(std::make_shared<Weights::Storage>(Weights::Storage{std::vector<float>(b.begin(), b.end())}));
}

std::size_t Gemm::packed_bytes() const {
  return n_ * k_ * sizeof(float);
}

std::span<std::byte> Gemm::bytes_of(Weights& weights) const {
  return std::as_writable_bytes(std::span(weights.storage().values));
}

void Gemm::multiply(const std::byte* a, const Weights& b, float* c) {
  const auto m = static_cast<blasint>(m_), n = static_cast<blasint>(n_), k = static_cast<blasint>(k_);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0f, reinterpret_cast<const float*>(a), k,
              b.storage().values.data(), k, 0.0f, c, n);
}

}  // namespace gem
