#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gem {

/// What a tensor of a checkpoint has to do with the routed experts, by its name.
struct TensorRole {
  enum class Kind {
    None,        ///< nothing: attention, norms, dense and shared experts, other models' layers
    OneExpert,   ///< a tensor of one expert; its number is in the name
    AllExperts,  ///< the first dimension is the experts: fused expert weights, rows of the router, biases
    Unclear,     ///< stands in an MoE block under a name that we don't know
  };
  Kind kind = Kind::None;
  std::int32_t layer = 0;        ///< decoder layer
  std::int32_t expert = 0;       ///< of OneExpert
  std::size_t number_begin = 0;  ///< of OneExpert: where its number stands in the name
  std::size_t number_end = 0;
};

/// The role of a tensor in the layouts of Hugging Face checkpoints (transformers,
/// src/transformers/models/*/modeling_*.py): Mixtral, Phi-MoE and MiniMax (block_sparse_moe: gate, experts.N.w1 ...),
/// Qwen2/3-MoE, OLMoE, DeepSeek-V2/V3, Kimi, GLM-4.5, Ling, Hunyuan (mlp: gate, experts.N.gate_proj ...), gpt-oss and
/// Qwen3.5 (mlp: router, experts.gate_up_proj fused), Llama-4 (feed_forward: router, experts fused), Granite
/// (block_sparse_moe: router.layer, input_linear fused).
TensorRole role_of(std::string_view tensor_name);

}  // namespace gem
