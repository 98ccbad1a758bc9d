#pragma once

#include <oneapi/dnnl/dnnl.hpp>

namespace gem {

/// The library's description of a product; its interface changed between major versions, so each has its own file.
dnnl::matmul::primitive_desc make_matmul(const dnnl::engine& engine, const dnnl::memory::desc& a,
                                         const dnnl::memory::desc& b, const dnnl::memory::desc& c);

}  // namespace gem
