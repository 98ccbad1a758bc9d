#include "interchange/renumbering.hpp"

#include <gtest/gtest.h>

#include <array>
#include <set>

#include "base/error.hpp"
#include "interchange/checkpoint_layout.hpp"
#include "interchange/interchange_examples.hpp"

namespace gem {
namespace {

/// Whether device d's experts get the numbers that linear placement gives to device d.
void expect_linear(const Renumbering& renumbering, const Mapping& mapping) {
  for (std::size_t layer = 0; layer < mapping.layer_count(); ++layer) {
    const Renumbering::Layer* numbers = renumbering.find(mapping.layer_ids[layer]);
    ASSERT_NE(numbers, nullptr);
    const std::set<std::int32_t> distinct(numbers->old_of_new.begin(), numbers->old_of_new.end());
    ASSERT_EQ(distinct.size(), mapping.expert_count());
    for (std::size_t number = 0; number < mapping.expert_count(); ++number)
      EXPECT_EQ(mapping.expert_to_device(layer, static_cast<std::size_t>(numbers->old_of_new[number])),
                static_cast<std::int32_t>(device_of_slot(number, mapping.expert_count(), mapping.device_count)));
  }
}

TEST(Renumbering, MakesTheMappingLinear) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    // 10 devices: 3 experts on the first four, 2 on the others, as vLLM places them.
    const Mapping mapping = random_mapping(3, 24, seed % 2 == 0 ? 4 : 10, seed);
    const Renumbering renumbering = renumbering_of(mapping, 1);
    expect_linear(renumbering, mapping);
    EXPECT_EQ(inverse_of(inverse_of(renumbering)), renumbering);
    EXPECT_EQ(renumbering.find(99), nullptr);
  }
}

// Layers of 8 and 5 experts on two devices.
Mapping layers_of_eight_and_five() {
  Mapping mapping = random_mapping(2, 8, 2, 3);
  mapping.experts_of_layer = {8, 5};
  for (std::size_t expert = 0; expert < 8; ++expert)
    mapping.expert_to_device(1, expert) = expert < 5 ? static_cast<std::int32_t>(expert % 2) : -1;
  return mapping;
}

TEST(Renumbering, GivesEachLayerItsOwnNumberOfExperts) {
  const Mapping mapping = layers_of_eight_and_five();
  const Renumbering renumbering = renumbering_of(mapping, 1);
  EXPECT_EQ(renumbering.find(mapping.layer_ids[0])->old_of_new.size(), 8u);
  const Renumbering::Layer& five = *renumbering.find(mapping.layer_ids[1]);
  EXPECT_EQ(five.old_of_new, (std::vector<std::int32_t>{0, 2, 4, 1, 3}));
  EXPECT_EQ(displaced_experts(renumbering, five), 0u);
  EXPECT_EQ(with_expert_counts(renumbering, {{five.id, 5}}), renumbering);
  EXPECT_THROW(renumbering_of(mapping, 2), UsageError);
  EXPECT_THROW(renumbering_of(mapping, 0), UsageError);
}

TEST(Renumbering, RefusesRedundantExperts) {
  Mapping mapping = random_mapping(1, 4, 2, 1);
  mapping.expert_to_device.values() = {1, 0, 0, 1};
  mapping.redundant = Matrix<RedundantCopy>(1, 2);
  mapping.redundant.values() = {{0, 0}, {2, 1}};
  EXPECT_THROW(renumbering_of(mapping, 1), UsageError);
}

TEST(Renumbering, KeepsGroupsTogether) {
  // Fewer, as many and more devices than groups, and a number that divides neither way.
  for (const auto [experts, devices, groups] :
       {std::array{24, 2, 4}, {24, 4, 4}, {24, 8, 4}, {24, 12, 4}, {24, 3, 2}}) {
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      const auto group_count = static_cast<std::size_t>(groups);
      const Mapping mapping =
          random_mapping(2, static_cast<std::size_t>(experts), static_cast<std::size_t>(devices), seed, group_count);
      const Renumbering renumbering = renumbering_of(mapping, group_count);
      expect_linear(renumbering, mapping);
      const std::size_t per_group = mapping.expert_count() / group_count;
      for (const Renumbering::Layer& layer : renumbering.layers)
        for (std::size_t number = 0; number < layer.old_of_new.size(); ++number)
          EXPECT_EQ(static_cast<std::size_t>(layer.old_of_new[number]) / per_group,
                    static_cast<std::size_t>(layer.old_of_new[number / per_group * per_group]) / per_group);
    }
  }
}

TEST(Renumbering, RefusesWhatWouldSplitGroups) {
  Mapping mapping = random_mapping(1, 8, 2, 0);
  mapping.expert_to_device.values() = {0, 1, 0, 1, 0, 1, 0, 1};  // each device half of each group
  EXPECT_NO_THROW(renumbering_of(mapping, 1));
  try {
    renumbering_of(mapping, 2);
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("2 groups of 4"), std::string::npos) << error.what();
  }
  EXPECT_THROW(renumbering_of(mapping, 3), UsageError);
}

TEST(Renumbering, FitsLayersOfFewerExperts) {
  const Mapping mapping = random_mapping(2, 12, 3, 4);
  const Renumbering whole = renumbering_of(mapping, 1);
  EXPECT_EQ(with_expert_counts(whole, {{mapping.layer_ids[0], 12}}), whole);
  const Renumbering fitted = with_expert_counts(whole, {{mapping.layer_ids[1], 7}});
  EXPECT_EQ(fitted.layers[0], whole.layers[0]);
  const std::vector<std::int32_t>& kept = fitted.layers[1].old_of_new;
  EXPECT_EQ(std::set<std::int32_t>(kept.begin(), kept.end()), (std::set<std::int32_t>{0, 1, 2, 3, 4, 5, 6}));
  // Linear placement of 7 experts on 3 devices: 3, 2, 2.
  const std::array<std::int32_t, 7> device_of_place = {0, 0, 0, 1, 1, 2, 2};
  std::size_t displaced = 0;
  for (std::size_t place = 0; place < 7; ++place)
    displaced += mapping.expert_to_device(1, static_cast<std::size_t>(kept[place])) != device_of_place[place];
  EXPECT_EQ(displaced_experts(whole, fitted.layers[1]), displaced);
  EXPECT_EQ(displaced_experts(whole, whole.layers[0]), 0u);
  EXPECT_EQ(inverse_of(inverse_of(fitted)), fitted);
  const Renumbering grouped = renumbering_of(random_mapping(1, 12, 3, 4, 3), 3);
  EXPECT_THROW(with_expert_counts(grouped, {{grouped.layers[0].id, 7}}), UsageError);
}

TEST(TensorRole, KnowsTheLayouts) {
  using Kind = TensorRole::Kind;
  const auto expect_role = [](const std::string& name, Kind kind, std::int32_t layer = -1, std::int32_t expert = -1) {
    const TensorRole role = role_of(name);
    EXPECT_EQ(role.kind, kind) << name;
    if (layer >= 0) {
      EXPECT_EQ(role.layer, layer) << name;
    }
    if (expert >= 0) {
      EXPECT_EQ(name.substr(role.number_begin, role.number_end - role.number_begin), std::to_string(expert));
    }
  };
  expect_role("model.layers.3.block_sparse_moe.experts.12.w1.weight", Kind::OneExpert, 3, 12);
  expect_role("model.layers.0.mlp.experts.0.gate_proj.weight_scale_inv", Kind::OneExpert, 0, 0);
  expect_role("language_model.model.layers.47.feed_forward.experts.gate_up_proj", Kind::AllExperts, 47);
  expect_role("model.layers.7.mlp.experts.gate_up_proj_blocks", Kind::AllExperts, 7);
  expect_role("model.layers.7.mlp.gate.e_score_correction_bias", Kind::Router, 7);
  expect_role("model.layers.7.mlp.router.bias", Kind::Router, 7);
  expect_role("model.layers.7.mlp.shared_experts.gate_proj.weight", Kind::None);
  expect_role("model.layers.7.mlp.shared_expert_gate.weight", Kind::None);
  expect_role("model.layers.7.self_attn.q_proj.weight", Kind::None);
  expect_role("model.layers.7.mlp.gate_proj.weight", Kind::Unlisted, 7);
  expect_role("mtp.layers.0.mlp.experts.3.gate_proj.weight", Kind::OtherStack);
  expect_role("vision_model.model.layers.0.mlp.experts.3.w1.weight", Kind::OtherStack);
  expect_role("model.layers.x.mlp.experts.3.w1.weight", Kind::Unlisted);
  expect_role("model.expert_bias", Kind::Unlisted);
  expect_role("mtp.0.ffn.experts.3.w1.weight", Kind::OtherStack);
  expect_role("model.predictor_layers.0.moe.experts.3.w1.weight", Kind::OtherStack);
  expect_role("model.shared_experts.3.w1.weight", Kind::None);
  expect_role("model.layers.99999999999.mlp.experts.3.w1.weight", Kind::OtherStack);
  // Names that no layout has: what stands where experts do is looked at, the rest is not.
  expect_role("model.layers.7.mlp.table", Kind::Unlisted, 7);
  expect_role("model.layers.7.mlp.experts.03.w1.weight", Kind::Unlisted, 7);
  expect_role("model.layers.7.router.norm.weight", Kind::Unlisted, 7);
  expect_role("model.layers.7.expert_table", Kind::Unlisted, 7);
  expect_role("model.layers.7.share_expert.up_proj.weight", Kind::None);
  EXPECT_FALSE(role_of("model.layers.7.router.norm.weight").may_have_expert_count);
  EXPECT_TRUE(role_of("model.layers.7.mlp.latent_proj.weight").may_have_expert_count);
  EXPECT_EQ(role_of("model.layers.7.mlp.gate_proj.weight").max_dimensions, 2u);
  EXPECT_EQ(role_of("model.layers.7.mlp.gate.table").max_dimensions, 0u);
  expect_role("layers.7.ffn.gate.tid2eid", Kind::ExpertIds, 7);
  expect_role("transformer.blocks.7.ffn.experts.mlp.w1", Kind::Stacked, 7);
  expect_role("backbone.layers.7.mixer.experts.5.up_proj.weight", Kind::OneExpert, 7, 5);
  expect_role("thinker.model.layers.7.mlp.experts.5.up_proj.weight", Kind::OneExpert, 7, 5);
  expect_role("layers.7.experts.5.w1.weight", Kind::OneExpert, 7, 5);
  expect_role("layers.7.gate.weight", Kind::Router, 7);
  expect_role("", Kind::None);
}

}  // namespace
}  // namespace gem
