#include <cblas.h>

#include <vector>

#include "base/error.hpp"
#include "platform/gemm.hpp"

namespace gem {

struct Gemm::Weights::Storage {
  std::vector<float> values;  // [n, k]
};

struct Gemm::Implementation {
  std::size_t m;
  std::size_t n;
  std::size_t k;
};

std::string gemm_library() {
  // "OpenBLAS 0.3.21 NO_AFFINITY ...": name and version suffice.
  const std::string configuration = openblas_get_config();
  return configuration.substr(0, configuration.find(' ', configuration.find(' ') + 1));
}

void use_one_gemm_thread() {
  openblas_set_num_threads(1);
}

Gemm::Gemm(std::size_t m, std::size_t n, std::size_t k, GemmType type) {
  if (type != GemmType::F32)
    throw UsageError(
        "built with OpenBLAS, which multiplies f32 alone: choose --dtype f32, or build with oneDNN for bf16");
  implementation_ = std::make_unique<Implementation>(Implementation{m, n, k});
}

Gemm::~Gemm() = default;
Gemm::Gemm(Gemm&&) noexcept = default;
Gemm& Gemm::operator=(Gemm&&) noexcept = default;

Gemm::Weights::Weights(std::unique_ptr<Storage> storage) : storage_(std::move(storage)) {}
Gemm::Weights::~Weights() = default;
Gemm::Weights::Weights(Weights&&) noexcept = default;
Gemm::Weights& Gemm::Weights::operator=(Weights&&) noexcept = default;

Gemm::Weights Gemm::pack(std::span<const float> b) const {
  return Weights(std::make_unique<Weights::Storage>(Weights::Storage{std::vector<float>(b.begin(), b.end())}));
}

std::size_t Gemm::packed_bytes() const {
  return implementation_->n * implementation_->k * sizeof(float);
}

void Gemm::multiply(const std::byte* a, const Weights& b, float* c) {
  const auto m = static_cast<blasint>(implementation_->m), n = static_cast<blasint>(implementation_->n),
             k = static_cast<blasint>(implementation_->k);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0f, reinterpret_cast<const float*>(a), k,
              b.storage().values.data(), k, 0.0f, c, n);
}

double Gemm::flops() const {
  return 2.0 * static_cast<double>(implementation_->m) * static_cast<double>(implementation_->n) *
         static_cast<double>(implementation_->k);
}

}  // namespace gem
