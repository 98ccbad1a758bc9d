"""A tiny model in each layout of checkpoints that gem-deploy permute knows: how the layout names and shapes the router
and the experts, and what they compute, in NumPy. A new layout in src/interchange/checkpoint_layout.cpp is an entry of
LAYOUTS here."""

import os
from dataclasses import dataclass, field

import numpy as np

from tiny_checkpoints import load, save, silu

EXPERTS, TOP_K, HIDDEN, INNER, LAYERS, VOCABULARY = 12, 3, 8, 4, (1, 2), 50


# How a field of the model becomes a tensor and back. Fields of weights: gate and up [expert, inner, hidden], down
# [expert, hidden, inner], router [expert, hidden]; of numbers: [expert].
def same(x):
    return x


def transposed(x):
    return x.swapaxes(-1, -2)


AS_IT_IS = (same, same)
TRANSPOSED = (transposed, transposed)
IN_A_ROW = (lambda x: x[None], lambda x: x[0])
STACKED = (lambda x: x.reshape(-1, x.shape[-1]), lambda x: x.reshape(EXPERTS, -1, x.shape[-1]))
GATE_UP = (lambda gate, up: np.concatenate([gate, up], 1), lambda both: np.split(both, 2, 1))
GATE_UP_TRANSPOSED = (lambda gate, up: transposed(GATE_UP[0](gate, up)), lambda both: GATE_UP[1](transposed(both)))
INTERLEAVED = (lambda gate, up: transposed(np.stack([gate, up], 2).reshape(EXPERTS, 2 * INNER, HIDDEN)),
               lambda both: (transposed(both)[:, 0::2], transposed(both)[:, 1::2]))


@dataclass
class Layout:
    name: str
    config: dict
    place: str  # of a layer's tensors: "model.layers.{layer}.mlp."
    tensors: dict  # name: (fields, (to, back)); "{expert}" in a name: one tensor for each
    shared: dict = field(default_factory=dict)  # name: shape; of tensors that don't go by expert
    sigmoid: bool = False
    groups: tuple = None  # groups, groups that a token uses
    zero_experts: int = 0
    config_file: str = "config.json"

    def spread(self, values, layer):
        """The checkpoint's tensors of one layer."""
        tensors = {}
        for name, (fields, (to, _)) in self.tensors.items():
            parts = [values[one] for one in fields.split()]
            for expert in range(EXPERTS) if "{expert}" in name else [None]:
                chosen = parts if expert is None else [part[expert] for part in parts]
                full = self.place.format(layer=layer) + name.format(expert=expert)
                tensors[full] = np.ascontiguousarray(to(*chosen))
        return tensors

    def gather(self, tensors, layer):
        values = {}
        for name, (fields, (_, back)) in self.tensors.items():
            full = self.place.format(layer=layer) + name
            if "{expert}" in name:
                found = [back(tensors[full.format(expert=expert)]) for expert in range(EXPERTS)
                         if full.format(expert=expert) in tensors]  # a pruned layer has fewer
                parts = zip(*found) if len(fields.split()) > 1 else [found]
                parts = [np.array(part) for part in parts]
            else:
                parts = back(tensors[full]) if len(fields.split()) > 1 else [back(tensors[full])]
            values |= dict(zip(fields.split(), parts))
        return values

    def random_values(self, rng):
        rows = EXPERTS + self.zero_experts
        shapes = {"router": (rows, HIDDEN), "router_bias": (rows,), "correction": (rows,), "share_scale": (EXPERTS,),
                  "router_scale": (rows, 1), "router_zero": (rows, 1), "gate": (EXPERTS, INNER, HIDDEN),
                  "up": (EXPERTS, INNER, HIDDEN), "down": (EXPERTS, HIDDEN, INNER), "down_bias": (EXPERTS, HIDDEN),
                  "gate_scale": (EXPERTS,), "one_scale": (), "one_in_a_list": (1,)}
        values = {name: rng.normal(size=shape) for name, shape in shapes.items()}
        values["ids"] = np.array([rng.permutation(EXPERTS)[:TOP_K] for _ in range(VOCABULARY)], np.int64)
        return values

    def make(self, directory, rng, shard_count=2):
        tensors = {"model.embed_tokens.weight": rng.normal(size=(VOCABULARY, HIDDEN))}
        for layer in LAYERS:
            tensors |= self.spread(self.random_values(rng), layer)
            for name, shape in self.shared.items():
                tensors[self.place.format(layer=layer) + name] = rng.normal(size=shape)
        save(directory, tensors, self.config, shard_count)
        if self.config_file != "config.json":
            os.rename(os.path.join(directory, "config.json"), os.path.join(directory, self.config_file))

    def route(self, values, x, token):
        weight = values["router"] * values.get("router_scale", 1.0) + values.get("router_zero", 0.0)
        logits = weight @ x + values.get("router_bias", 0.0)
        shares = 1.0 / (1.0 + np.exp(-logits)) if self.sigmoid else np.exp(logits - logits.max())
        scores = shares + values.get("correction", 0.0)
        if "ids" in values:
            chosen = values["ids"][token]
        elif self.groups:
            count, used = self.groups
            by_group = scores.reshape(count, -1)
            kept = np.argsort(-np.sort(by_group, axis=1)[:, -2:].sum(axis=1))[:used]
            limited = np.full_like(by_group, -np.inf)
            limited[kept] = by_group[kept]
            chosen = np.argsort(-limited.ravel())[:TOP_K]
        else:
            chosen = np.argsort(-scores)[:TOP_K]
        share = shares[chosen] / shares[chosen].sum()
        return chosen, share

    def forward(self, tensors, tokens):
        """Outputs [token, hidden] of the MoE layers, one after the other; tokens: numbers of a vocabulary."""
        embedded, layers = tensors["model.embed_tokens.weight"], [self.gather(tensors, layer) for layer in LAYERS]
        outputs = []
        for position, token in enumerate(tokens):
            x = embedded[token] + 0.1 * np.sin(position + np.arange(HIDDEN))
            for values in layers:
                result = x.copy()
                for expert, share in zip(*self.route(values, x, token)):
                    result += share * self.expert(values, expert, x)
                x = result / np.sqrt(np.mean(result * result))
            outputs.append(x)
        return np.array(outputs)

    def expert(self, values, expert, x):
        if expert >= EXPERTS:
            return x  # a zero-computation expert
        inner = values["up"][expert] @ x
        if "gate" in values:
            inner = silu(values["gate"][expert] @ x) * inner * values.get("gate_scale", np.ones(EXPERTS))[expert]
        output = values["down"][expert] @ inner + values.get("down_bias", np.zeros((EXPERTS, HIDDEN)))[expert]
        return output * values.get("share_scale", np.ones(EXPERTS))[expert] * values.get("one_scale", 1.0)


def numbered(module="experts", gate="gate_proj", up="up_proj", down="down_proj"):
    return {f"{module}.{{expert}}.{name}.weight": (one, AS_IT_IS)
            for name, one in ((gate, "gate"), (up, "up"), (down, "down"))}


def layout(name, place, tensors, config=None, **more):
    return Layout(name, {"num_experts": EXPERTS} | (config or {}), place, tensors, **more)


ROUTER = {"gate.weight": ("router", AS_IT_IS)}
W123 = numbered(gate="w1", up="w3", down="w2")
SHARED = {"shared_experts.up_proj.weight": (EXPERTS, HIDDEN), "shared_expert_gate.weight": (1, HIDDEN)}
MLX = {f"switch_mlp.{one}_proj.weight": (one, AS_IT_IS) for one in ("gate", "up", "down")}
BIAS = {"gate.e_score_correction_bias": ("correction", AS_IT_IS)}

LAYOUTS = [
    layout("mixtral", "model.layers.{layer}.block_sparse_moe.", ROUTER | W123),
    layout("qwen3_moe", "model.layers.{layer}.mlp.", ROUTER | numbered(), shared=SHARED),
    layout("deepseek_v3", "model.layers.{layer}.mlp.", ROUTER | BIAS | numbered(),
           {"model_type": "deepseek_v3", "n_group": 6, "topk_group": 3}, groups=(6, 3), sigmoid=True, shared=SHARED),
    layout("ling", "model.layers.{layer}.mlp.", ROUTER | numbered() | {"gate.expert_bias": ("correction", AS_IT_IS)},
           {"n_group": 1, "topk_group": 1}, sigmoid=True),
    layout("minimax_m2", "model.layers.{layer}.block_sparse_moe.",
           ROUTER | W123 | {"e_score_correction_bias": ("correction", AS_IT_IS)}, sigmoid=True),
    layout("hunyuan", "model.layers.{layer}.mlp.", {"gate.wg.weight": ("router", AS_IT_IS)} | numbered(),
           {"num_experts": [EXPERTS, EXPERTS], "moe_topk": [TOP_K, TOP_K], "n_group": False, "topk_group": False},
           shared={"shared_mlp.up_proj.weight": (INNER, HIDDEN)}),
    layout("ernie4_5_moe", "model.layers.{layer}.mlp.",
           ROUTER | numbered() | {"moe_statics.e_score_correction_bias": ("correction", IN_A_ROW)},
           {"num_experts": None, "moe_num_experts": EXPERTS}),
    layout("afmoe", "model.layers.{layer}.mlp.",
           {"router.gate.weight": ("router", AS_IT_IS), "expert_bias": ("correction", AS_IT_IS)} | numbered(),
           {"n_group": 1, "topk_group": 1}, sigmoid=True),
    layout("longcat_flash", "model.layers.{layer}.mlp.",
           {"router.classifier.weight": ("router", AS_IT_IS),
            "router.e_score_correction_bias": ("correction", AS_IT_IS)} | numbered(),
           {"num_experts": None, "n_routed_experts": EXPERTS, "zero_expert_num": 5, "zero_expert_type": "identity"},
           zero_experts=5),
    layout("gpt_oss", "model.layers.{layer}.mlp.",
           {"router.weight": ("router", AS_IT_IS), "router.bias": ("router_bias", AS_IT_IS),
            "experts.gate_up_proj": ("gate up", INTERLEAVED), "experts.down_proj": ("down", TRANSPOSED),
            "experts.down_proj_bias": ("down_bias", AS_IT_IS)}),
    layout("gpt_oss_by_projection", "model.layers.{layer}.mlp.",
           {"router.weight": ("router", AS_IT_IS), "router.bias": ("router_bias", AS_IT_IS),
            "experts.gate_up_projs.{expert}.weight": ("gate up", (lambda gate, up: np.concatenate([gate, up]),
                                                                  lambda both: np.split(both, 2))),
            "experts.down_projs.{expert}.weight": ("down", AS_IT_IS),
            "experts.down_projs.{expert}.bias": ("down_bias", AS_IT_IS)}),
    layout("qwen3_5_moe", "model.language_model.layers.{layer}.mlp.",
           ROUTER | {"experts.gate_up_proj": ("gate up", GATE_UP), "experts.down_proj": ("down", AS_IT_IS)},
           {"num_experts": None, "text_config": {"num_experts": EXPERTS}}, shared=SHARED),
    layout("qwen3_omni", "thinker.model.layers.{layer}.mlp.", ROUTER | numbered(),
           {"num_experts": None, "thinker_config": {"text_config": {"num_experts": EXPERTS}},
            "talker_config": {"text_config": {"num_experts": 4, "n_group": 2, "topk_group": 1}}}),
    layout("aria", "language_model.model.layers.{layer}.mlp.",
           {"router.weight": ("router", AS_IT_IS), "experts.fc1.weight": ("gate up", GATE_UP_TRANSPOSED),
            "experts.fc2.weight": ("down", TRANSPOSED)}, shared={"shared_experts.up_proj.weight": (INNER, HIDDEN)}),
    layout("mlx", "model.layers.{layer}.mlp.", ROUTER | MLX),
    layout("mlx_quantised_router", "language_model.model.layers.{layer}.mlp.",
           ROUTER | MLX | {"gate.scales": ("router_scale", AS_IT_IS), "gate.biases": ("router_zero", AS_IT_IS),
                           "switch_mlp.gate_proj.scales": ("gate_scale", (lambda x: x[:, None, None],
                                                                          lambda x: x[:, 0, 0]))},
           {"quantization": {"group_size": 64, "bits": 4}}),
    layout("mlx_lfm2", "model.layers.{layer}.feed_forward.",
           ROUTER | MLX | {"expert_bias": ("correction", AS_IT_IS)}, sigmoid=True),
    layout("mlx_nemotron", "backbone.layers.{layer}.mixer.",
           ROUTER | BIAS | {"switch_mlp.fc1.weight": ("up", AS_IT_IS), "switch_mlp.fc2.weight": ("down", AS_IT_IS)},
           sigmoid=True),
    layout("mlx_minimax", "model.layers.{layer}.block_sparse_moe.",
           ROUTER | MLX | {"e_score_correction_bias": ("correction", AS_IT_IS)}, sigmoid=True),
    layout("quantised_router", "model.layers.{layer}.mlp.",
           ROUTER | numbered() | {"gate.weight_scale": ("router_scale", AS_IT_IS),
                                  "gate.input_scale": ("one_in_a_list", AS_IT_IS)}),
    layout("llama4", "language_model.model.layers.{layer}.feed_forward.",
           {"router.weight": ("router", AS_IT_IS), "experts.gate_up_proj": ("gate up", GATE_UP_TRANSPOSED),
            "experts.down_proj": ("down", TRANSPOSED)},
           {"num_experts": None, "text_config": {"num_local_experts": EXPERTS}}, sigmoid=True,
           shared={"shared_expert.up_proj.weight": (INNER, HIDDEN)}),
    layout("llama4_nvfp4", "language_model.model.layers.{layer}.feed_forward.",
           {"router.weight": ("router", AS_IT_IS), "experts.gate_up_proj": ("gate up", GATE_UP_TRANSPOSED),
            "experts.gate_up_proj_weight_scale_2": ("gate_scale", AS_IT_IS),
            "experts.gate_up_proj_input_scale": ("one_in_a_list", AS_IT_IS),
            "experts.down_proj": ("down", TRANSPOSED), "experts.down_proj_input_scale": ("one_scale", AS_IT_IS)}),
    layout("jamba", "model.layers.{layer}.feed_forward.", {"router.weight": ("router", AS_IT_IS)} | numbered()),
    layout("lfm2_moe", "model.layers.{layer}.feed_forward.",
           ROUTER | W123 | {"expert_bias": ("correction", AS_IT_IS)}, sigmoid=True),
    layout("granite", "model.layers.{layer}.block_sparse_moe.",
           {"router.layer.weight": ("router", AS_IT_IS), "input_linear.weight": ("gate up", GATE_UP),
            "output_linear.weight": ("down", AS_IT_IS)}),
    layout("nemotron_h", "backbone.layers.{layer}.mixer.",
           ROUTER | BIAS | {"experts.{expert}.up_proj.weight": ("up", AS_IT_IS),
                            "experts.{expert}.down_proj.weight": ("down", AS_IT_IS)},
           {"num_experts": None, "n_routed_experts": EXPERTS, "n_group": 1, "topk_group": 1, "n_groups": 8,
            "mamba_num_heads": 8}, sigmoid=True,
           shared={"shared_experts.up_proj.weight": (INNER, HIDDEN), "fc1_latent_proj.weight": (EXPERTS, HIDDEN)}),
    layout("deepseek_v4", "layers.{layer}.ffn.",
           ROUTER | W123 | {"gate.bias": ("correction", AS_IT_IS)}, sigmoid=True),
    layout("deepseek_v4_hashed", "layers.{layer}.ffn.", ROUTER | W123 | {"gate.tid2eid": ("ids", AS_IT_IS)},
           sigmoid=True),
    layout("deepseek_v4_saved", "model.layers.{layer}.mlp.",
           ROUTER | {"gate.tid2eid": ("ids", AS_IT_IS), "experts.gate_up_proj": ("gate up", GATE_UP),
                     "experts.down_proj": ("down", AS_IT_IS)}, sigmoid=True),
    layout("step3p5", "model.layers.{layer}.moe.",
           ROUTER | {"router_bias": ("correction", AS_IT_IS)} |
           {f"{one}_proj.weight": (one, AS_IT_IS) for one in ("gate", "up", "down")}, sigmoid=True),
    layout("dbrx", "transformer.blocks.{layer}.ffn.",
           {"router.layer.weight": ("router", AS_IT_IS), "experts.mlp.w1": ("gate", STACKED),
            "experts.mlp.v1": ("up", STACKED), "experts.mlp.w2": ("down", (lambda x: STACKED[0](transposed(x)),
                                                                           lambda x: transposed(STACKED[1](x))))},
           {"num_experts": None, "ffn_config": {"moe_num_experts": EXPERTS}}),
    layout("mistral", "layers.{layer}.", ROUTER | W123,
           {"num_experts": None, "moe": {"num_experts": EXPERTS, "num_experts_per_tok": TOP_K, "num_expert_groups": 1,
                                         "num_expert_groups_per_tok": 1}},
           config_file="params.json", shared={"attention.wq.weight": (HIDDEN, HIDDEN)}),
    layout("gemma4", "model.language_model.layers.{layer}.",
           {"router.proj.weight": ("router", AS_IT_IS), "router.per_expert_scale": ("share_scale", AS_IT_IS),
            "experts.gate_up_proj": ("gate up", GATE_UP), "experts.down_proj": ("down", AS_IT_IS)},
           shared={"router.scale": (HIDDEN,), "mlp.gate_proj.weight": (INNER, HIDDEN)}),
    layout("deepseek_v41", "layers.{layer}.ffn.",  # the bias of images' tokens stands for any number by expert
           ROUTER | W123 | {"gate.bias": ("correction", AS_IT_IS), "gate.bias_vl": ("share_scale", AS_IT_IS)}, sigmoid=True),
    layout("laguna", "model.layers.{layer}.mlp.",
           ROUTER | numbered() | {"experts.e_score_correction_bias": ("correction", AS_IT_IS)}, sigmoid=True),
    layout("ernie4_5_saved", "model.layers.{layer}.mlp.",
           ROUTER | {"gate.moe_statics.e_score_correction_bias": ("correction", IN_A_ROW),
                     "experts.gate_up_proj": ("gate up", GATE_UP), "experts.down_proj": ("down", AS_IT_IS)}),
    layout("w13", "model.layers.{layer}.mlp.",
           ROUTER | {"experts.w13_weight": ("gate up", GATE_UP), "experts.w2_weight": ("down", AS_IT_IS),
                     "experts.w13_weight_scale": ("gate_scale", (lambda x: x[:, None], lambda x: x[:, 0]))}),
    layout("moe_router", "model.layers.{layer}.moe.",
           {"router.weight": ("router", AS_IT_IS), "router.expert_bias": ("correction", AS_IT_IS)} | numbered(),
           sigmoid=True),
    layout("gguf", "blk.{layer}.",
           {"ffn_gate_inp.weight": ("router", AS_IT_IS), "exp_probs_b.bias": ("correction", AS_IT_IS),
            "ffn_gate_exps.weight": ("gate", AS_IT_IS), "ffn_up_exps.weight": ("up", AS_IT_IS),
            "ffn_down_exps.weight": ("down", AS_IT_IS)}, sigmoid=True,
           shared={"ffn_gate_shexp.weight": (INNER, HIDDEN), "ffn_gate_inp_shexp.weight": (HIDDEN,),
                   "attn_q.weight": (EXPERTS, HIDDEN)}),
    layout("gguf_numbered", "blk.{layer}.",
           {"ffn_gate_inp.weight": ("router", AS_IT_IS), "ffn_gate.{expert}.weight": ("gate", AS_IT_IS),
            "ffn_up.{expert}.weight": ("up", AS_IT_IS), "ffn_down.{expert}.weight": ("down", AS_IT_IS)}),
]


def find(name):
    return next(one for one in LAYOUTS if one.name == name)


def same_outputs(layout, before, after, rng, count=1000):
    """Whether two checkpoints compute the same for random tokens."""
    tokens = rng.integers(0, VOCABULARY, count)
    return np.allclose(layout.forward(load(before), tokens), layout.forward(load(after), tokens), rtol=1e-10, atol=1e-10)
