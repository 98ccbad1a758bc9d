#include "platform/host/gemm_onednn.hpp"

#include <fmt/core.h>
#include <omp.h>

#include "base/error.hpp"
#include "base/text.hpp"
#include "platform/host/gemm.hpp"

namespace gem {
namespace {

using dnnl::memory;

memory::data_type data_type_of(GemmType type) {
  return type == GemmType::F32 ? memory::data_type::f32 : memory::data_type::bf16;
}

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

[[noreturn]] void refuse(const char* what, const dnnl::error& error) {
  throw SystemError(fmt::format("{}: {} failed with status {} ({})", gemm_library(), what,
                                static_cast<int>(error.status), error.what()));
}

}  // namespace

struct Gemm::Weights::Storage {
  memory packed;
};

struct Gemm::Implementation {
  dnnl::matmul::primitive_desc description;
  dnnl::matmul primitive;
  dnnl::stream stream;
  memory a;
  memory c;
};

std::string gemm_library() {
  const dnnl_version_t& version = *dnnl_version();
  return fmt::format("oneDNN {}.{}.{}", version.major, version.minor, version.patch);
}

bool gemm_has(GemmType) {
  return true;
}

void use_one_gemm_thread() {
  omp_set_num_threads(1);
}

Gemm::Gemm(std::size_t m, std::size_t n, std::size_t k, GemmType type) : m_(m), n_(n), k_(k) {
  const auto rows = static_cast<memory::dim>(m), columns = static_cast<memory::dim>(n),
             depth = static_cast<memory::dim>(k);
  const memory::desc a({rows, depth}, data_type_of(type), memory::format_tag::ab);
  const memory::desc b({depth, columns}, data_type_of(type), memory::format_tag::any);
  const memory::desc c({rows, columns}, memory::data_type::f32, memory::format_tag::ab);
  try {
    const dnnl::matmul::primitive_desc description = make_matmul(engine(), a, b, c);
    implementation_ =
        std::make_shared<Implementation>(Implementation{description, dnnl::matmul(description), dnnl::stream(engine()),
                                                        memory(a, engine(), nullptr), memory(c, engine(), nullptr)});
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_unimplemented)
      throw UsageError(gemm_library() + " has no " + to_string(type) +
                       " matrix product for this processor; choose f32");
    refuse("preparing a matrix product", error);
  }
}

Gemm::Weights Gemm::pack(std::span<const float> b) const {
  try {
    const memory::desc packed_description = implementation_->description.weights_desc();
    // B[n, k] row-major is the library's [k, n] with the first index fastest.
    const memory::desc plain({static_cast<memory::dim>(k_), static_cast<memory::dim>(n_)}, memory::data_type::f32,
                             memory::format_tag::ba);
    memory source(plain, engine(), const_cast<float*>(b.data()));
    memory packed(packed_description, engine());
    dnnl::reorder(source, packed).execute(implementation_->stream, source, packed);
    implementation_->stream.wait();
    return Weights(std::make_shared<Weights::Storage>(Weights::Storage{packed}));
  } catch (const dnnl::error& error) {
    refuse("packing weights", error);
  }
}

std::size_t Gemm::packed_bytes() const {
  return implementation_->description.weights_desc().get_size();
}

std::span<std::byte> Gemm::bytes_of(Weights& weights) const {
  return {static_cast<std::byte*>(weights.storage().packed.get_data_handle()), packed_bytes()};
}

void Gemm::multiply(const std::byte* a, const Weights& b, float* c) {
  Implementation& self = *implementation_;
  try {
    self.a.set_data_handle(const_cast<std::byte*>(a));
    self.c.set_data_handle(c);
    self.primitive.execute(self.stream,
                           {{DNNL_ARG_SRC, self.a}, {DNNL_ARG_WEIGHTS, b.storage().packed}, {DNNL_ARG_DST, self.c}});
    self.stream.wait();
  } catch (const dnnl::error& error) {
    refuse("a matrix product", error);
  }
}

}  // namespace gem
