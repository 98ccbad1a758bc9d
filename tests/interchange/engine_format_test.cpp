#include "interchange/engine_format.hpp"

#include <gtest/gtest.h>

#include <fmt/core.h>
#include <algorithm>
#include <filesystem>

#include "base/error.hpp"
#include "interchange/engine_export.hpp"
#include "interchange/interchange_examples.hpp"
#include "jobs/program_run.hpp"

namespace gem {
namespace {

PhysicalMap shape_of(const PhysicalMap& map) {
  PhysicalMap shape = map;
  shape.physical_to_logical = Matrix<std::int32_t>(map.layer_count(), 0);
  return shape;
}

PhysicalMap read_back(const EngineFormat& engine, const std::string& text, const PhysicalMap& shape) {
  return map_of_rows(engine.read(text, "file"), shape, "file");
}

TEST(EngineFormat, EveryFormatReadsBackWhatItWrote) {
  for (const auto& [experts, devices] : {std::pair{8, 4}, {32, 8}, {60, 3}, {4, 4}, {6, 1}}) {
    const PhysicalMap map =
        physical_map_of(random_mapping(3, static_cast<std::size_t>(experts), static_cast<std::size_t>(devices), 5));
    for (const EngineFormat* engine : engine_formats())
      EXPECT_EQ(read_back(*engine, engine->text_of(map, "file"), shape_of(map)), map) << engine->name;
  }
}

TEST(EngineFormat, WritesWhatTheEnginesDocument) {
  Mapping mapping = random_mapping(2, 4, 2, 1);
  mapping.layer_ids = {3, 1};
  mapping.expert_to_device.values() = {1, 0, 0, 1, /* layer 1: */ 0, 1, 0, 1};
  const PhysicalMap map = physical_map_of(mapping);  // layer 1 first
  EXPECT_EQ(sglang_format.text_of(with_all_layers(map, 5), ""),
            "{\"physical_to_logical_map\": [\n[0, 1, 2, 3],\n[0, 2, 1, 3],\n[0, 1, 2, 3],\n[1, 2, 0, 3],\n[0, 1, 2, "
            "3]\n]}\n");
  const std::string yaml = tensorrt_llm_format.text_of(map, "f.yaml");
  EXPECT_NE(yaml.find("\nnum_slots: 4\nlayer_updates_per_iter: 0\ninitial_global_assignments:\n"
                      "  1: [0, 2, 1, 3]\n  3: [1, 2, 0, 3]\n"),
            std::string::npos)
      << yaml;
  EXPECT_EQ(yaml.substr(0, 2), "# ");
  EXPECT_EQ(vllm_ascend_format.text_of(map, ""),
            "{\"moe_layer_count\": 2, \"layer_list\": [\n"
            "{\"layer_id\": 0, \"device_count\": 2, \"device_list\": [\n"
            "  {\"device_id\": 0, \"device_expert\": [0, 2]},\n  {\"device_id\": 1, \"device_expert\": [1, 3]}]},\n"
            "{\"layer_id\": 1, \"device_count\": 2, \"device_list\": [\n"
            "  {\"device_id\": 0, \"device_expert\": [1, 2]},\n  {\"device_id\": 1, \"device_expert\": [0, 3]}]}]}\n");
  EXPECT_EQ(
      vllm_format.text_of(map, ""),
      "{\"record_type\": \"eplb_initial_mapping\", \"version\": 1, \"num_redundant_experts\": 0, \"num_slots\": 4, "
      "\"initial_global_assignments\": {\"0\": [0, 2, 1, 3], \"1\": [1, 2, 0, 3]}}\n");
  EXPECT_EQ(eplb_format.text_of(map, "").size() % 64, 0u);
}

TEST(EngineFormat, RedundantExpertsHaveSlotsOfTheirOwn) {
  Mapping mapping = random_mapping(1, 4, 2, 1);
  mapping.expert_to_device.values() = {1, 0, 0, 1};
  mapping.redundant = Matrix<RedundantCopy>(1, 2);
  mapping.redundant.values() = {{0, 0}, {2, 1}};
  const PhysicalMap map = physical_map_of(mapping);
  EXPECT_EQ(map.physical_to_logical.values(), (std::vector<std::int32_t>{0, 1, 2, 0, 2, 3}));
  for (const EngineFormat* engine : engine_formats()) {
    EXPECT_NO_THROW(check_physical_map(map, engine->name));
    EXPECT_EQ(read_back(*engine, engine->text_of(map, "file"), shape_of(map)), map) << engine->name;
  }
  EXPECT_NE(sglang_format.instructions(map, "f.json").find("--ep-num-redundant-experts 2"), std::string::npos);
  EXPECT_NE(vllm_format.text_of(map, "").find("\"num_redundant_experts\": 2, \"num_slots\": 6"), std::string::npos);
}

TEST(EngineFormat, RefusesWhatAnEngineCannotUse) {
  const PhysicalMap map = physical_map_of(random_mapping(1, 4, 2, 1));
  PhysicalMap twice = map;
  twice.physical_to_logical.values() = {0, 0, 1, 2};
  EXPECT_THROW(check_physical_map(twice, "m"), DataError);
  twice.physical_to_logical.values() = {0, 1, 1, 2};
  EXPECT_THROW(check_physical_map(twice, "m"), DataError);  // nobody holds 3
  twice.physical_to_logical.values() = {0, 1, 2, 4};
  EXPECT_THROW(check_physical_map(twice, "m"), DataError);
  for (const char* text :
       {"", "{}", "[1]", "{\"physical_to_logical_map\": [[0, 1, 2, 9]]}", "{\"physical_to_logical_map\": [[0], [1]]}"})
    EXPECT_THROW(read_back(sglang_format, text, shape_of(map)), DataError) << text;
  for (const char* text : {"num_slots: 5\ninitial_global_assignments:\n  1: [0, 1, 2, 3]\n",
                           "num_slots: 4\ninitial_global_assignments:\n  [0, 1, 2, 3]\n",
                           "num_slots: 4\ninitial_global_assignments:\n  1: [0, x, 2, 3]\n", "num_slots: 4\n"})
    EXPECT_THROW(read_back(tensorrt_llm_format, text, shape_of(map)), DataError) << text;
}

TEST(EngineFormat, ReadsYamlAsItsWritersWrapIt) {
  const PhysicalMap map = physical_map_of(random_mapping(1, 4, 2, 1));
  PhysicalMap expected = map;
  expected.physical_to_logical.values() = {3, 0, 2, 1};
  for (const char* list : {"  1: [3, 0,\n    2, 1]\n", "  1:\n  - 3\n  - 0\n  - 2\n  - 1\n"})
    EXPECT_EQ(read_back(tensorrt_llm_format, fmt::format("initial_global_assignments:\n{}num_slots: 4\n", list),
                        shape_of(map)),
              expected)
        << list;
}

TEST(EngineFormat, IsToldByWhatItHolds) {
  const PhysicalMap map = physical_map_of(random_mapping(2, 8, 4, 1));
  for (const EngineFormat* engine : engine_formats())
    for (const EngineFormat* other : engine_formats())
      EXPECT_EQ(other->recognises(engine->text_of(map, "file")), engine == other) << engine->name << other->name;
}

TEST(PhysicalMap, IsAMappingAgain) {
  Mapping mapping = random_mapping(2, 4, 2, 1);
  mapping.redundant = Matrix<RedundantCopy>(2, 2);
  mapping.expert_to_device.values() = {1, 0, 0, 1, /* the second layer: */ 0, 0, 1, 1};
  mapping.redundant.values() = {{0, 0}, {2, 1}, /* the second layer: */ {1, 1}, {3, 0}};
  const PhysicalMap map = physical_map_of(mapping);
  EXPECT_EQ(physical_map_of(mapping_of(map)), map);
}

TEST(EngineFormat, SaysWhenANameWillNotDo) {
  const PhysicalMap map = physical_map_of(random_mapping(1, 4, 2, 1));
  for (const EngineFormat* engine : {&sglang_format, &vllm_ascend_format}) {
    EXPECT_EQ(engine->instructions(map, "a.json").find("Rename"), std::string::npos);
    // What is to be pasted is one word for the shell, whatever the file is called.
    EXPECT_NE(engine->instructions(map, "it's $(odd).json").find("'\\''s $(odd).json"), std::string::npos);
    EXPECT_EQ(engine->instructions(map, "a.txt").find("Rename the file first"), 0u);
  }
}

TEST(EngineFormat, SaysWhichVersionsLoadExpertsInAnotherOrder) {
  const PhysicalMap map = physical_map_of(random_mapping(1, 4, 2, 1));
  const std::string text = vllm_ascend_format.instructions(map, "a.json");
  for (const char* words : {"0.23.0", "0.26.0rc1 to 0.30.0rc2", "linear order", "gem-deploy permute"})
    EXPECT_NE(text.find(words), std::string::npos) << text;
  EXPECT_NE(tensorrt_llm_format.instructions(map, "a.yaml").find("--config"), std::string::npos);
}

TEST(EngineExport, NoFileHoldsLayersOfDifferentExpertCounts) {
  Mapping mapping = random_mapping(2, 8, 2, 3);
  mapping.experts_of_layer = {8, 6};
  for (const EngineFormat* engine : engine_formats()) try {
      map_for_engine(mapping, *engine, {"m", 4, 2, 8});
      ADD_FAILURE() << engine->name;
    } catch (const UsageError& error) {
      EXPECT_NE(std::string(error.what()).find("gem-deploy permute"), std::string::npos) << error.what();
    }
}

TEST(EngineExport, ChecksWhatTheEngineNeeds) {
  const Mapping mapping = random_mapping(3, 8, 2, 1);  // layers 1, 2, 3
  EXPECT_THROW(map_for_engine(mapping, sglang_format, {}), UsageError);
  EXPECT_THROW(map_for_engine(mapping, sglang_format, {"m", 3, 0, 0}), UsageError);   // layer 3 is beyond
  EXPECT_THROW(map_for_engine(mapping, sglang_format, {"m", 4, 3, 16}), UsageError);  // another number of experts
  EXPECT_EQ(map_for_engine(mapping, sglang_format, {"m", 4, 3, 8}).layer_count(), 4u);
  EXPECT_THROW(map_for_engine(mapping, vllm_ascend_format, {"m", 5, 4, 8}), UsageError);  // a layer is missing
  EXPECT_EQ(map_for_engine(mapping, vllm_ascend_format, {"m", 4, 3, 8}).layer_count(), 3u);
  EXPECT_EQ(map_for_engine(mapping, tensorrt_llm_format, {}).layer_count(), 3u);
  const PhysicalMap with_mtp = map_for_engine(mapping, tensorrt_llm_format, {"m", 4, 3, 8, 2});
  EXPECT_EQ(with_mtp.layer_ids, (std::vector<std::int32_t>{1, 2, 3, 4, 5}));
  EXPECT_TRUE(std::ranges::is_sorted(with_mtp.physical_to_logical.row(4)));
  EXPECT_NO_THROW(check_physical_map(with_mtp, "m"));
  EXPECT_THROW(map_for_engine(mapping, tensorrt_llm_format, {"m", 3, 3, 8}), UsageError);     // layer 3 is beyond
  EXPECT_THROW(map_for_engine(mapping, tensorrt_llm_format, {"m", 0, 3, 8, 1}), UsageError);  // behind which layer?
  EXPECT_THROW(map_for_engine(mapping, vllm_ascend_format, {"m", 4, 3, 8, 1}), UsageError);   // places them itself
  for (const char* model : {"gpt-oss-20b", "Mixtral-8x7B", "Llama-4-Scout-17B-16E", "OLMoE-1B-7B", "Phi-3.5-MoE",
                            "Hunyuan-A13B", "Granite-3.x-1B-A400M", "mistralai/Mixtral-8x7B-v0.1", "Trinity-Mini",
                            "zai-org/GLM-4.5V", "Qwen3-Omni-30B-A3B", "Kimi-K3"}) {
    EXPECT_THROW(map_for_engine(mapping, sglang_format, {model, 4, 3, 8}), UsageError) << model;
    EXPECT_NO_THROW(map_for_engine(mapping, vllm_ascend_format, {model, 4, 3, 8})) << model;
  }
  for (const char* model : {"Qwen3-30B-A3B", "GLM-4.5-Air", "Kimi-K2", "deepseek-ai/DeepSeek-V3.1", "MiniMax-M2"})
    EXPECT_NO_THROW(map_for_engine(mapping, sglang_format, {model, 4, 3, 8})) << model;

  const TestFolder folder;
  for (const EngineFormat* engine : engine_formats()) {
    const std::string path = folder.file(engine->name);
    const auto files = export_to_engine(physical_map_of(mapping), *engine, path);
    EXPECT_EQ(files.size(), engine->has_comments ? 1u : 2u);
    for (const std::string& file : files) EXPECT_TRUE(std::filesystem::exists(file)) << file;
  }
}

}  // namespace
}  // namespace gem
