// Grouped FFN against an f64 reference on random data: shapes of published models, ragged loads, every tile and
// variant.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/device_buffer.hpp"
#include "kernels/grouped_ffn.hpp"
#include "kernels/grouped_ffn_reference.hpp"
#include "kernels/random_values.hpp"

namespace gem::test {
namespace {

using kernels::FfnPart;
using kernels::FfnPath;
using kernels::GroupedFfnShape;

/// One layer's buffers with random weights and tokens; experts without rows have poisoned weights.
class Layer {
 public:
  Layer(GroupedFfnShape shape, std::vector<int> rows, std::uint32_t seed)
      : shape_(shape),
        rows_(std::move(rows)),
        offsets_(offsets_of(rows_)),
        max_rows_(offsets_.back() + 5),
        gate_up_(size(shape.experts) * size(2 * shape.intermediate) * size(shape.hidden)),
        down_(size(shape.experts) * size(shape.hidden) * size(shape.intermediate)),
        input_(size(max_rows_) * size(shape.hidden)),
        output_(size(max_rows_) * size(shape.hidden)),
        workspace_(kernels::grouped_ffn_workspace_bytes(shape, max_rows_)),
        device_offsets_(offsets_) {
    const std::size_t gate_up_size = size(2 * shape.intermediate) * size(shape.hidden);
    const std::size_t down_size = size(shape.hidden) * size(shape.intermediate);
    const float scale = std::sqrt(3.0f);  // uniform in [-s, s) has the standard deviation s / sqrt(3)
    for (std::size_t e = 0; e < rows_.size(); ++e) {
      if (rows_[e] == 0) continue;
      const auto salt = seed * 1000 + static_cast<std::uint32_t>(e) * 2;
      check(kernels::launch_random_bf16(gate_up_.get() + e * gate_up_size, gate_up_size,
                                        scale / std::sqrt(static_cast<float>(shape.hidden)), salt, nullptr),
            "random weights");
      check(kernels::launch_random_bf16(down_.get() + e * down_size, down_size,
                                        scale / std::sqrt(static_cast<float>(shape.intermediate)), salt + 1, nullptr),
            "random weights");
    }
    check(kernels::launch_random_bf16(input_.get(), size(offsets_.back()) * size(shape.hidden), scale, seed + 77,
                                      nullptr),
          "random tokens");
  }

  kernels::GroupedFfnPlan plan(int tile_tokens, FfnPath path, int variant = 0) {
    kernels::GroupedFfnArguments arguments;
    arguments.shape = shape_;
    arguments.gate_up = gate_up_.get();
    arguments.down = down_.get();
    arguments.input = input_.get();
    arguments.offsets = device_offsets_.get();
    arguments.output = output_.get();
    arguments.workspace = workspace_.get();
    arguments.max_rows = max_rows_;
    arguments.tile_tokens = tile_tokens;
    arguments.path = path;
    arguments.variant = variant;
    kernels::GroupedFfnPlan made;
    check(kernels::make_grouped_ffn_plan(arguments, &made, nullptr), "make the plan");
    return made;
  }

  /// Poisons what a launch writes, runs it, gives the output.
  std::vector<std::uint16_t> run(const kernels::GroupedFfnPlan& plan, bool in_parts = false) {
    output_.poison();
    if (in_parts) {
      check(kernels::launch_grouped_ffn(plan, nullptr, FfnPart::gate_up), "launch gate and up");
      check(kernels::launch_grouped_ffn(plan, nullptr, FfnPart::down), "launch down");
    } else {
      check(kernels::launch_grouped_ffn(plan, nullptr), "launch");
    }
    check(cudaDeviceSynchronize(), "run the grouped FFN");
    return output_.host();
  }

  void poison_workspace() { workspace_.poison(); }
  void poison_output() { output_.poison(); }
  std::vector<std::uint16_t> output() const { return output_.host(); }

  /// Other rows of the same total; every expert had rows before, so all weights are there.
  void set_rows(const std::vector<int>& rows) {
    rows_ = rows;
    offsets_ = offsets_of(rows);
    check(cudaMemcpy(device_offsets_.get(), offsets_.data(), device_offsets_.bytes(), cudaMemcpyHostToDevice),
          "offsets");
  }

  /// Relative norm of the error over at most `most` rows of each expert (first, last and between).
  double error(const std::vector<std::uint16_t>& output, int most) {
    const std::size_t hidden = size(shape_.hidden);
    const std::size_t gate_up_size = 2 * size(shape_.intermediate) * hidden;
    const std::size_t down_size = hidden * size(shape_.intermediate);
    const std::vector<std::uint16_t> input = input_.host();
    double wrong = 0;
    double right = 0;
    for (std::size_t e = 0; e < rows_.size(); ++e) {
      if (rows_[e] == 0) continue;
      std::vector<std::uint16_t> gate_up(gate_up_size);
      std::vector<std::uint16_t> down(down_size);
      check(cudaMemcpy(gate_up.data(), gate_up_.get() + e * gate_up_size, gate_up_size * 2, cudaMemcpyDeviceToHost),
            "copy");
      check(cudaMemcpy(down.data(), down_.get() + e * down_size, down_size * 2, cudaMemcpyDeviceToHost), "copy");
      std::vector<std::size_t> chosen;
      const int count = std::min(rows_[e], most);
      for (int i = 0; i < count; ++i)
        chosen.push_back(size(offsets_[e]) + (count == 1 ? 0 : size(i) * size(rows_[e] - 1) / size(count - 1)));
      std::vector<const std::uint16_t*> inputs;
      for (const std::size_t row : chosen) inputs.push_back(input.data() + row * hidden);
      const auto expected = ffn_reference(gate_up.data(), down.data(), shape_.hidden, shape_.intermediate, inputs);
      for (std::size_t r = 0; r < chosen.size(); ++r) {
        double row_wrong = 0;
        double row_right = 0;
        for (std::size_t h = 0; h < hidden; ++h) {
          const double difference = static_cast<double>(from_bf16(output[chosen[r] * hidden + h])) - expected[r][h];
          row_wrong += difference * difference;
          row_right += expected[r][h] * expected[r][h];
        }
        // A wrong row must not hide among right ones.
        if (!(row_wrong < 4e-4 * row_right) && ++reported_ < 6)
          ADD_FAILURE() << "expert " << e << " row " << chosen[r] << " (first " << offsets_[e] << "): relative error "
                        << std::sqrt(row_wrong / row_right);
        wrong += row_wrong;
        right += row_right;
      }
    }
    return std::sqrt(wrong / right);
  }

  /// Every row of an expert is written, no other.
  void expect_written(const std::vector<std::uint16_t>& output) const {
    const std::size_t hidden = size(shape_.hidden);
    const std::size_t written = size(offsets_.back()) * hidden;
    const auto unwritten = std::count(output.begin(), output.begin() + static_cast<std::ptrdiff_t>(written), kPoison);
    EXPECT_EQ(unwritten, 0);
    const auto beyond = std::count(output.begin() + static_cast<std::ptrdiff_t>(written), output.end(), kPoison);
    EXPECT_EQ(static_cast<std::size_t>(beyond), output.size() - written) << "rows behind the last expert were written";
  }

 private:
  static std::size_t size(std::int64_t value) { return static_cast<std::size_t>(value); }
  static std::vector<std::int32_t> offsets_of(const std::vector<int>& rows) {
    std::vector<std::int32_t> offsets(rows.size() + 1, 0);
    std::partial_sum(rows.begin(), rows.end(), offsets.begin() + 1);
    return offsets;
  }

  GroupedFfnShape shape_;
  std::vector<int> rows_;
  std::vector<std::int32_t> offsets_;
  std::int64_t max_rows_;
  DeviceBuffer<std::uint16_t> gate_up_;
  DeviceBuffer<std::uint16_t> down_;
  DeviceBuffer<std::uint16_t> input_;
  DeviceBuffer<std::uint16_t> output_;
  DeviceBuffer<unsigned char> workspace_;
  DeviceBuffer<std::int32_t> device_offsets_;
  int reported_ = 0;
};

constexpr double kMostError = 1e-2;

/// Runs one load and checks error, writes, that a second launch on the same counters and the two parts agree to the
/// bit.
void expect_right(Layer& layer, int tile_tokens, FfnPath path, int variant, int most_rows) {
  layer.poison_workspace();
  const kernels::GroupedFfnPlan plan = layer.plan(tile_tokens, path, variant);
  const std::vector<std::uint16_t> output = layer.run(plan);
  layer.expect_written(output);
  EXPECT_LT(layer.error(output, most_rows), kMostError);
  EXPECT_TRUE(layer.run(plan) == output) << "a second launch gave another result";
  EXPECT_TRUE(layer.run(plan, true) == output) << "gate-up and down alone gave another result";
}

const std::vector<std::vector<int>>& ragged_loads() {
  static const std::vector<std::vector<int>> loads = {
      {1},                                         // one token
      {0, 0, 1, 0},                                // between idle experts
      {16, 32, 64, 128},                           // whole tiles
      {17, 0, 33, 65, 129, 0, 257, 1},             // one row more than a tile
      {300, 3, 0, 0, 0, 15, 31, 63, 127, 255, 0},  // one row less
  };
  return loads;
}

std::string load_name(const std::vector<int>& load) {
  std::string name = "rows";
  for (const int rows : load) name.append(" ").append(std::to_string(rows));
  return name;
}

TEST(GroupedFfnPlain, MatchesReferenceOnRaggedLoads) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  std::uint32_t seed = 1;
  for (const auto& load : ragged_loads())
    for (const int tile : {16, 64}) {
      SCOPED_TRACE(load_name(load) + ", tile " + std::to_string(tile));
      Layer layer({static_cast<int>(load.size()), 136, 72}, load, ++seed);
      expect_right(layer, tile, FfnPath::plain, 0, 1000);
    }
}

TEST(GroupedFfnSm90, EveryVariantMatchesReferenceOnRaggedLoads) {
  if (!hopper_present()) GTEST_SKIP() << "no Hopper GPU";
  std::uint32_t seed = 100;
  for (int variant = 1; kernels::ffn_variant_name(variant) != nullptr; ++variant) {
    const std::string name = kernels::ffn_variant_name(variant);
    const int tile = std::stoi(name);  // names start with the tile
    for (const auto& load : ragged_loads())
      for (const auto& sizes : {std::pair{136, 72}, std::pair{512, 384}}) {
        SCOPED_TRACE(name + ", " + load_name(load) + ", hidden " + std::to_string(sizes.first));
        Layer layer({static_cast<int>(load.size()), sizes.first, sizes.second}, load, ++seed);
        expect_right(layer, tile, FfnPath::sm90, variant, 1000);
        if (::testing::Test::HasFailure()) {
          ADD_FAILURE() << "stopped at the first wrong load of this variant";
          break;
        }
      }
  }
}

TEST(GroupedFfn, AGraphReplaysWithOtherOffsets) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  for (const int tile : {16, 128, 256}) {
    SCOPED_TRACE("tile " + std::to_string(tile));
    Layer layer({6, 256, 192}, {40, 1, 200, 64, 3, 92}, 31);
    const kernels::GroupedFfnPlan plan = layer.plan(tile, FfnPath::automatic);
    cudaStream_t stream = nullptr;
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    check(cudaDeviceSynchronize(), "make the layer");
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "make a stream");
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "begin capture");
    check(kernels::launch_grouped_ffn(plan, stream), "launch");
    check(cudaStreamEndCapture(stream, &graph), "end capture");
    check(cudaGraphInstantiate(&executable, graph, 0), "instantiate the graph");
    for (const auto& load :
         {std::vector<int>{40, 1, 200, 64, 3, 92}, {1, 390, 2, 3, 1, 3}, {100, 20, 80, 100, 7, 93}}) {
      layer.set_rows(load);
      layer.poison_output();
      check(cudaGraphLaunch(executable, stream), "replay");
      check(cudaStreamSynchronize(stream), "replay");
      layer.expect_written(layer.output());
      EXPECT_LT(layer.error(layer.output(), 1000), kMostError);
    }
    check(cudaGraphExecDestroy(executable), "destroy");
    check(cudaGraphDestroy(graph), "destroy");
    check(cudaStreamDestroy(stream), "destroy");
  }
}

TEST(GroupedFfn, ServesAsManyExpertsAsItSays) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  std::vector<int> load(kernels::kMostFfnExperts, 0);
  for (std::size_t e = 0; e < load.size(); e += 7) load[e] = static_cast<int>(e % 37);
  Layer layer({kernels::kMostFfnExperts, 64, 64}, load, 41);
  for (const int tile : {16, 256}) expect_right(layer, tile, FfnPath::automatic, 0, 3);
}

TEST(GroupedFfn, NoRowsAtAllWritesNothing) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  Layer layer({3, 128, 128}, {0, 0, 0}, 5);
  layer.expect_written(layer.run(layer.plan(16, FfnPath::automatic)));
}

struct ModelShape {
  const char* name;
  int hidden;
  int intermediate;
};

class GroupedFfnModels : public ::testing::TestWithParam<ModelShape> {};

TEST_P(GroupedFfnModels, MatchesReferenceOnChosenRows) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  const ModelShape model = GetParam();
  const std::vector<int> load = {3, 0, 150};
  Layer layer({static_cast<int>(load.size()), model.hidden, model.intermediate}, load, 9);
  for (const int tile : {16, 32, 64, 128, 256}) {
    SCOPED_TRACE("tile " + std::to_string(tile));
    const std::vector<std::uint16_t> output = layer.run(layer.plan(tile, FfnPath::automatic));
    layer.expect_written(output);
    if (tile == 16 || tile == 128) {
      EXPECT_LT(layer.error(output, 3), kMostError);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    PublishedShapes, GroupedFfnModels,
    ::testing::Values(ModelShape{"Mixtral_8x7B", 4096, 14336}, ModelShape{"Mixtral_8x22B", 6144, 16384},
                      ModelShape{"Qwen3_30B", 2048, 768}, ModelShape{"Qwen3_235B", 4096, 1536},
                      ModelShape{"DeepSeek_V2_Lite", 2048, 1408}, ModelShape{"DeepSeek_V3", 7168, 2048},
                      ModelShape{"Llama_4", 5120, 8192}, ModelShape{"OLMoE", 2048, 1024},
                      ModelShape{"Phi_3_5_MoE", 4096, 6400}, ModelShape{"gpt_oss", 2880, 2880},
                      ModelShape{"GLM_4_5", 5120, 1536}, ModelShape{"GLM_4_5_Air", 4096, 1408},
                      ModelShape{"Qwen3_Next", 2048, 512}, ModelShape{"MiniMax_M2", 3072, 1536},
                      ModelShape{"Hunyuan_A13B", 4096, 3072}, ModelShape{"Granite_3_1B", 1024, 512},
                      ModelShape{"Granite_3_3B", 1536, 512}, ModelShape{"Granite_4_Small", 4096, 768},
                      ModelShape{"Qwen3_Coder", 6144, 2560}, ModelShape{"Qwen3_5_397B", 4096, 1024}),
    [](const auto& case_info) { return std::string(case_info.param.name); });

TEST(GroupedFfn, RejectsWhatItCannotServe) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  DeviceBuffer<unsigned char> any(4096);
  kernels::GroupedFfnArguments good;
  good.shape = {1, 64, 64};
  good.gate_up = good.down = good.input = any.get();
  good.output = good.workspace = any.get();
  good.offsets = reinterpret_cast<const std::int32_t*>(any.get());
  good.max_rows = 1;
  good.tile_tokens = 16;
  kernels::GroupedFfnPlan plan;
  EXPECT_EQ(kernels::make_grouped_ffn_plan(good, &plan, nullptr), cudaSuccess);
  for (const int tile : {0, 8, 17, 512}) {
    auto bad = good;
    bad.tile_tokens = tile;
    EXPECT_EQ(kernels::make_grouped_ffn_plan(bad, &plan, nullptr), cudaErrorInvalidValue) << tile;
  }
  auto bad = good;
  bad.shape.hidden = 60;
  EXPECT_EQ(kernels::make_grouped_ffn_plan(bad, &plan, nullptr), cudaErrorInvalidValue);
  bad = good;
  bad.input = any.get() + 2;
  EXPECT_EQ(kernels::make_grouped_ffn_plan(bad, &plan, nullptr), cudaErrorInvalidValue);
  bad = good;
  bad.offsets = nullptr;
  EXPECT_EQ(kernels::make_grouped_ffn_plan(bad, &plan, nullptr), cudaErrorInvalidValue);
  check(cudaDeviceSynchronize(), "finish");
}

}  // namespace
}  // namespace gem::test
