#include "platform/gpu/prefill_attention.hpp"

#include <cudnn_frontend.h>
#include <dlfcn.h>
#include <fmt/core.h>
#include <cstdint>
#include <unordered_map>

#include "base/error.hpp"
#include "platform/gpu/cuda.hpp"

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;  // from which the frontend takes all functions of cuDNN
}

namespace gem {
namespace {

namespace fe = cudnn_frontend;

bool load_cudnn() {
  static const bool loaded = [] {
    fe::cudnn_dlhandle = dlopen(fmt::format("libcudnn.so.{}", CUDNN_MAJOR).c_str(), RTLD_NOW);
    return fe::cudnn_dlhandle != nullptr;
  }();
  return loaded;
}

void check(cudnnStatus_t status, const char* doing) {
  if (status != CUDNN_STATUS_SUCCESS)
    throw SystemError(fmt::format("cuDNN failed at {}: {}", doing, fe::detail::get_error_string(status)));
}

enum Tensor : std::int64_t { Query = 1, Keys, Values, Output };

// [token, head, element] in memory as cuDNN sees it: one sequence, head before token.
fe::graph::Tensor_attributes tensor(Tensor number, std::size_t tokens, std::size_t heads, std::size_t size) {
  const auto t = static_cast<std::int64_t>(tokens), h = static_cast<std::int64_t>(heads);
  const auto s = static_cast<std::int64_t>(size);
  return fe::graph::Tensor_attributes().set_uid(number).set_dim({1, h, t, s}).set_stride({t * h * s, s, h * s, 1});
}

class CudnnAttention : public PrefillAttention {
 public:
  CudnnAttention(const CudaStream& stream, const PrefillAttentionShape& shape) {
    check(fe::detail::create_handle(&handle_), "its start");
    check(fe::detail::set_stream(handle_, stream.handle()), "choosing a stream");
    graph_.set_io_data_type(fe::DataType_t::BFLOAT16)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
    fe::graph::SDPA_attributes attention;
    attention.set_name("prefill")
        .set_generate_stats(false)
        .set_attn_scale(shape.scale)
        .set_diagonal_alignment(fe::DiagonalAlignment_t::BOTTOM_RIGHT)
        .set_diagonal_band_right_bound(0);
    if (shape.window > 0) attention.set_diagonal_band_left_bound(static_cast<int>(shape.window));
    const auto [output, stats] =
        graph_.sdpa(graph_.tensor(tensor(Query, shape.tokens, shape.query_heads, shape.key_size)),
                    graph_.tensor(tensor(Keys, shape.keys, shape.kv_heads, shape.key_size)),
                    graph_.tensor(tensor(Values, shape.keys, shape.kv_heads, shape.value_size)), attention);
    const fe::graph::Tensor_attributes like = tensor(Output, shape.tokens, shape.query_heads, shape.value_size);
    output->set_output(true).set_uid(Output).set_dim(like.get_dim()).set_stride(like.get_stride());
    if (auto error = graph_.build(handle_, {fe::HeurMode_t::A}); error.is_bad())
      throw UsageError(
          fmt::format("cuDNN has no attention of prefill with {} heads of queries, {} of keys, {} and {} elements: {}",
                      shape.query_heads, shape.kv_heads, shape.key_size, shape.value_size, error.get_message()));
    std::int64_t bytes = 0;
    if (auto error = graph_.get_workspace_size(bytes); error.is_bad())
      throw SystemError("cuDNN tells no size of its workspace: " + error.get_message());
    workspace_ = DeviceBuffer<unsigned char>(static_cast<std::size_t>(bytes));
  }
  ~CudnnAttention() override { fe::detail::destroy_handle(handle_); }
  CudnnAttention(const CudnnAttention&) = delete;
  CudnnAttention& operator=(const CudnnAttention&) = delete;

  void enqueue(const void* query, const void* keys, const void* values, void* output) override {
    std::unordered_map<std::int64_t, void*> pointers{{Query, const_cast<void*>(query)},
                                                     {Keys, const_cast<void*>(keys)},
                                                     {Values, const_cast<void*>(values)},
                                                     {Output, output}};
    if (auto error = graph_.execute(handle_, pointers, workspace_.data()); error.is_bad())
      throw SystemError("cuDNN's attention failed: " + error.get_message());
  }

 private:
  cudnnHandle_t handle_ = nullptr;
  fe::graph::Graph graph_;
  DeviceBuffer<unsigned char> workspace_;
};

}  // namespace

bool has_prefill_attention() {
  return load_cudnn();
}

std::unique_ptr<PrefillAttention> make_prefill_attention(const CudaStream& stream, const PrefillAttentionShape& shape) {
  if (!load_cudnn()) throw SystemError(cudnn_state());
  return std::make_unique<CudnnAttention>(stream, shape);
}

std::string cudnn_state() {
  if (!load_cudnn()) return fmt::format("cuDNN {} not found (libcudnn.so.{})", CUDNN_MAJOR, CUDNN_MAJOR);
  const std::size_t version = fe::detail::get_backend_version();
  return fmt::format("cuDNN {}.{}.{}", version / 10000, version % 10000 / 100, version % 100);
}

}  // namespace gem
