#include "interchange/expert_references.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"

namespace gem {
namespace {

/// Layer 1 exchanges experts 3 and 4 of 12; in layer 2 expert 0 goes to the end.
const Renumbering renumbering{
    3, 12, {{1, {0, 1, 2, 4, 3, 5, 6, 7, 8, 9, 10, 11}}, {2, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0}}}};

std::string renumbered(const std::string& text) {
  const std::string changed = renumbered_references(text, renumbering, "file");
  EXPECT_EQ(renumbered_references(changed, inverse_of(renumbering), "file"), text);
  return changed;
}

void expect_refused(const std::string& text, const std::string& file = "file") {
  EXPECT_THROW(renumbered_references(text, renumbering, file), DataError) << file << ": " << text;
}

TEST(ExpertReferences, AreRenumberedByNameAndByLists) {
  EXPECT_EQ(renumbered(R"({"a": ["model.layers.1.mlp.experts.3.up_proj"]})"),
            R"({"a": ["model.layers.1.mlp.experts.4.up_proj"]})");
  EXPECT_EQ(renumbered(R"({"layers.2.experts.0": {"bits": 8}, "layers.2.experts.11": 4})"),
            R"({"layers.2.experts.11": {"bits": 8}, "layers.2.experts.10": 4})");
  EXPECT_EQ(renumbered(R"(["re:layers\\.2\\.mlp\\.experts\\.(?:0|5)\\..*"])"),
            R"(["re:layers\\.2\\.mlp\\.experts\\.(?:11|4)\\..*"])");
  EXPECT_EQ(renumbered(R"(["re:.*layers.2.mlp.experts.1$", "*layers.2.mlp.experts.5"])"),
            R"(["re:.*layers.2.mlp.experts.0$", "*layers.2.mlp.experts.4"])");
  EXPECT_EQ(renumbered("ignore: [model.layers.1.mlp.experts.4, lm_head]\n# experts\n"),
            "ignore: [model.layers.1.mlp.experts.3, lm_head]\n# experts\n");
  EXPECT_EQ(renumbered("{% experts %} of layers.1"), "{% experts %} of layers.1");
}

TEST(ExpertReferences, StayWhereAllOrNoneIsMeant) {
  for (const char* words :
       {"model.layers.0.mlp.experts.3.up_proj", "mtp.layers.1.mlp.experts.3", "layers.1.mlp.shared_experts.3",
        "layers.1.mlp.experts", "*experts*", "re:.*experts\\\\.[0-9]+\\\\..*", "layers.1.mlp.experts.(3|4).up_proj",
        "layers.1.mlp.experts.7.up_proj", "re:.*experts.*gate_proj", "128 experts", "layers.1.mlp.experts.gate_up_proj",
        "re:.*layers\\\\.(3|5)\\\\.mlp.*", "*layers.1.mlp.experts.1"}) {
    const std::string text = "[\"" + std::string(words) + "\"]";
    EXPECT_EQ(renumbered(text), text);
  }
  // Names that only change places in an array.
  const std::string closed = R"(["layers.1.mlp.experts.3", "layers.1.mlp.experts.4"])";
  EXPECT_EQ(renumbered(closed), closed);
  const std::string numbers = R"({"num_experts": [12, 8], "expert_layers": [1, 2], "experts": [12]})";
  EXPECT_EQ(renumbered(numbers), numbers);
}

TEST(ExpertReferences, AreRefusedWhereTheyCannotBeRenumbered) {
  expect_refused(R"(["model.layers.1.mlp.experts.1{1111111111111111111}"])");  // a count that no integer holds
  for (const char* words : {"experts.3", "*experts.3*", "layers.[12].experts.3", "layers.1.experts.[0-3]",
                            "layers.1.experts.03", "layers.1.experts[3]", "layers.1.experts.(3\\\\.up|5\\\\.up)",
                            "layers.1.experts.*.3.up", "re:.*\\\\.3\\\\.up_proj", "layers.1.experts.12",
                            // "1" at a pattern's end may mean 10 and 11 too, before or after.
                            "re:.*layers\\\\.2.experts\\\\.1", "*layers.2.experts.2"})
    expect_refused("[\"" + std::string(words) + "\"]");
  expect_refused(R"({"pruned_experts": [1, 3]})");
  expect_refused(R"({"experts": {"3": {"bits": 8}}})");
  expect_refused(R"({"physical_to_logical_map": [[0, 2, 1]]})");
  for (const char* text : {R"({"skip": {"layer": 1, "experts": [3]}})", R"([{"layer": 1, "expert": 3, "bits": 8}])",
                           R"({"router_bias": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13]})"})
    expect_refused(text);
}

TEST(ExpertReferences, AreRefusedAsNumbersInPlainText) {
  for (const char* text :
       {"pruned_experts: [0, 3]\n", "experts:\n  1:\n    - 0\n    - 3\n", "layers:\n  1:\n    experts:\n    - 3\n",
        "[layer.1]\nexperts = [3, 5]\n", "expert_bits:\n  '3': 8\n", "experts_to_skip: 3\n", "layer 1: experts 3,5\n"})
    expect_refused(text);
  expect_refused(std::string("\xff\xfe{\0\"\0e\0x\0p\0e\0r\0t\0\"\0", 20));
  for (const char* text :
       {"num_experts: 8\nexperts_per_tok: 2\n", "expert_dtype: fp8\nlayers: [1, 2]\n",
        "experts:\n  dtype: fp8\nlayers:\n  - 3\n", "# experts: 3, 5\n", "8 experts, 2 of them a token"})
    EXPECT_EQ(renumbered(text), text);
}

TEST(ExpertReferences, AreRenumberedInNamesOfEveryLayout) {
  for (const auto& [before, after] : std::vector<std::pair<std::string, std::string>>{
           {"model.layers.1.mlp.experts.gate_up_projs.3", "model.layers.1.mlp.experts.gate_up_projs.4"},
           {"layers.1.experts.3.w1", "layers.1.experts.4.w1"},
           {"blk.1.ffn_down.3.weight", "blk.1.ffn_down.4.weight"},
           {"transformer.h.1.moe.experts.3", "transformer.h.1.moe.experts.4"},
           {"model.layers.1.mlp.Experts.3.up_proj", "model.layers.1.mlp.Experts.4.up_proj"}})
    EXPECT_EQ(renumbered("[\"" + before + "\"]"), "[\"" + after + "\"]");
}

TEST(ExpertReferences, AreRefusedInOtherSpellings) {
  for (const char* words :
       {"expert_3", "layer_1.expert_3", "layer1.expert3", "L1.experts-3", "EXPERT 3", "expert #3", "expert=3",
        "layers.1.mlp.expert_3.up_proj", "layers.1.mlp.experts:3", "layers.1.mlp.experts.w1.3",
        "layers.1.mlp.experts.w1.(3|5)", "layers.1.mlp.3.up_proj", "layers.1.mlp.e3.up_proj", "layers.1.moe.gate.3",
        "blk.1.ffn_down_exps.3", "re:.*expert_3.*", "re:.*[Ee]xperts\\\\.3\\\\..*", "Experts 3 and 4 of layer 1",
        // Ranges and lists, of which the first number alone would be taken.
        "layers.1.experts.0-3", "layers.2.experts.0:4", "layers.2.experts.0..3", "layers.1.experts.3,5",
        "layers.1-2.experts.3"}) {
    expect_refused("[\"" + std::string(words) + "\"]");
    expect_refused("{\"" + std::string(words) + "\": 8}");
  }
  for (const char* words :
       {"mixture-of-experts-8x7b", "top-2 of 64 experts", "experts_int8", "expert_v2", "num_experts_8", "expert-70b",
        "blk.1.ffn_gate_exps.weight", "layers.1.mlp.gate_up_proj", "layers.0.mlp.3.up_proj", "visual.blocks.1.mlp.3",
        "shared_expert_3", "layers.1.self_attn.w1.3", "re:.*\\\\bexperts\\\\b.*", "models/moe-base/2",
        "layers.1.mlp.shared_experts.3", "model.layers.1.mlp.experts.gate_up_proj_weight_scale_2", "expert 12 of 12"}) {
    const std::string text = "[\"" + std::string(words) + "\"]";
    EXPECT_EQ(renumbered(text), text);
  }
}

TEST(ExpertReferences, AreRefusedAsNumbersAnywhereBelowAKey) {
  for (const char* text : {R"({"layer_1": {"expert_3": {"bits": 8}}})", R"({"blk.1.ffn_gate_exps": {"3": "Q8_0"}})",
                           R"([["model.layers.1.mlp.experts", 3]])",
                           R"({"gate": {"1": {"bias": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13]}}})",
                           R"({"moe": {"layers": [{"scales": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13]}]}})"})
    expect_refused(text);
  for (const char* text : {R"({"aggregate": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13]})",
                           R"({"moe_layer_freq": [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]})",
                           R"({"moe": {"x": [1, 2]}, "experts": {"a": [1, 2]}})"})
    EXPECT_EQ(renumbered(text), text);
}

TEST(ExpertReferences, AreRefusedInTablesAndFilesOfTheirName) {
  for (const auto& [file, text] :
       std::vector<std::pair<std::string, std::string>>{{"expert_map.csv", "1,3,0\n1,4,1\n"},
                                                        {"expert_map.txt", "3 4 5\n"},
                                                        {"moe_map.tsv", "3\t4\n"},
                                                        {"pruned.csv", "layer,expert_id,score\n1,3,0.5\n"},
                                                        {"routing.csv", "layer,e0\n1,3\n"},
                                                        {"expert_map.json", "[[0, 3], [1, 2]]"},
                                                        {"a/router_map.json", R"({"1": [0, 3, 2]})"},
                                                        {"expert_bits.yaml", "1:\n  3: 8\n"},
                                                        {"recipe.toml", "[experts]\n3 = 8\n"}})
    expect_refused(text, file);
  for (const auto& [file, text] : std::vector<std::pair<std::string, std::string>>{
           {"moe_config.yaml", "experts_per_token: 2\nnum_experts: 12\n"},
           {"experts.json", R"({"num_experts": 12, "hidden_sizes": [1, 2]})"},
           {"loss.csv", "step,loss,num_experts\n1,3,12\n"},
           {"recipe.toml", "[quant]\nbits = 8\n[experts]\ndtype = 'fp8'\n[layers]\n3 = 8\n"}})
    EXPECT_EQ(renumbered_references(text, renumbering, file), text);
}

TEST(ExpertReferences, AnyWordsAreRefusedOrComeBack) {
  const std::vector<std::string> parts = {"experts", "expert", "layers", "blk", "mlp", "ffn_down", "w1",  "shared_",
                                          "1",       "2",      "3",      "11",  ".",   ".",        ".",   "\\\\.",
                                          "(",       ")",      "|",      "[",   "]",   "*",        "-",   "_",
                                          ":",       " ",      "+",      "?",   "$",   "re:",      "[.]", "{"};
  std::mt19937 random(7);
  std::size_t changed = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    std::string text = trial % 2 == 0 ? "[\"" : "[\"layers.2.mlp.experts.";
    for (std::size_t part = 0, count = 1 + random() % 12; part < count; ++part) text += parts[random() % parts.size()];
    text += "\"]";
    try {
      const std::string after = renumbered_references(text, renumbering, "file");
      EXPECT_EQ(renumbered_references(after, inverse_of(renumbering), "file"), text) << after;
      changed += after != text;
    } catch (const DataError&) {
    }
  }
  EXPECT_GT(changed, 0u);
}

}  // namespace
}  // namespace gem
