#include "interchange/safetensors.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "interchange/expert_survey.hpp"
#include "interchange/shard_plan.hpp"
#include "jobs/program_run.hpp"

namespace gem {
namespace {

SafetensorsHeader read_text(const TestFolder& folder, const std::string& header, std::size_t data_bytes) {
  std::ofstream(folder.file("f"), std::ios::binary) << safetensors_prefix(header) << std::string(data_bytes, 'x');
  return read_safetensors_header(InputFile(folder.file("f")));
}

TEST(Safetensors, ReadsAHeader) {
  const TestFolder folder;
  const SafetensorsHeader header = read_text(
      folder,
      R"({"__metadata__":{"a":"b"},"x":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}, "y" :{"dtype":"NEW","shape":[],"data_offsets":[8,9]}} )",
      9);
  ASSERT_EQ(header.tensors.size(), 2u);
  EXPECT_EQ(header.tensors[0].name, "x");
  EXPECT_EQ(header.tensors[0].extents, (std::vector<std::size_t>{2, 1}));
  EXPECT_EQ(header.text.substr(header.tensors[1].name_span.begin, 1), "y");
}

TEST(Safetensors, RefusesDamage) {
  const TestFolder folder;
  const auto entry = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"x":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  EXPECT_NO_THROW(read_text(folder, entry("F32", "[2]", "[0,8]"), 8));
  EXPECT_THROW(read_text(folder, entry("F32", "[3]", "[0,8]"), 8), DataError);
  EXPECT_THROW(read_text(folder, entry("F32", "[2]", "[0,8]"), 7), DataError);
  EXPECT_THROW(read_text(folder, entry("F32", "[2]", "[0,8]"), 9), DataError);
  EXPECT_THROW(read_text(folder, entry("F32", "[2]", "[8,0]"), 8), DataError);
  EXPECT_THROW(read_text(folder, entry("F32", "[2]", "[1,9]"), 9), DataError);
  EXPECT_THROW(read_text(folder, entry("U8", "[4611686018427387904,4]", "[0,0]"), 0), DataError);  // 2^64 elements
  EXPECT_THROW(read_text(folder, R"({"x":1})", 0), DataError);
  EXPECT_THROW(read_text(folder, R"({"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"x":{}})", 0), DataError);
  EXPECT_THROW(read_text(folder, "[]", 0), DataError);
  EXPECT_THROW(read_text(folder, "", 0), DataError);
  std::ofstream(folder.file("f"), std::ios::binary) << "\xff\xff\xff\xff\xff\xff\xff\x7f{}";
  EXPECT_THROW(read_safetensors_header(InputFile(folder.file("f"))), DataError);
  std::ofstream(folder.file("f"), std::ios::binary) << "short";
  EXPECT_THROW(read_safetensors_header(InputFile(folder.file("f"))), DataError);
}

TEST(ShardPlan, RenamesAndMovesBlocksAndPadsAsAsked) {
  const TestFolder folder;
  const std::string text = R"({"model.layers.1.mlp.experts.9.w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                           R"("model.layers.1.mlp.gate.weight":{"dtype":"U8","shape":[12,2],"data_offsets":[1,25]}})";
  const SafetensorsHeader header = read_text(folder, text, 25);
  Renumbering renumbering{3, 12, {{1, {9, 1, 2, 3, 4, 5, 6, 7, 8, 0, 10, 11}}}};
  const InputFile file(folder.file("f"));
  const ShardPlan plan = plan_shard(file, header, renumbering, 0);
  EXPECT_NE(plan.prefix.find("experts.0.w"), std::string::npos);
  EXPECT_EQ(plan.prefix.size() % 8, 0u);
  EXPECT_EQ(plan.part_bytes(), 25u);
  ASSERT_EQ(plan.parts.size(), 5u);  // expert, row 9, rows 1 to 8, row 0, rows 10 and 11
  EXPECT_EQ(plan.parts[1].offset, header.data_begin() + 1 + 18);
  ExpertSurvey survey;
  add_to_survey(survey, header);
  const LayerSurvey& layer = survey.layers.at({"model.", 1});
  EXPECT_EQ(layer.numbered.size(), 1u);
  EXPECT_EQ(layer.router_rows, 12u);
  EXPECT_EQ(plan_shard(file, header, renumbering, 509).prefix.size(), 517u);
  EXPECT_EQ(renumbered_index("{\"metadata\": {\"model.layers.1.mlp.experts.9.w\": 1},\n \"weight_map\" : "
                             "{\"model.layers.1.mlp.experts.9.w\": \"model.layers.1.mlp.experts.9.w\"}}",
                             renumbering, "index"),
            "{\"metadata\": {\"model.layers.1.mlp.experts.0.w\": 1},\n \"weight_map\" : "
            "{\"model.layers.1.mlp.experts.0.w\": \"model.layers.1.mlp.experts.9.w\"}}");
  EXPECT_THROW(renumbered_index("{\"weight_map\": {\"a\": \"f\"}, \"metadata\": {\"fp8_experts\": [1, 9]}}",
                                renumbering, "index"),
               DataError);
}

}  // namespace
}  // namespace gem
