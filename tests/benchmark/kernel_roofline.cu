// Times the grouped FFN on random data with a cold L2, and prints one CSV row a measurement. kernel_roofline.py runs
// this, measures the libraries in the same way and writes the table.
//
//   kernel_roofline [--fp8] [--sweep] [--loads N] [--samples N]
//
// The weights rotate over several sets. --sweep times every kernel variant, else the library's own choice.
// --fp8 times shapes of models that are served in fp8, in both types.
// --loads times N skewed random loads for each shape and tile instead of even ones: what a latency surface has to
// predict.
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "benchmark/cuda_instrument.hpp"
#include "kernels/grouped_ffn.hpp"
#include "kernels/quantise.hpp"
#include "kernels/random_values.hpp"

namespace {

using namespace gem::kernels;
using namespace gem::benchmark;

struct Shape {
  const char* name;
  int experts;
  int hidden;
  int intermediate;
};

constexpr Shape kShapes[] = {{"Mixtral-8x7B", 2, 4096, 14336},
                             {"gpt-oss-20b", 8, 2880, 2880},
                             {"DeepSeek-V2-Lite", 16, 2048, 1408},
                             {"Qwen3-30B-A3B", 16, 2048, 768}};
constexpr Shape kFp8Shapes[] = {{"DeepSeek-V3", 8, 7168, 2048}, {"Qwen3-235B-A22B", 16, 4096, 1536}};
constexpr int kTokens[] = {1, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048};
constexpr int kMostTokens = 2048;

// A random matrix of either type; fp8 with its scales.
struct Matrix {
  void* values = nullptr;
  float* scales = nullptr;

  enum class Role { weights, tokens };
  Matrix(FfnType type, Role role, std::int64_t rows, int columns, float amplitude, std::uint32_t seed) {
    const auto count = static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
    auto* bf16 = allocate<std::uint16_t>(count);
    check(launch_random_bf16(bf16, count, amplitude, seed, nullptr), "fill");
    values = bf16;
    if (type == FfnType::bf16) return;
    const std::int64_t stride = token_scale_stride(rows);
    values = allocate<unsigned char>(count);
    scales = allocate<float>(static_cast<std::size_t>(stride) * static_cast<std::size_t>(columns / kScaleBlock));
    check(role == Role::weights ? launch_quantise_weights(bf16, rows, columns, values, scales, nullptr)
                                : launch_quantise_rows(bf16, rows, columns, values, scales, stride, nullptr),
          "quantise");
    check(cudaFree(bf16), "free");
  }
  ~Matrix() {
    cudaFree(values);
    cudaFree(scales);
  }
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;
};

// Buffers of one layer: weights in several sets, tokens, offsets that the caller fills.
class Layer {
 public:
  static constexpr int kSets = 3;

  Layer(const Shape& shape, FfnType type)
      : shape_(shape), type_(type), input_(type, Matrix::Role::tokens, max_rows(), shape.hidden, 1.0f, 30) {
    for (unsigned s = 0; s < kSets; ++s) {
      gate_up_[s] =
          std::make_unique<Matrix>(type, Matrix::Role::weights, std::int64_t{2} * shape.experts * shape.intermediate,
                                   shape.hidden, 0.03f, 10 + s);
      down_[s] = std::make_unique<Matrix>(type, Matrix::Role::weights, std::int64_t{1} * shape.experts * shape.hidden,
                                          shape.intermediate, 0.03f, 20 + s);
    }
    output_ = allocate<std::uint16_t>(static_cast<std::size_t>(max_rows()) * static_cast<std::size_t>(shape.hidden));
    workspace_ = allocate<unsigned char>(grouped_ffn_workspace_bytes(ffn_shape(), max_rows()));
    offsets_ = allocate<std::int32_t>(static_cast<std::size_t>(shape.experts) + 1);
  }
  ~Layer() {
    cudaFree(output_);
    cudaFree(workspace_);
    cudaFree(offsets_);
  }
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  std::int64_t max_rows() const { return std::min<std::int64_t>(16384, std::int64_t{kMostTokens} * shape_.experts); }

  void set_load(const std::vector<int>& rows) {
    std::vector<std::int32_t> offsets(1, 0);
    for (const int count : rows) offsets.push_back(offsets.back() + count);
    check(cudaMemcpy(offsets_, offsets.data(), offsets.size() * sizeof(std::int32_t), cudaMemcpyHostToDevice),
          "copy offsets");
  }

  std::vector<GroupedFfnPlan> plans(int tile_tokens, double tokens_per_expert, int variant) const {
    std::vector<GroupedFfnPlan> made(kSets);
    for (int s = 0; s < kSets; ++s) {
      GroupedFfnArguments a;
      a.shape = ffn_shape();
      a.gate_up = gate_up_[s]->values;
      a.gate_up_scales = gate_up_[s]->scales;
      a.down = down_[s]->values;
      a.down_scales = down_[s]->scales;
      a.input = input_.values;
      a.input_scales = input_.scales;
      a.offsets = offsets_;
      a.output = output_;
      a.workspace = workspace_;
      a.max_rows = max_rows();
      a.tile_tokens = tile_tokens;
      a.tokens_per_expert = tokens_per_expert;
      a.variant = variant;
      check(make_grouped_ffn_plan(a, &made[static_cast<std::size_t>(s)], nullptr), "make a plan");
    }
    return made;
  }

  double median_s(Instrument* instrument, const std::vector<GroupedFfnPlan>& plans, FfnPart part) {
    const auto launch = [&](int i) {
      return launch_grouped_ffn(plans[static_cast<std::size_t>(i % kSets)], nullptr, part);
    };
    // After allocating and filling, the first measurement of a layer is some 15 % slow: taken twice.
    if (!warm_) instrument->median_s(launch);
    warm_ = true;
    return instrument->median_s(launch);
  }

 private:
  GroupedFfnShape ffn_shape() const { return {shape_.experts, shape_.hidden, shape_.intermediate, type_}; }

  Shape shape_;
  FfnType type_;
  Matrix input_;
  std::unique_ptr<Matrix> gate_up_[kSets];
  std::unique_ptr<Matrix> down_[kSets];
  void* output_ = nullptr;
  void* workspace_ = nullptr;
  std::int32_t* offsets_ = nullptr;
  bool warm_ = false;
};

void measure_even_loads(const Shape& shape, FfnType type, bool sweep, Instrument* instrument) {
  Layer layer(shape, type);
  const double weight_bytes = type == FfnType::fp8 ? 1.0 : 2.0;
  for (const int tokens : kTokens) {
    if (static_cast<std::int64_t>(tokens) * shape.experts > layer.max_rows()) continue;
    layer.set_load(std::vector<int>(static_cast<std::size_t>(shape.experts), tokens));
    for (int variant = sweep ? 1 : 0; variant == 0 || ffn_variant_name(variant, type) != nullptr; ++variant) {
      const int tile = variant > 0 ? std::atoi(ffn_variant_name(variant, type)) : choose_tile_tokens(tokens, type);
      // Of a sweep, what could win.
      if (variant > 0 && (tile > std::max(64, 4 * tokens) || tile * 4 < std::min(tokens, 256))) continue;
      const std::vector<GroupedFfnPlan> plans = layer.plans(tile, tokens, variant);
      const char* name = plans[0].path == FfnPath::sm90 ? ffn_variant_name(plans[0].variant + 1, type) : "plain";
      for (const FfnPart part : {FfnPart::gate_up, FfnPart::whole}) {
        const double time_s = layer.median_s(instrument, plans, part);
        const double weights = (part == FfnPart::whole ? 3.0 : 2.0) * shape.experts * shape.hidden * shape.intermediate;
        std::printf("%s,%d,%d,%d,%d,%s,%d,\"%s\",%.3f,%.1f,%.1f,%s\n", shape.name, shape.experts, shape.hidden,
                    shape.intermediate, tokens, part == FfnPart::whole ? "whole" : "gate_up", tile, name, time_s * 1e6,
                    2.0 * weights * tokens / time_s * 1e-12, weight_bytes * weights / time_s * 1e-9,
                    type == FfnType::fp8 ? "fp8" : "bf16");
      }
      if (variant == 0) break;
    }
    std::fflush(stdout);
  }
}

// Tokens drawn one by one from log-normal popularities of the experts; their mean from an eighth of a tile to two
// tiles.
void measure_skewed_loads(const Shape& shape, int loads, bool sweep, Instrument* instrument) {
  Layer layer(shape, FfnType::bf16);
  std::mt19937 random(7);
  for (const int tile : {16, 64, 128}) {
    std::vector<std::vector<GroupedFfnPlan>> kernels;
    if (!sweep) kernels.push_back(layer.plans(tile, tile, 0));
    for (int variant = 1; sweep && ffn_variant_name(variant) != nullptr; ++variant)
      if (std::atoi(ffn_variant_name(variant)) == tile) kernels.push_back(layer.plans(tile, tile, variant));
    for (int i = 0; i < loads; ++i) {
      const double mean = tile * std::exp2(std::uniform_real_distribution<>(-3.0, 1.0)(random));
      const double skew = std::uniform_real_distribution<>(0.0, 1.5)(random);
      std::vector<double> popularity;
      for (int e = 0; e < shape.experts; ++e)
        popularity.push_back(std::exp(skew * std::normal_distribution<>()(random)));
      std::discrete_distribution<int> expert(popularity.begin(), popularity.end());
      std::vector<int> rows(popularity.size(), 0);
      const int total = std::max(1, static_cast<int>(mean * shape.experts));
      for (int t = 0; t < total; ++t) ++rows[static_cast<std::size_t>(expert(random))];
      int tiles = 0;
      int active = 0;
      for (const int count : rows) {
        tiles += (count + tile - 1) / tile;
        active += count > 0;
      }
      layer.set_load(rows);
      for (const std::vector<GroupedFfnPlan>& plans : kernels) {
        std::printf("%s,%d,%d,%d,%d,%d,%d,%.3f,", shape.name, shape.experts, tile, tiles, active, total,
                    plans[0].variant + 1, layer.median_s(instrument, plans, FfnPart::whole) * 1e6);
        for (std::size_t e = 0; e < rows.size(); ++e) std::printf("%s%d", e == 0 ? "" : " ", rows[e]);
        std::printf("\n");
      }
    }
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  bool sweep = false;
  bool fp8 = false;
  int loads = 0;
  int samples = 15;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--sweep") == 0) {
      sweep = true;
    } else if (std::strcmp(argv[i], "--fp8") == 0) {
      fp8 = true;
    } else if (std::strcmp(argv[i], "--loads") == 0 && i + 1 < argc) {
      loads = std::max(1, std::atoi(argv[++i]));
    } else if (std::strcmp(argv[i], "--samples") == 0 && i + 1 < argc) {
      samples = std::max(1, std::atoi(argv[++i]));
    } else {
      std::fprintf(stderr, "usage: kernel_roofline [--fp8] [--sweep] [--loads N] [--samples N]\n");
      return 2;
    }
  }
  std::puts(loads > 0
                ? "shape,experts,tile_tokens,tiles,active_experts,tokens,variant,time_us,rows"
                : "shape,experts,hidden,intermediate,tokens,part,tile_tokens,variant,time_us,tflops,weights_gb_per_s,"
                  "type");
  Instrument instrument(samples);
  if (fp8) {
    for (const Shape& shape : kFp8Shapes)
      for (const FfnType type : {FfnType::bf16, FfnType::fp8}) measure_even_loads(shape, type, sweep, &instrument);
    return 0;
  }
  for (const Shape& shape : kShapes) {
    if (loads > 0)
      measure_skewed_loads(shape, loads, sweep, &instrument);
    else
      measure_even_loads(shape, FfnType::bf16, sweep, &instrument);
  }
  return 0;
}
