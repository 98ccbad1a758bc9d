// Decode attention against an f64 reference on random data: both kinds of attention, groups of every size, contexts of
// unequal length, and every number of blocks that share one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/decode_attention.hpp"
#include "kernels/device_buffer.hpp"
#include "kernels/random_values.hpp"

namespace gem::test {
namespace {

using kernels::DecodeAttentionShape;

std::size_t size(int value) {
  return static_cast<std::size_t>(value);
}

/// One layer's cache and queries, random.
class Attention {
 public:
  Attention(DecodeAttentionShape shape, std::vector<std::int32_t> contexts, int max_context)
      : shape_(shape),
        contexts_(std::move(contexts)),
        max_context_(max_context),
        query_(contexts_.size() * size(shape.query_heads * shape.key_size)),
        keys_(contexts_.size() * size(max_context * shape.kv_heads * shape.key_size)),
        values_(shape.latent ? 8 : contexts_.size() * size(max_context * shape.kv_heads * shape.value_size)),
        output_(contexts_.size() * size(shape.query_heads * shape.value_size)),
        workspace_(kernels::decode_attention_workspace_bytes(shape, sequences())),
        device_contexts_(contexts_) {
    fill(query_, 1);
    fill(keys_, 2);
    fill(values_, 3);
  }

  kernels::DecodeAttentionPlan plan() const {
    kernels::DecodeAttentionArguments a;
    a.shape = shape_;
    a.sequences = sequences();
    a.max_context = max_context_;
    a.query = query_.get();
    a.keys = keys_.get();
    a.values = shape_.latent ? nullptr : values_.get();
    a.contexts = device_contexts_.get();
    a.output = output_.get();
    a.workspace = workspace_.get();
    a.scale = 4.0f / std::sqrt(static_cast<float>(shape_.key_size));  // sharp enough that single tokens matter
    kernels::DecodeAttentionPlan made;
    check(kernels::make_decode_attention_plan(a, &made, nullptr), "make the plan");
    return made;
  }

  std::vector<std::uint16_t> run(const kernels::DecodeAttentionPlan& plan) {
    output_.poison();
    check(kernels::launch_decode_attention(plan, nullptr), "launch");
    check(cudaDeviceSynchronize(), "run");
    return output_.host();
  }

  /// |out - reference| / |reference| over all elements.
  double error_of(const std::vector<std::uint16_t>& output, double scale) const {
    const std::vector<std::uint16_t> query = query_.host(), keys = keys_.host(), values = values_.host();
    const int heads_of_kv = shape_.query_heads / shape_.kv_heads;
    double difference = 0.0, norm = 0.0;
    for (int s = 0; s < sequences(); ++s)
      for (int h = 0; h < shape_.query_heads; ++h) {
        const auto row = [&](int t, int width) {
          return (size(s * max_context_ + t) * size(shape_.kv_heads) + size(h / heads_of_kv)) * size(width);
        };
        std::vector<double> p(size(contexts_[size(s)]));
        for (int t = 0; t < contexts_[size(s)]; ++t) {
          double product = 0.0;
          for (int k = 0; k < shape_.key_size; ++k)
            product += from_bf16(query[size((s * shape_.query_heads + h) * shape_.key_size + k)]) *
                       from_bf16(keys[row(t, shape_.key_size) + size(k)]);
          p[size(t)] = scale * product;
        }
        const double greatest = *std::max_element(p.begin(), p.end());
        double sum = 0.0;
        for (double& value : p) sum += value = std::exp(value - greatest);
        for (int v = 0; v < shape_.value_size; ++v) {
          double expected = 0.0;
          for (int t = 0; t < contexts_[size(s)]; ++t)
            expected += p[size(t)] / sum *
                        from_bf16(shape_.latent ? keys[row(t, shape_.key_size) + size(v)]
                                                : values[row(t, shape_.value_size) + size(v)]);
          const double got = from_bf16(output[size((s * shape_.query_heads + h) * shape_.value_size + v)]);
          difference += (got - expected) * (got - expected);
          norm += expected * expected;
        }
      }
    return std::sqrt(difference / norm);
  }

 private:
  int sequences() const { return static_cast<int>(contexts_.size()); }
  static void fill(const DeviceBuffer<std::uint16_t>& buffer, std::uint32_t seed) {
    check(kernels::launch_random_bf16(buffer.get(), buffer.bytes() / 2, 1.0f, seed, nullptr), "random values");
  }

  DecodeAttentionShape shape_;
  std::vector<std::int32_t> contexts_;
  int max_context_;
  DeviceBuffer<std::uint16_t> query_, keys_, values_, output_;
  DeviceBuffer<unsigned char> workspace_;
  DeviceBuffer<std::int32_t> device_contexts_;
};

class DecodeAttention : public ::testing::TestWithParam<DecodeAttentionShape> {};

TEST_P(DecodeAttention, MatchesTheReferenceHoweverContextsAreShared) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  const DecodeAttentionShape shape = GetParam();
  Attention attention(shape, {1, 64, 65, 700, 333}, 704);
  kernels::DecodeAttentionPlan plan = attention.plan();
  const double scale = plan.arguments.scale;
  for (const int splits : {plan.splits, 1, 2, 7, 22}) {
    plan.splits = splits;
    check(cudaMemset(plan.arguments.workspace, 0, 4096), "zero the counters");
    const std::vector<std::uint16_t> first = attention.run(plan);
    EXPECT_LT(attention.error_of(first, scale), 1e-2) << splits << " splits";
    // Counters are zero again, and nothing depends on the order in which blocks come by.
    EXPECT_EQ(attention.run(plan), first) << splits << " splits";
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, DecodeAttention,
                         ::testing::Values(DecodeAttentionShape{64, 8, 64, 64}, DecodeAttentionShape{32, 8, 128, 128},
                                           DecodeAttentionShape{10, 2, 128, 128}, DecodeAttentionShape{32, 2, 128, 128},
                                           DecodeAttentionShape{32, 2, 64, 64},
                                           DecodeAttentionShape{16, 1, 576, 512, true},
                                           DecodeAttentionShape{40, 1, 576, 512, true}),
                         [](const auto& test) {
                           const DecodeAttentionShape& s = test.param;
                           return std::to_string(s.query_heads) + "_heads_" + std::to_string(s.kv_heads) + "_of_" +
                                  std::to_string(s.key_size);
                         });

TEST(DecodeAttention, RefusesWhatItCannotServe) {
  kernels::DecodeAttentionPlan plan;
  for (const DecodeAttentionShape& shape :
       {DecodeAttentionShape{}, DecodeAttentionShape{9, 2, 128, 128}, DecodeAttentionShape{34, 2, 128, 128},
        DecodeAttentionShape{32, 8, 80, 80}, DecodeAttentionShape{32, 8, 128, 64},
        DecodeAttentionShape{16, 2, 576, 512, true}}) {
    kernels::DecodeAttentionArguments a;
    a.shape = shape;
    a.sequences = 1;
    a.max_context = 1;
    a.scale = 1.0f;
    EXPECT_EQ(kernels::make_decode_attention_plan(a, &plan, nullptr), cudaErrorInvalidValue);
    EXPECT_EQ(kernels::decode_attention_workspace_bytes(shape, 1), 0u);
  }
}

}  // namespace
}  // namespace gem::test
