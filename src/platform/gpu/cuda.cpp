#include "platform/gpu/cuda.hpp"

#include <fmt/core.h>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {

void check_cuda(cudaError_t status, const char* what, const std::source_location& where) {
  if (status == cudaSuccess) return;
  throw SystemError(fmt::format("CUDA failed while {}: {} ({}, line {})", what, cudaGetErrorString(status),
                                where.file_name(), static_cast<unsigned>(where.line())));
}

CudaStream::CudaStream() {
  check_cuda(cudaStreamCreateWithFlags(&handle_, cudaStreamNonBlocking), "creating a stream");
}

CudaStream::~CudaStream() {
  cudaStreamDestroy(handle_);
}

void CudaStream::synchronize() const {
  check_cuda(cudaStreamSynchronize(handle_), "waiting for the GPU");
}

CudaEvent::CudaEvent() {
  check_cuda(cudaEventCreate(&handle_), "creating an event");
}

CudaEvent::~CudaEvent() {
  cudaEventDestroy(handle_);
}

void CudaEvent::record(const CudaStream& stream) {
  check_cuda(cudaEventRecord(handle_, stream.handle()), "recording an event");
}

double CudaEvent::seconds_since(const CudaEvent& earlier) const {
  float milliseconds = 0.0f;
  check_cuda(cudaEventElapsedTime(&milliseconds, earlier.handle_, handle_), "reading the time between events");
  return static_cast<double>(milliseconds) * 1e-3;
}

}  // namespace gem
