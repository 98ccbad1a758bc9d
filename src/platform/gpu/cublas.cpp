#include "platform/gpu/cublas.hpp"

#include <fmt/core.h>

#include "base/error.hpp"

namespace gem {
namespace {

void check_cublas(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw SystemError(fmt::format("{} failed: cuBLAS says '{}'", what, cublasGetStatusString(status)));
}

}  // namespace

Cublas::Cublas(const CudaStream& stream) {
  check_cublas(cublasCreate(&handle_), "starting cuBLAS");
  check_cublas(cublasSetStream(handle_, stream.handle()), "choosing cuBLAS's stream");
}

Cublas::~Cublas() {
  cublasDestroy(handle_);
}

void Cublas::multiply(std::size_t batch, std::size_t rows, std::size_t columns, std::size_t depth, const void* a,
                      const void* b, void* c) {
  const float one = 1.0f, zero = 0.0f;
  const auto m = static_cast<int>(columns), n = static_cast<int>(rows), k = static_cast<int>(depth);
  const auto stride = [](std::size_t x, std::size_t y) { return static_cast<long long>(x * y); };
  // Row-major matrices are column-major ones transposed: C^T = B A^T.
  if (batch == 1)
    check_cublas(cublasGemmEx(handle_, CUBLAS_OP_T, CUBLAS_OP_N, m, n, k, &one, b, CUDA_R_16BF, k, a, CUDA_R_16BF, k,
                              &zero, c, CUDA_R_16BF, m, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
                 "a matrix product");
  else
    check_cublas(cublasGemmStridedBatchedEx(handle_, CUBLAS_OP_T, CUBLAS_OP_N, m, n, k, &one, b, CUDA_R_16BF, k,
                                            stride(columns, depth), a, CUDA_R_16BF, k, stride(rows, depth), &zero, c,
                                            CUDA_R_16BF, m, stride(rows, columns), static_cast<int>(batch),
                                            CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
                 "a batch of matrix products");
}

}  // namespace gem
