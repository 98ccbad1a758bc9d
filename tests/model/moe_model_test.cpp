#include "model/moe_model.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "temporary_directory.hpp"

namespace gem {
namespace {

TEST(MoeModel, TheBuiltInTableHoldsTheKnownShapes) {
  EXPECT_EQ(known_models().size(), 24u);
  const MoeModel& model = find_model(known_models(), "GPT-OSS-20B");
  EXPECT_EQ(model.expert, (ExpertShape{2880, 2880}));
  EXPECT_EQ(model.expert_count, 32u);
  EXPECT_EQ(model.top_k, 4u);
  EXPECT_EQ(find_model(known_models(), "deepseek-v3").expert_count, 256u);
}

TEST(MoeModel, UnknownNamesListNearOnes) {
  try {
    find_model(known_models(), "mixtral-8x8b");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("Mixtral-8x7B"), std::string::npos) << error.what();
  }
}

TEST(MoeModel, BadTablesSayWhere) {
  const std::string header = "model,hidden_size,moe_intermediate_size,moe_layers,routed_experts,top_k\n";
  EXPECT_EQ(parse_models(header + "tiny,64,32,2,8,2\n", "own.csv").front().layer_count, 2u);
  EXPECT_THROW(parse_models(header, "own.csv"), DataError);
  EXPECT_THROW(parse_models(header + "tiny,64,x,2,8,2\n", "own.csv"), DataError);
  EXPECT_THROW(parse_models(header + "tiny,64,32,2,8,9\n", "own.csv"), DataError);
  EXPECT_THROW(parse_models(header + "tiny,64,32,2,8\n", "own.csv"), DataError);
  try {
    parse_models("model,hidden_size,moe_layers,routed_experts\ntiny,64,2,8\n", "own.csv");
    FAIL();
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("lacks moe_intermediate_size, top_k;"), std::string::npos) << error.what();
  }
}

TEST(MoeModel, AnOptionNamesAKnownModelOrAFile) {
  EXPECT_EQ(model_of_option("gpt-oss-20b").expert_count, 32u);
  EXPECT_THROW(model_of_option("gpt-oss-21b-none"), UsageError);
  EXPECT_THROW(model_of_option("absent.csv"), UsageError);
  const test::TemporaryDirectory folder;
  const std::string path = folder / "own_models.csv";
  const std::string header = "model,hidden_size,moe_intermediate_size,moe_layers,routed_experts,top_k\n";
  std::ofstream(path) << header << "tiny,64,32,2,8,2\n";
  EXPECT_EQ(model_of_option(path).name, "tiny");
  std::ofstream(path) << header << "tiny,64,32,2,8,2\nsmall,128,32,2,8,2\n";
  EXPECT_EQ(model_of_option(path + ":small").expert.hidden_size, 128u);
  EXPECT_THROW(model_of_option(path), UsageError);  // which of the two?
  EXPECT_THROW(model_of_option(path + ":large"), UsageError);
  EXPECT_THROW(model_of_option(path + "x"), UsageError);
}

}  // namespace
}  // namespace gem
