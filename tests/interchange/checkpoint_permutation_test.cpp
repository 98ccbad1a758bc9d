#include "interchange/checkpoint_permutation.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.hpp"
#include "jobs/program_run.hpp"

namespace gem {
namespace {

namespace fs = std::filesystem;

constexpr int shard_count = 3;

std::string shard_name(int number) {
  return "model-0000" + std::to_string(number) + "-of-00003.safetensors";
}

/// A shard of one layer with two experts of a byte each, and their router.
std::string shard_text(int layer) {
  const std::string mlp = "model.layers." + std::to_string(layer) + ".mlp.";
  std::string header = "{\"" + mlp +
                       R"(experts.0.up_proj.weight":{"dtype":"U8","shape":[1,1],"data_offsets":[0,1]},")" + mlp +
                       R"(experts.1.up_proj.weight":{"dtype":"U8","shape":[1,1],"data_offsets":[1,2]},")" + mlp +
                       R"(gate.weight":{"dtype":"U8","shape":[2,1],"data_offsets":[2,4]}})";
  return safetensors_prefix(header) + "abAB";
}

struct ThreeLayers {
  ThreeLayers() {
    fs::create_directory(source);
    std::ofstream(source + "/config.json") << R"({"num_experts": 2})";
    for (int i = 0; i < shard_count; ++i)
      std::ofstream(source + "/" + shard_name(i + 1), std::ios::binary) << shard_text(i);
    record.renumbering = {2, 2, {{0, {1, 0}}, {1, {1, 0}}, {2, {1, 0}}}};
  }
  void permute(const std::string& output) const {
    carry_out(plan_permutation(find_checkpoint(source), output, record, false), [](std::uint64_t) {});
  }

  const TestFolder folder;
  const std::string source = folder.file("source"), copy = folder.file("copy");
  PermutationRecord record;
};

TEST(CheckpointPermutation, ACopyOfWhatIsPermutedInPlaceMeanwhileIsRefused) {
  const ThreeLayers model;
  const CheckpointPermutation plan = plan_permutation(find_checkpoint(model.source), model.copy, model.record, false);
  model.permute(model.source);
  EXPECT_THROW(carry_out(plan, [](std::uint64_t) {}), DataError);
  EXPECT_EQ(standing_of(model.copy), PermutationStanding::Unfinished);
  EXPECT_FALSE(fs::exists(model.copy + "/" + shard_name(1)));
}

TEST(CheckpointPermutation, AShardThatIsWrittenToMeanwhileIsRefused) {
  const ThreeLayers model;
  const CheckpointPermutation plan = plan_permutation(find_checkpoint(model.source), model.copy, model.record, false);
  const std::string last = model.source + "/" + shard_name(shard_count);
  fs::last_write_time(last, fs::last_write_time(last) + std::chrono::seconds(1));
  EXPECT_THROW(carry_out(plan, [](std::uint64_t) {}), DataError);
  EXPECT_EQ(standing_of(model.copy), PermutationStanding::Unfinished);
}

TEST(CheckpointPermutation, ACopyOfWhatStaysHasItsExpertsRenumbered) {
  const ThreeLayers model;
  model.permute(model.copy);
  EXPECT_EQ(standing_of(model.copy), PermutationStanding::Permuted);
  const std::string copied = content_of(model.copy + "/" + shard_name(2));
  EXPECT_EQ(copied.substr(copied.size() - 4), "abBA");
}

}  // namespace
}  // namespace gem
