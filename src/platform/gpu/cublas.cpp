#include "platform/gpu/cublas.hpp"

#include <dlfcn.h>
#include <fmt/core.h>

#include "base/error.hpp"

namespace gem {
namespace {

// The few functions that are used, loaded when the first is: to load cuBLAS takes longer than most of our programs run,
// and where a mapping is searched there may be none.
struct CublasLibrary {
  decltype(&cublasCreate_v2) create = nullptr;
  decltype(&cublasDestroy_v2) destroy = nullptr;
  decltype(&cublasSetStream_v2) set_stream = nullptr;
  // For C++ cuBLAS has further functions of these two names.
  cublasStatus_t (*multiply)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int, const void*,
                             const void*, cudaDataType, int, const void*, cudaDataType, int, const void*, void*,
                             cudaDataType, int, cublasComputeType_t, cublasGemmAlgo_t) = nullptr;
  cublasStatus_t (*multiply_batch)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int, const void*,
                                   const void*, cudaDataType, int, long long, const void*, cudaDataType, int, long long,
                                   const void*, void*, cudaDataType, int, long long, int, cublasComputeType_t,
                                   cublasGemmAlgo_t) = nullptr;
  decltype(&cublasGetStatusString) status_text = nullptr;

  CublasLibrary() {
    const std::string name = fmt::format("libcublas.so.{}", CUBLAS_VER_MAJOR);
    void* library = dlopen(name.c_str(), RTLD_NOW);
    const std::string first_error = library == nullptr ? dlerror() : "";
    // The toolkit's own folder is seldom where the loader looks.
    if (library == nullptr) library = dlopen((GEM_CUDA_LIBRARY_FOLDER "/" + name).c_str(), RTLD_NOW);
    if (library == nullptr)
      throw SystemError(
          fmt::format("cuBLAS, which computes a whole step's products, can't be loaded ({}); add the "
                      "folder of {} to LD_LIBRARY_PATH",
                      first_error, name));
    const auto load = [&](auto& function, const char* symbol) {
      function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(library, symbol));
      if (function == nullptr) throw SystemError(fmt::format("{} has no {}; use a cuBLAS as new", name, symbol));
    };
    load(create, "cublasCreate_v2");
    load(destroy, "cublasDestroy_v2");
    load(set_stream, "cublasSetStream_v2");
    load(multiply, "cublasGemmEx");
    load(multiply_batch, "cublasGemmStridedBatchedEx");
    load(status_text, "cublasGetStatusString");
  }
};

const CublasLibrary& cublas() {
  static const CublasLibrary library;
  return library;
}

void check_cublas(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw SystemError(fmt::format("{} failed: cuBLAS says '{}'", what, cublas().status_text(status)));
}

}  // namespace

Cublas::Cublas(const CudaStream& stream) {
  check_cublas(cublas().create(&handle_), "starting cuBLAS");
  check_cublas(cublas().set_stream(handle_, stream.handle()), "choosing cuBLAS's stream");
}

Cublas::~Cublas() {
  cublas().destroy(handle_);
}

void Cublas::multiply(std::size_t batch, std::size_t rows, std::size_t columns, std::size_t depth, const void* a,
                      const void* b, void* c) {
  const float one = 1.0f, zero = 0.0f;
  const auto m = static_cast<int>(columns), n = static_cast<int>(rows), k = static_cast<int>(depth);
  const auto stride = [](std::size_t x, std::size_t y) { return static_cast<long long>(x * y); };
  // Row-major matrices are column-major ones transposed: C^T = B A^T.
  if (batch == 1)
    check_cublas(cublas().multiply(handle_, CUBLAS_OP_T, CUBLAS_OP_N, m, n, k, &one, b, CUDA_R_16BF, k, a, CUDA_R_16BF,
                                   k, &zero, c, CUDA_R_16BF, m, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
                 "a matrix product");
  else
    check_cublas(cublas().multiply_batch(handle_, CUBLAS_OP_T, CUBLAS_OP_N, m, n, k, &one, b, CUDA_R_16BF, k,
                                         stride(columns, depth), a, CUDA_R_16BF, k, stride(rows, depth), &zero, c,
                                         CUDA_R_16BF, m, stride(rows, columns), static_cast<int>(batch),
                                         CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
                 "a batch of matrix products");
}

}  // namespace gem
