#include "interchange/checkpoint_layout.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "base/text.hpp"

namespace gem {
namespace {

using Names = std::vector<std::string_view>;

const Names gate_up_down = {"experts.gate_up_proj", "experts.gate_proj", "experts.up_proj", "experts.down_proj"};
const Names w13_w2 = {"experts.w13", "experts.w1", "experts.w2", "experts.w3"};

// A new layout is an entry here and a tiny model in tests/interchange/tiny_layouts.py. Names are those of the models'
// published checkpoints and of transformers, src/transformers/models/*/modeling_*.py and conversion_mapping.py.
const std::array layouts = {
    CheckpointLayout{.models = "Mixtral, Phi-3.5-MoE, MiniMax, Kimi K3, Grok",
                     .block = "block_sparse_moe",
                     .router = {"gate"},
                     .vectors = {"gate.e_score_correction_bias", "e_score_correction_bias"},
                     .numbered = {"experts"},
                     .fused = w13_w2},
    CheckpointLayout{.models =
                         "Qwen2/3-MoE, OLMoE, DeepSeek-V2/V3, Kimi K2, GLM-4.5, Ling, dots.llm1, MiniMax-M2, EXAONE, "
                         "Laguna",
                     .block = "mlp",
                     .router = {"gate"},
                     .vectors = {"gate.e_score_correction_bias", "gate.expert_bias", "e_score_correction_bias",
                                 "expert_bias", "experts.e_score_correction_bias", "experts.expert_bias"},
                     .numbered = {"experts"}},
    CheckpointLayout{.models = "Qwen3.5, Qwen3-VL, GLM-5, models saved by transformers 5",
                     .block = "mlp",
                     .router = {"gate"},
                     .vectors = {"gate.e_score_correction_bias"},
                     .fused = gate_up_down},
    CheckpointLayout{.models = "Hunyuan", .block = "mlp", .router = {"gate.wg"}, .numbered = {"experts"}},
    CheckpointLayout{.models = "Ernie-4.5",
                     .block = "mlp",
                     .router = {"gate"},
                     .vectors = {"moe_statics.e_score_correction_bias", "gate.moe_statics.e_score_correction_bias"},
                     .numbered = {"experts"}},
    CheckpointLayout{.models = "AFMoE",
                     .block = "mlp",
                     .router = {"router.gate"},
                     .vectors = {"expert_bias", "router.expert_bias"},
                     .numbered = {"experts"}},
    CheckpointLayout{.models = "LongCat",
                     .block = "mlp",
                     .router = {"router.classifier"},
                     .vectors = {"router.e_score_correction_bias"},
                     .numbered = {"experts"},
                     .fused = gate_up_down},
    CheckpointLayout{.models = "gpt-oss",
                     .block = "mlp",
                     .router = {"router"},
                     .numbered = {"experts.gate_up_projs", "experts.down_projs"},
                     .fused = gate_up_down},
    CheckpointLayout{.models = "what vLLM and SGLang call fused experts", .block = "mlp", .fused = w13_w2},
    CheckpointLayout{.models = "Aria", .block = "mlp", .router = {"router"}, .fused = {"experts.fc1", "experts.fc2"}},
    CheckpointLayout{.models = "MLX",
                     .block = "mlp",
                     .router = {"gate", "router"},
                     .vectors = {"gate.e_score_correction_bias", "e_score_correction_bias"},
                     .fused = {"switch_mlp.gate_proj", "switch_mlp.up_proj", "switch_mlp.down_proj",
                               "switch_mlp.gate_up_proj", "switch_mlp.fc1", "switch_mlp.fc2"}},
    CheckpointLayout{.models = "MLX, LFM2 and Jamba",
                     .block = "feed_forward",
                     .router = {"gate", "router"},
                     .vectors = {"expert_bias"},
                     .fused = {"switch_mlp.gate_proj", "switch_mlp.up_proj", "switch_mlp.down_proj"}},
    CheckpointLayout{.models = "MLX, Nemotron-3",
                     .block = "mixer",
                     .router = {"gate"},
                     .vectors = {"gate.e_score_correction_bias"},
                     .fused = {"switch_mlp.fc1", "switch_mlp.fc2"}},
    CheckpointLayout{.models = "MLX, Mixtral and MiniMax",
                     .block = "block_sparse_moe",
                     .router = {"gate"},
                     .vectors = {"e_score_correction_bias"},
                     .fused = {"switch_mlp.gate_proj", "switch_mlp.up_proj", "switch_mlp.down_proj"}},
    CheckpointLayout{.models = "Llama-4, Jamba",
                     .block = "feed_forward",
                     .router = {"router"},
                     .numbered = {"experts"},
                     .fused = gate_up_down},
    CheckpointLayout{.models = "LFM2-MoE, Mistral's own names of Mixtral 8x22B",
                     .block = "feed_forward",
                     .router = {"gate"},
                     .vectors = {"expert_bias", "gate.expert_bias", "gate.e_score_correction_bias"},
                     .numbered = {"experts"},
                     .fused = gate_up_down},
    CheckpointLayout{.models = "Granite",
                     .block = "block_sparse_moe",
                     .router = {"router.layer", "router"},
                     .fused = {"input_linear", "output_linear", "experts.gate_up_proj", "experts.down_proj"}},
    CheckpointLayout{.models = "Nemotron-3",
                     .block = "mixer",
                     .router = {"gate"},
                     .vectors = {"gate.e_score_correction_bias"},
                     .numbered = {"experts"},
                     .fused = gate_up_down},
    CheckpointLayout{.models = "DeepSeek-V4",
                     .block = "ffn",
                     .router = {"gate"},
                     .vectors = {"gate.e_score_correction_bias", "gate.bias_vl"},
                     .numbered = {"experts"},
                     .ids = {"gate.tid2eid"}},
    CheckpointLayout{.models = "DeepSeek-V4 as transformers saves it",
                     .block = "mlp",
                     .router = {"gate"},
                     .vectors = {"gate.e_score_correction_bias", "gate.e_score_correction_bias_vl"},
                     .numbered = {"experts"},
                     .fused = gate_up_down,
                     .ids = {"gate.tid2eid"}},
    CheckpointLayout{.models = "Step-3.5",
                     .block = "moe",
                     .router = {"gate", "router"},
                     .vectors = {"router_bias", "router.expert_bias", "gate.e_score_correction_bias"},
                     .numbered = {"experts"},
                     .fused = {"gate_proj", "up_proj", "down_proj"}},
    CheckpointLayout{.models = "DBRX",
                     .layers = "blocks",
                     .block = "ffn",
                     .router = {"router.layer"},
                     .stacked = {"experts.mlp.w1", "experts.mlp.v1", "experts.mlp.w2"}},
    CheckpointLayout{.models = "Mistral's own names", .block = "", .router = {"gate"}, .numbered = {"experts"}},
    CheckpointLayout{.models = "Gemma 4",
                     .block = "",
                     .router = {"router.proj"},
                     .vectors = {"router.per_expert_scale"},
                     .fused = {"experts.gate_up_proj", "experts.down_proj"},
                     .others = {"router.scale"}},
    CheckpointLayout{.models = "GGUF's names",
                     .layers = "blk",
                     .block = "",
                     .router = {"ffn_gate_inp"},
                     .vectors = {"exp_probs_b", "exp_probs_b.bias"},
                     .numbered = {"ffn_gate", "ffn_up", "ffn_down"},
                     .fused = {"ffn_gate_exps", "ffn_up_exps", "ffn_down_exps", "ffn_gate_up_exps"},
                     .others = {"ffn_gate", "ffn_up", "ffn_down", "ffn_gate_inp_shexp", "ffn_gate_shexp",
                                "ffn_up_shexp", "ffn_down_shexp"}},
};

// Of an adapter (LoRA): the factor with the module's rows, and the other, which has none of them.
constexpr std::string_view lora_rows = "lora_B.weight", lora_columns = "lora_A.weight";

// What may stand behind a module's name and a dot or an underscore: its weight, biases, and what quantisation adds with
// a value for each row, each block of a row, or all.
constexpr std::array<std::string_view, 30> tensor_tails = {"weight",
                                                           "bias",
                                                           "scale",
                                                           "scales",
                                                           "biases",
                                                           "blocks",
                                                           "scale_inv",
                                                           "weight_scale",
                                                           "weight_scale_inv",
                                                           "weight_scale_2",
                                                           "weight_scales",
                                                           "weight_blocks",
                                                           "weight_packed",
                                                           "weight_shape",
                                                           "weight_global_scale",
                                                           "weight_bias",
                                                           "input_scale",
                                                           "input_global_scale",
                                                           "activation_scale",
                                                           "qscale_weight",
                                                           "qscale_act",
                                                           "qweight",
                                                           "output_scale",
                                                           "weight_scale_2_inv",
                                                           "weight_zero_point",
                                                           "qzeros",
                                                           "zeros",
                                                           "zero_point",
                                                           "g_idx",
                                                           "weight_g_idx"};

// Parts of names of other stacks, whose layers are numbered anew.
constexpr std::array<std::string_view, 18> other_stacks = {
    "mtp",   "nextn",  "draft",  "eagle",          "medusa",    "vision",   "visual",    "vit.",    "image",
    "audio", "speech", "talker", "code_predictor", "token2wav", "code2wav", "projector", "encoder", "tower"};

// Modules of a dense MLP, beside routed experts in the same block or in layers without any.
constexpr std::array<std::string_view, 11> dense_modules = {
    "gate_proj", "up_proj", "down_proj", "gate_up_proj", "w1", "w2", "w3", "fc1", "fc2", "w13", "linear_fc1"};

// Parts of names of what goes by expert.
constexpr std::array<std::string_view, 9> words_of_experts = {
    "expert", "router", "routing", "moe", "correction_bias", "e_score", "exp_probs", "_exps", "2eid"};

// Modules of shared experts.
constexpr std::array<std::string_view, 8> shared_modules = {
    "shared_expert", "shared_experts",      "shared_mlp", "shared_expert_gate",
    "share_expert",  "shared_experts_gate", "shared_moe", "shared_experts_norm"};

bool contains(const auto& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

/// Takes a number away from the front of `text` that ends there or before a dot, and the dot. Not with leading zeros,
/// which renumbering would not give back.
bool consume_number(std::string_view& text, std::int32_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto length = static_cast<std::size_t>(end - text.data());
  if (error != std::errc{} || number < 0 || (length > 1 && text[0] == '0') ||
      (length < text.size() && text[length] != '.'))
    return false;
  text.remove_prefix(std::min(length + 1, text.size()));
  return true;
}

/// Whether `name` is the module itself or a tensor of it, which `tail` then names.
bool is_of_module(std::string_view name, std::string_view module, std::string_view& tail) {
  if (!name.starts_with(module)) return false;
  name.remove_prefix(module.size());
  if (!name.empty() && name[0] != '.' && name[0] != '_') return false;
  tail = name.substr(std::min<std::size_t>(1, name.size()));
  return tail.empty() || tail == lora_rows || contains(tensor_tails, tail);
}

bool is_of_any(std::string_view name, const Names& modules, std::string_view& tail) {
  return std::ranges::any_of(modules, [&](std::string_view module) { return is_of_module(name, module, tail); });
}

/// Finds the role of `name`, which stands behind layer and block, in one layout.
bool find_in_layout(const CheckpointLayout& layout, std::string_view name, TensorRole& role) {
  using Kind = TensorRole::Kind;
  std::string_view tail;
  for (const std::string_view module : layout.numbered) {
    std::string_view rest = name;
    if (!rest.starts_with(module) || rest.size() <= module.size() || rest[module.size()] != '.') continue;
    rest.remove_prefix(module.size() + 1);
    const auto number_begin = static_cast<std::size_t>(rest.data() - name.data());
    if (!consume_number(rest, role.expert)) continue;
    role.kind = Kind::OneExpert;
    role.number_begin = number_begin;  // within `name`; the caller knows where that stands
    role.number_end = rest.empty() ? name.size() : static_cast<std::size_t>(rest.data() - name.data());
    if (role.number_end > 0 && name[role.number_end - 1] == '.') --role.number_end;
    return true;
  }
  const bool of_columns = name.ends_with(lora_columns);
  if (contains(layout.ids, name))
    role.kind = Kind::ExpertIds;
  else if (of_columns && is_of_any(name.substr(0, name.size() - lora_columns.size() - 1), layout.router, tail))
    role.kind = Kind::None;
  else if (is_of_any(name, layout.router, tail) || contains(layout.vectors, name))
    role.kind = Kind::Router;
  else if (is_of_any(name, layout.fused, tail))
    role.kind = Kind::AllExperts;
  else if (is_of_any(name, layout.stacked, tail))
    role.kind = Kind::Stacked;
  else if (is_of_any(name, layout.others, tail))
    role.kind = Kind::None;
  else
    return false;
  role.tail = tail;
  return true;
}

/// Shared experts, which every token uses.
bool is_shared(std::string_view name) {
  return contains(shared_modules, name.substr(0, name.find('.')));
}

/// How large a tensor may be under a name that no layout has: dense weights and projections have two dimensions, norms
/// one, and what is called otherwise one value for all experts. Unless its module is called after experts or a router,
/// an extent may happen to be the number of experts.
void limit_unlisted(std::string_view name, TensorRole& role) {
  role.kind = TensorRole::Kind::Unlisted;
  const std::string lower = to_lower(name);
  const std::string_view modules = std::string_view(lower).substr(0, std::max<std::size_t>(lower.rfind('.'), 1));
  const std::string_view first = modules.substr(0, modules.find('.'));
  const auto has = [](std::string_view text, std::string_view word) {
    return text.find(word) != std::string_view::npos;
  };
  const bool of_router = has(first, "router") || first == "gate" || has(first, "gate_norm");
  role.may_have_expert_count = !of_router && !has(first, "expert");
  if (contains(dense_modules, first) || has(first, "latent") || (first.ends_with("_proj") && !of_router))
    role.max_dimensions = 2;
  else if (has(modules, "norm"))
    role.max_dimensions = 1;
}

/// Whether some layout has routed experts in this module of a layer.
bool is_moe_block(std::string_view module) {
  return std::ranges::any_of(layouts, [&](const CheckpointLayout& layout) { return layout.block == module; });
}

/// Whether some layout has a router or routed experts in this module without a block around them; `word` names layers.
bool is_module_of_layer(std::string_view word, std::string_view module) {
  return std::ranges::any_of(layouts, [&](const CheckpointLayout& layout) {
    const auto begins = [&](std::string_view name) { return name.substr(0, name.find('.')) == module; };
    return layout.block.empty() && layout.layers == word &&
           (std::ranges::any_of(layout.router, begins) || std::ranges::any_of(layout.numbered, begins) ||
            std::ranges::any_of(layout.fused, begins));
  });
}

bool speaks_of_experts(std::string_view name) {
  const std::string lower = to_lower(name);
  return std::ranges::any_of(words_of_experts,
                             [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

/// Whether a module of a layer outside its block may be a router, by its name: "mlp_gate", "gating".
bool may_be_router(std::string_view module) {
  const auto has = [&](std::string_view word) { return module.find(word) != std::string_view::npos; };
  return (has("gate") || has("gating")) && !contains(dense_modules, module) && !has("attn") && !has("attention") &&
         !has("mamba") && !has("ssm") && !has("per_layer");
}

/// Whether a number stands before what speaks of experts: a layer's, of whatever stack.
bool is_in_numbered_module(std::string_view name) {
  std::int32_t number = 0;
  for (std::size_t begin = 0; begin < name.size();) {
    const std::size_t end = std::min(name.find('.', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (speaks_of_experts(part)) return false;
    if (std::from_chars(part.data(), part.data() + part.size(), number).ptr == part.data() + part.size()) return true;
    begin = end + 1;
  }
  return false;
}

/// Where "LAYERS.N." stands in a name: splits it into what comes before, the number and what comes behind.
bool split_at_layer(std::string_view name, std::string_view& stack, std::string_view& word, std::int32_t& layer,
                    std::string_view& rest) {
  for (std::size_t begin = 0; begin < name.size();) {
    const std::size_t end = std::min(name.find('.', begin), name.size());
    word = name.substr(begin, end - begin);
    rest = name.substr(std::min(end + 1, name.size()));
    if ((word == "layers" || word == "blocks" || word == "blk") && consume_number(rest, layer)) {
      stack = name.substr(0, begin);
      return true;
    }
    begin = end + 1;
  }
  return false;
}

}  // namespace

std::span<const CheckpointLayout> checkpoint_layouts() {
  return layouts;
}

bool is_other_stack(std::string_view prefix) {
  const std::string lower = to_lower(prefix);
  return std::ranges::any_of(other_stacks,
                             [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

TensorRole role_of(std::string_view tensor_name) {
  using Kind = TensorRole::Kind;
  TensorRole role;
  std::string_view word, rest;
  const bool in_layer = split_at_layer(tensor_name, role.stack, word, role.layer, rest);
  if (!in_layer || is_other_stack(role.stack)) {
    role.layer = -1;
    if (!speaks_of_experts(tensor_name) || tensor_name.find("share") != std::string_view::npos) return role;
    if (is_other_stack(tensor_name) || is_in_numbered_module(tensor_name))
      role.kind = Kind::OtherStack;
    else
      limit_unlisted(tensor_name, role);
    return role;
  }
  for (const CheckpointLayout& layout : layouts) {
    std::string_view name = rest;
    if (layout.layers != word) continue;
    if (!layout.block.empty()) {
      if (!name.starts_with(layout.block) || name.size() <= layout.block.size() || name[layout.block.size()] != '.')
        continue;
      name.remove_prefix(layout.block.size() + 1);
    }
    if (!find_in_layout(layout, name, role)) continue;
    if (role.kind == Kind::OneExpert) {
      const auto offset = static_cast<std::size_t>(name.data() - tensor_name.data());
      role.number_begin += offset;
      role.number_end += offset;
    }
    return role;
  }
  const std::size_t first_end = std::min(rest.find('.'), rest.size());
  const std::string_view first = rest.substr(0, first_end);
  const std::string_view in_block = rest.substr(std::min(first_end + 1, rest.size()));
  if (is_shared(rest) || (is_moe_block(first) && is_shared(in_block))) return role;
  if (is_moe_block(first)) {
    limit_unlisted(in_block, role);
  } else if (is_module_of_layer(word, first) || speaks_of_experts(rest)) {
    limit_unlisted(rest, role);
  } else if (may_be_router(first)) {
    role.kind = Kind::Unlisted;
    role.max_dimensions = tensor_name.size();  // it goes by expert if it has as many rows or columns, else not
  }
  return role;
}

}  // namespace gem
