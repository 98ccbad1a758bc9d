#pragma once

#include <cublas_v2.h>

#include <cstddef>

#include "platform/gpu/cuda.hpp"

namespace gem {

/// cuBLAS on one stream, bf16 with sums in f32.
class Cublas {
 public:
  explicit Cublas(const CudaStream& stream);
  ~Cublas();
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  /// Enqueues C[b, rows, columns] = A[b, rows, depth] B[b, columns, depth]^T for b < batch, all row-major on the GPU.
  void multiply(std::size_t batch, std::size_t rows, std::size_t columns, std::size_t depth, const void* a,
                const void* b, void* c);

 private:
  cublasHandle_t handle_ = nullptr;
};

}  // namespace gem
