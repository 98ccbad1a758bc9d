#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <source_location>
#include <span>
#include <utility>
#include <vector>

namespace gem {

/// Throws SystemError with CUDA's text and the place of the call unless `status` is cudaSuccess.
void check_cuda(cudaError_t status, const char* what,
                const std::source_location& where = std::source_location::current());

/// Device memory for `size()` elements; freed with the object.
template <class T>
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  explicit DeviceBuffer(std::size_t size) : size_(size) {
    if (size_ > 0) check_cuda(cudaMalloc(reinterpret_cast<void**>(&data_), size_ * sizeof(T)), "allocating GPU memory");
  }
  ~DeviceBuffer() { cudaFree(data_); }
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }

  /// Makes room for at least `size` elements; what was there is lost if it grows.
  void reserve(std::size_t size) {
    if (size > size_) *this = DeviceBuffer(size);
  }

  /// Copies from pageable host memory: returns when the source may be changed; ordered on `stream`.
  void upload(std::span<const T> values, cudaStream_t stream) {
    reserve(values.size());
    check_cuda(cudaMemcpyAsync(data_, values.data(), values.size_bytes(), cudaMemcpyHostToDevice, stream),
               "copying to the GPU");
  }

  /// Copies to host memory and waits for the stream.
  void download(std::span<T> values, cudaStream_t stream) const {
    check_cuda(cudaMemcpyAsync(values.data(), data_, values.size_bytes(), cudaMemcpyDeviceToHost, stream),
               "copying from the GPU");
    check_cuda(cudaStreamSynchronize(stream), "waiting for the GPU");
  }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A CUDA stream of its own.
class CudaStream {
 public:
  CudaStream();
  ~CudaStream();
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;
  cudaStream_t handle() const { return handle_; }
  void synchronize() const;

 private:
  cudaStream_t handle_ = nullptr;
};

/// A point in a stream with a time.
class CudaEvent {
 public:
  CudaEvent();
  ~CudaEvent();
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  cudaEvent_t handle() const { return handle_; }
  void record(const CudaStream& stream);
  /// Seconds from `earlier` to this one; both must have completed.
  double seconds_since(const CudaEvent& earlier) const;

 private:
  cudaEvent_t handle_ = nullptr;
};

}  // namespace gem
