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
  EXPECT_THROW(model_of_option("absent.csv"), DataError);
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

TEST(MoeModel, KnowsTheShapeOfAttentionOrRefuses) {
  const MoeModel& oss = find_model(known_models(), "gpt-oss-20b");
  EXPECT_EQ(oss.decoder.attention, AttentionKind::Grouped);
  EXPECT_EQ(oss.decoder.cached_per_token(), 1024u);
  EXPECT_EQ(oss.decoder.seen_tokens(2048, 0), 128u);  // every other layer has a window
  EXPECT_EQ(oss.decoder.seen_tokens(2048, 1), 2048u);
  const MoeModel& lite = find_model(known_models(), "DeepSeek-V2-Lite");
  EXPECT_EQ(lite.decoder.attention, AttentionKind::Latent);
  EXPECT_EQ(lite.decoder.cached_per_token(), 576u);
  EXPECT_EQ(lite.dense_layer_count(), 1u);
  EXPECT_EQ(products_of(lite, StepPart::QueryKeyValue, 8).size(), 3u);
  EXPECT_EQ(products_of(lite, StepPart::Output, 8).front().batch, 16u);
  // In prefill the keys and values of all that is seen are expanded, and nothing is absorbed.
  const MatrixProduct expanded = products_of(lite, StepPart::QueryKeyValue, 8, 100).back();
  EXPECT_EQ(expanded.rows, 108u);
  EXPECT_EQ(expanded.columns, 16u * (128u + 128u));
  EXPECT_EQ(expanded.depth, 512u);
  EXPECT_EQ(products_of(lite, StepPart::Output, 8, 100).size(), 1u);
  EXPECT_EQ(attention_heads(lite.decoder, false), (AttentionHeads{16, 1, 576, 512, true}));
  EXPECT_EQ(attention_heads(lite.decoder, true), (AttentionHeads{16, 16, 192, 128, false}));
  EXPECT_THROW(require_decoder(find_model(known_models(), "Qwen3-Next-80B-A3B")), UsageError);
  for (const MoeModel& model : known_models())
    if (model.decoder.query_heads > 0) {
      require_decoder(model);
      EXPECT_EQ(model.dense_layer_count() > 0, model.decoder.dense_intermediate_size > 0) << model.name;
    }
}

TEST(MoeModel, BadAttentionIsRefusedByLine) {
  const std::string header =
      "model,hidden_size,moe_intermediate_size,moe_layers,routed_experts,top_k,attention,query_heads,kv_heads,"
      "head_size,vocabulary\n";
  EXPECT_EQ(parse_models(header + "tiny,64,32,2,8,2,gqa,8,2,16,100\n", "own.csv").front().decoder.kv_heads, 2u);
  EXPECT_EQ(parse_models(header + "tiny,64,32,2,8,2\n", "own.csv").front().decoder.query_heads, 0u);
  for (const char* bad : {"linear,8,2,16,100", "gqa,8,3,16,100", "gqa,8,,16,100", "latent,8,1,16,100"})
    EXPECT_THROW(parse_models(header + "tiny,64,32,2,8,2," + bad + "\n", "own.csv"), DataError) << bad;
}

}  // namespace
}  // namespace gem
