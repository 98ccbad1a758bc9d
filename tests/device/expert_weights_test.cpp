#include "device/host/expert_weights.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace gem {
namespace {

std::vector<float> weights_of(std::size_t layer, std::int32_t expert, ExpertMatrix matrix) {
  std::vector<float> weights(64 * 48);
  fill_expert_weights(5, layer, ExpertId{expert}, matrix, 64, weights);
  return weights;
}

TEST(ExpertWeights, AreAFunctionOfLayerExpertAndMatrix) {
  EXPECT_EQ(weights_of(2, 3, ExpertMatrix::Up), weights_of(2, 3, ExpertMatrix::Up));
  EXPECT_NE(weights_of(2, 3, ExpertMatrix::Up), weights_of(2, 3, ExpertMatrix::Gate));
  EXPECT_NE(weights_of(2, 3, ExpertMatrix::Up), weights_of(3, 2, ExpertMatrix::Up));
}

TEST(ExpertWeights, KeepActivationsNearOne) {
  double sum = 0.0, squares = 0.0;
  const std::vector<float> weights = weights_of(0, 0, ExpertMatrix::Gate);
  for (float weight : weights) {
    sum += static_cast<double>(weight);
    squares += static_cast<double>(weight) * static_cast<double>(weight);
  }
  const auto count = static_cast<double>(weights.size());
  EXPECT_NEAR(sum / count, 0.0, 0.01);
  EXPECT_NEAR(squares / count * 64.0, 1.0, 0.05);
}

}  // namespace
}  // namespace gem
