"""Small random models of the architectures that GEM deploys, made from their transformers configurations."""

import torch
import transformers

COMMON = dict(vocab_size=128, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
              max_position_embeddings=256, pad_token_id=0, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False)
MLA = dict(q_lora_rank=16, kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=16)


def configurations():
    """Name -> (configuration, decoder layers with experts)."""
    t = transformers
    return {
        "mixtral": (t.MixtralConfig(**COMMON, intermediate_size=48, num_local_experts=8, num_experts_per_tok=2),
                    [0, 1, 2]),
        "qwen2_moe": (t.Qwen2MoeConfig(**COMMON, intermediate_size=96, moe_intermediate_size=32, num_experts=12,
                                       shared_expert_intermediate_size=48, num_experts_per_tok=3), [0, 1, 2]),
        "qwen3_moe": (t.Qwen3MoeConfig(**COMMON, head_dim=16, intermediate_size=96, moe_intermediate_size=32,
                                       num_experts=16, num_experts_per_tok=4, mlp_only_layers=[0]), [1, 2]),
        "olmoe": (t.OlmoeConfig(**COMMON, intermediate_size=32, num_experts=16, num_experts_per_tok=4), [0, 1, 2]),
        "deepseek_v2_lite": (t.DeepseekV2Config(**{**COMMON, "num_key_value_heads": 4}, **{**MLA, "q_lora_rank": None},
                                                intermediate_size=96, moe_intermediate_size=32, n_routed_experts=16,
                                                n_shared_experts=2, num_experts_per_tok=4, first_k_dense_replace=1,
                                                topk_method="greedy", n_group=1, topk_group=1), [1, 2]),
        "deepseek_v2": (t.DeepseekV2Config(**{**COMMON, "num_key_value_heads": 4}, **MLA, intermediate_size=96,
                                           moe_intermediate_size=32, n_routed_experts=16, n_shared_experts=1,
                                           num_experts_per_tok=4, first_k_dense_replace=1, n_group=4, topk_group=2,
                                           topk_method="group_limited_greedy"), [1, 2]),
        "deepseek_v3": (t.DeepseekV3Config(**{**COMMON, "num_key_value_heads": 4}, **MLA, intermediate_size=96,
                                           moe_intermediate_size=32, n_routed_experts=16, n_shared_experts=1,
                                           num_experts_per_tok=4, first_k_dense_replace=1, n_group=4, topk_group=2),
                        [1, 2]),
        "glm4_moe": (t.Glm4MoeConfig(**COMMON, head_dim=16, intermediate_size=96, moe_intermediate_size=32,
                                     n_routed_experts=16, n_shared_experts=1, num_experts_per_tok=4,
                                     first_k_dense_replace=1, n_group=1, topk_group=1), [1, 2]),
        "gpt_oss": (t.GptOssConfig(**COMMON, head_dim=16, intermediate_size=32, num_local_experts=8,
                                   num_experts_per_tok=2, sliding_window=32), [0, 1, 2]),
        "llama4": (t.Llama4TextConfig(**COMMON, head_dim=16, intermediate_size=32, intermediate_size_mlp=96,
                                      num_local_experts=8, num_experts_per_tok=1, interleave_moe_layer_step=2,
                                      attn_temperature_tuning=False), [1]),
        "phimoe": (t.PhimoeConfig(**COMMON, intermediate_size=48, num_local_experts=8, num_experts_per_tok=2),
                   [0, 1, 2]),
    }


def make_model(configuration, seed=0):
    """A model with random weights, router biases and correction biases included, float32, ready to run."""
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(configuration).eval()
    with torch.no_grad():
        for name, tensor in list(model.named_parameters()) + list(model.named_buffers()):
            if "inv_freq" in name or "rotary" in name:
                continue
            scale = 0.05 if tensor.dim() > 1 else 0.1
            noise = torch.randn(tensor.shape) * scale
            tensor.copy_(1.0 + noise if name.endswith("norm.weight") else noise)
    return model


def make_mxfp4_checkpoint(directory):
    """A gpt-oss checkpoint with experts in MXFP4 as the released ones have them: 4-bit values in blocks of 32, [expert,
    row, block, 16 bytes], with one 8-bit exponent a block. Returns (configuration, decoder layers with experts)."""
    import json
    import os

    from safetensors.torch import save_file

    configuration, layers = configurations()["gpt_oss"]
    model = make_model(configuration)
    tensors = {}
    generator = torch.Generator().manual_seed(1)
    for name, tensor in model.state_dict().items():
        if not name.endswith(("gate_up_proj", "down_proj")):
            tensors[name] = tensor.contiguous()
            continue
        experts, columns, rows = tensor.shape  # stored transposed, [expert, row, column]
        shape = (experts, rows, columns // 32)
        tensors[name + "_blocks"] = torch.randint(0, 256, (*shape, 16), generator=generator, dtype=torch.uint8)
        tensors[name + "_scales"] = torch.randint(120, 124, shape, generator=generator, dtype=torch.uint8)
    os.makedirs(directory)
    save_file(tensors, os.path.join(directory, "model.safetensors"), metadata={"format": "pt"})
    configuration.save_pretrained(directory)
    path = os.path.join(directory, "config.json")
    content = json.load(open(path))
    content["quantization_config"] = {"quant_method": "mxfp4", "dequantize": True,
                                      "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router",
                                                                 "model.embed_tokens", "lm_head"]}
    json.dump(content, open(path, "w"), indent=2)
    return configuration, layers
