#include "platform/host/gemm_onednn.hpp"

namespace gem {

dnnl::matmul::primitive_desc make_matmul(const dnnl::engine& engine, const dnnl::memory::desc& a,
                                         const dnnl::memory::desc& b, const dnnl::memory::desc& c) {
  return dnnl::matmul::primitive_desc(dnnl::matmul::desc(a, b, c), engine);
}

}  // namespace gem
