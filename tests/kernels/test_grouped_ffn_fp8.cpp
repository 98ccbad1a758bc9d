// Quantising and the grouped FFN in fp8 on random data, product by product against f64 references of the dequantised
// operands (tight), and as a whole against the operands before they were quantised (loose).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/fp8_layer.hpp"

namespace gem::test {
namespace {

using kernels::FfnPart;
using kernels::FfnPath;
using kernels::FfnType;

// The second product alone: rounding to bf16 is 2e-3 of it, the tensor cores' coarse sums some 1e-4.
constexpr double kMostDownError = 5e-3;
// Of the activations, beyond rounding to e4m3, relative to the greatest of their block.
constexpr double kMostActivationError = 5e-3;
// Against operands that weren't quantised: each of five quantisations costs about 2.6 %, in sum 7 %, in a short row up
// to 11 %.
constexpr double kMostUnquantisedError = 0.13;

double norm(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum);
}

/// Relative norm of row `row` of `output` against `expected`; NaN if there's one in the row.
double row_error(const std::vector<std::uint16_t>& output, std::size_t row, const std::vector<double>& expected) {
  std::vector<double> difference(expected.size());
  for (std::size_t h = 0; h < expected.size(); ++h)
    difference[h] = static_cast<double>(from_bf16(output[row * expected.size() + h])) - expected[h];
  return norm(difference) / norm(expected);
}

void launch(const kernels::GroupedFfnPlan& plan, FfnPart part) {
  check(kernels::launch_grouped_ffn(plan, nullptr, part), "launch");
  check(cudaDeviceSynchronize(), "run the grouped FFN");
}

void expect_written(const Fp8Layer& layer, const std::vector<std::uint16_t>& output) {
  const auto written = static_cast<std::ptrdiff_t>(layer.row_count() * layer.hidden());
  EXPECT_EQ(std::count(output.begin(), output.begin() + written, kPoison), 0);
  EXPECT_EQ(std::count(output.begin() + written, output.end(), kPoison), output.end() - output.begin() - written)
      << "rows behind the last expert were written";
}

/// Activations are the reference's, rounded to e4m3 of the greatest of their block over 448.
void expect_quantised(const std::vector<double>& expected, const std::vector<double>& found, std::size_t row,
                      int* reported) {
  for (std::size_t first = 0; first < expected.size(); first += 128) {
    double greatest = 0;
    for (std::size_t i = first; i < first + 128; ++i) greatest = std::max(greatest, std::abs(expected[i]));
    const double scale = greatest / 448;
    for (std::size_t i = first; i < first + 128; ++i) {
      const double bound = half_step_e4m3(expected[i] / scale) * scale + kMostActivationError * greatest;
      if (!(std::abs(found[i] - expected[i]) <= bound) && ++*reported < 6)
        ADD_FAILURE() << "activation " << i << " of row " << row << " is " << found[i] << ", not " << expected[i];
    }
  }
}

/// Runs one load whole, twice, and in parts; checks writes, both products, and that all runs agree to the bit.
void expect_right(Fp8Layer& layer, int tile_tokens, FfnPath path, int variant, int most_rows) {
  layer.poison_workspace();
  kernels::GroupedFfnPlan plan;
  check(kernels::make_grouped_ffn_plan(layer.arguments(tile_tokens, path, variant), &plan, nullptr), "make the plan");
  layer.poison_output();
  launch(plan, FfnPart::whole);
  const std::vector<std::uint16_t> output = layer.output();
  expect_written(layer, output);
  layer.poison_output();
  launch(plan, FfnPart::whole);
  EXPECT_TRUE(layer.output() == output) << "a second launch gave another result";
  layer.poison_output();
  launch(plan, FfnPart::gate_up);
  launch(plan, FfnPart::down);
  EXPECT_TRUE(layer.output() == output) << "gate-up and down alone gave another result";

  const kernels::FfnWorkspace workspace = kernels::ffn_workspace(plan.arguments);
  std::vector<std::uint8_t> values(layer.row_count() * layer.intermediate());
  std::vector<float> scales(layer.scale_stride() * layer.intermediate() / 128);
  check(cudaMemcpy(values.data(), workspace.activations, values.size(), cudaMemcpyDeviceToHost), "copy");
  check(cudaMemcpy(scales.data(), workspace.activation_scales, scales.size() * sizeof(float), cudaMemcpyDeviceToHost),
        "copy");
  int reported = 0;
  for (std::size_t e = 0; e < layer.rows().size(); ++e) {
    if (layer.rows()[e] == 0) continue;
    const std::vector<std::size_t> chosen = layer.chosen_rows(e, most_rows);
    const Rows expected = layer.activation_reference(e, chosen);
    const Rows found = layer.dequantised_rows(values.data(), scales.data(), layer.intermediate(), chosen);
    const Rows down = layer.down_reference(e, found);
    const Rows unquantised = layer.unquantised_reference(e, chosen);
    for (std::size_t r = 0; r < chosen.size(); ++r) {
      expect_quantised(expected[r], found[r], chosen[r], &reported);
      const double down_error = row_error(output, chosen[r], down[r]);
      const double unquantised_error = row_error(output, chosen[r], unquantised[r]);
      if (!(down_error < kMostDownError && unquantised_error < kMostUnquantisedError) && ++reported < 6)
        ADD_FAILURE() << "expert " << e << " row " << chosen[r] << ": relative error " << down_error
                      << " of the second product, " << unquantised_error << " against unquantised operands";
    }
  }
}

const std::vector<std::vector<int>>& ragged_loads() {
  static const std::vector<std::vector<int>> loads = {
      {1},                              // one token
      {0, 0, 1, 0},                     // between idle experts
      {16, 32, 64, 128},                // whole tiles
      {17, 0, 33, 65, 129, 0, 257, 1},  // one row more than a tile
      {7, 300, 2, 40},
  };
  return loads;
}

std::string load_name(const std::vector<int>& load) {
  std::string name = "load";
  for (const int rows : load) name.append(" ").append(std::to_string(rows));
  return name;
}

TEST(Quantise, RowsAndWeightsAreRoundedToTheGreatestOfTheirBlock) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  constexpr std::size_t kRows = 256, kColumns = 384, kStride = 260;
  std::vector<std::uint16_t> values;
  {
    DeviceBuffer<std::uint16_t> random(kRows * kColumns);
    check(kernels::launch_random_bf16(random.get(), kRows * kColumns, 3.0f, 5, nullptr), "random values");
    values = random.host();
  }
  // One block of zeros, and one outlier.
  for (std::size_t r = 0; r < 128; ++r)
    for (std::size_t c = 0; c < 128; ++c) values[r * kColumns + c] = 0;
  values[200 * kColumns + 130] = to_bf16(-1000.0f);
  const DeviceBuffer<std::uint16_t> input(values);
  const DeviceBuffer<std::uint8_t> quantised(kRows * kColumns);
  const auto expect_close = [&](const auto& scale_at, auto greatest_of) {
    const std::vector<std::uint8_t> found = quantised.host();
    for (std::size_t r = 0; r < kRows; ++r)
      for (std::size_t c = 0; c < kColumns; ++c) {
        const auto scale = static_cast<double>(scale_at(r, c));
        const double greatest = std::max(1e-10, greatest_of(r, c));
        ASSERT_NEAR(scale, greatest / 448, greatest * 1e-9) << r << ", " << c;
        const auto value = static_cast<double>(from_bf16(values[r * kColumns + c]));
        ASSERT_NEAR(from_e4m3(found[r * kColumns + c]) * scale, value, half_step_e4m3(value / scale) * scale * 1.001)
            << r << ", " << c;
      }
  };
  const auto greatest_in = [&](std::size_t row, std::size_t rows, std::size_t column) {
    double greatest = 0;
    for (std::size_t r = row; r < row + rows; ++r)
      for (std::size_t c = column; c < column + 128; ++c)
        greatest = std::max(greatest, std::abs(static_cast<double>(from_bf16(values[r * kColumns + c]))));
    return greatest;
  };

  const DeviceBuffer<float> row_scales(kColumns / 128 * kStride);
  check(
      kernels::launch_quantise_rows(input.get(), kRows, kColumns, quantised.get(), row_scales.get(), kStride, nullptr),
      "quantise rows");
  const std::vector<float> of_rows = row_scales.host();
  expect_close([&](std::size_t r, std::size_t c) { return of_rows[c / 128 * kStride + r]; },
               [&](std::size_t r, std::size_t c) { return greatest_in(r, 1, c / 128 * 128); });

  const DeviceBuffer<float> block_scales(kRows / 128 * kColumns / 128);
  check(kernels::launch_quantise_weights(input.get(), kRows, kColumns, quantised.get(), block_scales.get(), nullptr),
        "quantise weights");
  const std::vector<float> of_blocks = block_scales.host();
  expect_close([&](std::size_t r, std::size_t c) { return of_blocks[r / 128 * (kColumns / 128) + c / 128]; },
               [&](std::size_t r, std::size_t c) { return greatest_in(r / 128 * 128, 128, c / 128 * 128); });
}

TEST(GroupedFfnFp8Plain, MatchesReferenceOnRaggedLoads) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  std::uint32_t seed = 0;
  for (const auto& load : ragged_loads()) {
    SCOPED_TRACE(load_name(load));
    Fp8Layer layer(384, 256, load, ++seed);
    expect_right(layer, 16, FfnPath::plain, 0, 8);
  }
}

TEST(GroupedFfnFp8Sm90, EveryVariantMatchesReferenceOnRaggedLoads) {
  if (!hopper_present()) GTEST_SKIP() << "no Hopper GPU";
  std::uint32_t seed = 100;
  for (int variant = 1; kernels::ffn_variant_name(variant, FfnType::fp8) != nullptr; ++variant) {
    const std::string name = kernels::ffn_variant_name(variant, FfnType::fp8);
    const int tile = std::stoi(name);  // names start with the tile
    for (const auto& load : ragged_loads())
      for (const auto& sizes : {std::pair{128, 128}, std::pair{384, 640}, std::pair{1024, 256}}) {
        SCOPED_TRACE(name + ", " + load_name(load) + ", hidden " + std::to_string(sizes.first));
        Fp8Layer layer(sizes.first, sizes.second, load, ++seed);
        expect_right(layer, tile, FfnPath::sm90, variant, 20);
        if (::testing::Test::HasFailure()) return;
      }
  }
}

TEST(GroupedFfnFp8, MatchesReferenceAtPublishedShapes) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  for (const auto& sizes : {std::pair{7168, 2048}, std::pair{4096, 1536}}) {  // DeepSeek-V3, Qwen3-235B
    Fp8Layer layer(sizes.first, sizes.second, {3, 0, 150}, 9);
    for (const int tile : {16, 128}) {
      SCOPED_TRACE("hidden " + std::to_string(sizes.first) + ", tile " + std::to_string(tile));
      expect_right(layer, tile, FfnPath::automatic, 0, 2);
    }
  }
}

TEST(GroupedFfnFp8, AGraphReplaysWithOtherOffsets) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  for (const int tile : {16, 128}) {
    SCOPED_TRACE("tile " + std::to_string(tile));
    const std::vector<int> first = {40, 1, 200, 64, 3, 92};
    const std::vector<int> second = {1, 390, 2, 3, 1, 3};
    Fp8Layer layer(256, 384, first, 31);
    kernels::GroupedFfnPlan plan;
    check(kernels::make_grouped_ffn_plan(layer.arguments(tile, FfnPath::automatic), &plan, nullptr), "make the plan");
    check(cudaDeviceSynchronize(), "make the layer");
    cudaStream_t stream = nullptr;
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "make a stream");
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "begin capture");
    check(kernels::launch_grouped_ffn(plan, stream), "launch");
    check(cudaStreamEndCapture(stream, &graph), "end capture");
    check(cudaGraphInstantiate(&executable, graph, 0), "instantiate the graph");
    for (const auto& load : {first, second}) {
      layer.set_rows(load);
      layer.poison_output();
      check(cudaGraphLaunch(executable, stream), "replay");
      check(cudaStreamSynchronize(stream), "replay");
      const std::vector<std::uint16_t> replayed = layer.output();
      layer.poison_output();
      launch(plan, FfnPart::whole);
      EXPECT_TRUE(layer.output() == replayed) << load_name(load);
      expect_written(layer, replayed);
    }
    check(cudaGraphExecDestroy(executable), "destroy");
    check(cudaGraphDestroy(graph), "destroy");
    check(cudaStreamDestroy(stream), "destroy");
  }
}

TEST(GroupedFfnFp8, NoRowsAtAllWritesNothing) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  Fp8Layer layer(128, 128, {0, 0, 0}, 5);
  kernels::GroupedFfnPlan plan;
  check(kernels::make_grouped_ffn_plan(layer.arguments(16, FfnPath::automatic), &plan, nullptr), "make the plan");
  launch(plan, FfnPart::whole);
  expect_written(layer, layer.output());
}

TEST(GroupedFfnFp8, RejectsWhatItCannotServe) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  const Fp8Layer layer(128, 128, {1}, 1);
  const kernels::GroupedFfnArguments good = layer.arguments(16, FfnPath::automatic);
  kernels::GroupedFfnPlan plan;
  EXPECT_EQ(kernels::make_grouped_ffn_plan(good, &plan, nullptr), cudaSuccess);
  auto bad = good;
  bad.tile_tokens = 256;
  EXPECT_EQ(kernels::make_grouped_ffn_plan(bad, &plan, nullptr), cudaErrorInvalidValue);
  bad = good;
  bad.shape.intermediate = 64;
  EXPECT_EQ(kernels::make_grouped_ffn_plan(bad, &plan, nullptr), cudaErrorInvalidValue);
  bad = good;
  bad.input_scales = nullptr;
  EXPECT_EQ(kernels::make_grouped_ffn_plan(bad, &plan, nullptr), cudaErrorInvalidValue);
  check(cudaDeviceSynchronize(), "finish");
}

}  // namespace
}  // namespace gem::test
