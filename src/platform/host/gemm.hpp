#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace gem {

/// Element type of the factors of a matrix product; sums and results are f32.
enum class GemmType { F32, Bf16 };

/// "f32" or "bf16".
std::string to_string(GemmType type);

/// Bytes of one element.
std::size_t element_bytes(GemmType type);

/// Writes `values` as elements of `type` (bf16: round to nearest, ties to even) at `elements`.
void store_elements(std::span<const float> values, GemmType type, std::byte* elements);

/// Library behind Gemm, with version: "oneDNN 2.6.3".
std::string gemm_library();

/// Whether that library multiplies the type on any processor at all.
bool gemm_has(GemmType type);

/// One thread a rank, because a rank is one device; call before the first product.
void use_one_gemm_thread();

/// A matrix product of fixed shape, C[m, n] = A[m, k] B[n, k]^T, by the library that CMake found. The library's
/// scratch space makes an object single-threaded.
class Gemm {
 public:
  /// UsageError if library or processor can't multiply this type.
  Gemm(std::size_t m, std::size_t n, std::size_t k, GemmType type);
  Gemm(Gemm&&) noexcept = default;
  Gemm& operator=(Gemm&&) noexcept = default;

  /// B in the layout that the library likes best.
  class Weights {
   public:
    struct Storage;
    explicit Weights(std::shared_ptr<Storage> storage) : storage_(std::move(storage)) {}
    const Storage& storage() const { return *storage_; }
    Storage& storage() { return *storage_; }

   private:
    std::shared_ptr<Storage> storage_;
  };

  /// `b` is [n, k] row-major; its values are rounded to the type.
  Weights pack(std::span<const float> b) const;
  std::size_t packed_bytes() const;
  /// The layout's memory, [packed_bytes]: what is copied from one to another product of the same shape computes the
  /// same.
  std::span<std::byte> bytes_of(Weights& weights) const;

  /// `a` is [m, k] row-major elements of the type, `c` is [m, n] row-major.
  void multiply(const std::byte* a, const Weights& b, float* c);

  /// Floating-point operations of one product (two a multiply-add).
  double flops() const { return 2.0 * static_cast<double>(m_) * static_cast<double>(n_) * static_cast<double>(k_); }

 private:
  struct Implementation;
  std::size_t m_;
  std::size_t n_;
  std::size_t k_;
  std::shared_ptr<Implementation> implementation_;  // one owner: it can be destroyed where its type isn't known
};

}  // namespace gem
