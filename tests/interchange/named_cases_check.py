#!/usr/bin/env python3
"""Checkpoints rebuilt from public reports, by their names: a thousand random tokens through router and experts give the
same before and after gem-deploy permute, or it refuses in one sentence.

    named_cases_check.py GEM_DEPLOY
"""

import json
import os
import sys
import tempfile

import numpy as np

from case_runner import DEVICES, FIRST, INDEX, SECOND, Cases
from mapping_writer import random_mapping
from tiny_checkpoints import read_safetensors, write_safetensors
from tiny_layouts import (AS_IT_IS, BIAS, EXPERTS, GATE_UP, HIDDEN, INNER, LAYERS, ROUTER, W123, find, layout, numbered,
                          same_outputs)

BLOCK = "model.layers.{}.mlp."
EXPERT = "model.layers.{}.mlp.experts.{}.{}_proj"
PROJECTIONS = ("gate", "up", "down")
CONSOLIDATED = layout("consolidated", "layers.{layer}.", ROUTER | W123)


def every(name, shape, layers=LAYERS):
    """A tensor in each layer."""
    return {name.format(layer): np.ones(shape) for layer in layers}


def lose(*names):
    return lambda directory: [os.remove(os.path.join(directory, name)) for name in names]


def edit_index(directory, edit):
    path = os.path.join(directory, INDEX)
    index = json.load(open(path))
    index["weight_map"] = edit(index["weight_map"])
    json.dump(index, open(path, "w"))


def index_of_other_build(directory):
    edit_index(directory, lambda weights: {
        name: f"model-{i % 13 + 1:05}-of-00013.safetensors" for i, name in enumerate(weights)})


def sharded_state(directory):
    for rank, name in enumerate((FIRST, SECOND)):
        os.rename(os.path.join(directory, name), os.path.join(directory, f"model-rank-{rank}-part-0.safetensors"))
    lose(INDEX)(directory)


def add_consolidated(directory):
    """The same model in Mistral's names, which no index names."""
    values = {layer: CONSOLIDATED.random_values(np.random.default_rng(layer)) for layer in LAYERS}
    write_safetensors(os.path.join(directory, "consolidated.safetensors"), {
        name: tensor for layer in LAYERS for name, tensor in CONSOLIDATED.spread(values[layer], layer).items()})


def prune(directory, layer=LAYERS[1], count=7):
    """The layer's last experts go."""
    place, kept = BLOCK.format(layer), {}
    for shard in (FIRST, SECOND):
        path = os.path.join(directory, shard)
        tensors = {name: tensor for name, tensor in read_safetensors(path).items()
                   if not name.startswith(place + "experts.") or int(name[len(place):].split(".")[1]) < count}
        if place + "gate.weight" in tensors:
            tensors[place + "gate.weight"] = tensors[place + "gate.weight"][:count]
        write_safetensors(path, tensors)
        kept |= {name: shard for name in tensors}
    edit_index(directory, lambda weights: kept)


def text_of(directory, name):
    return open(os.path.join(directory, name)).read()


def new_number(directories, layer, old):
    record = json.load(open(os.path.join(directories[1], "gem_mapping.json")))
    return record["layers"][str(layer)].index(old)


def names_are_renumbered(file, layer, *experts):
    """The file is as before but for the numbers of these experts."""
    def check(directories):
        before, after = (text_of(directory, file) for directory in directories)
        assert before != after
        expected = before
        for old in experts:  # two steps, as a new number may be another's old one
            expected = expected.replace(f"experts.{old}.", f"experts.<{old}>.").replace(f"({old}|", f"(<{old}>|")
            expected = expected.replace(f"|{old})", f"|<{old}>)")
        for old in experts:
            expected = expected.replace(f"<{old}>", str(new_number(directories, layer, old)))
        assert after == expected, after
    return check


def is_unchanged(file):
    def check(directories):
        before, after = (text_of(directory, file) for directory in directories)
        assert before == after, after
    return check


def computes_the_same_too(other):
    def check(directories):
        assert same_outputs(other, *directories, np.random.default_rng(1))
    return check


class Good:
    """Computes the same."""

    def __init__(self, of="qwen3_moe", says="", check=None, **made):
        self.of, self.says, self.check, self.made = of, says, check, made

    def try_out(self, cases):
        directories = cases.accepted(self.of, says=self.says, **self.made)
        if self.check:
            self.check(directories)


class Refused:
    """Is refused with these words; code 2 is for the mapping, 3 for the files."""

    def __init__(self, *words, **made):
        self.words, self.made = words, made

    def try_out(self, cases):
        cases.refused(*self.words, **self.made)


GROUPS = {"n_group": 6, "topk_group": 2}
KIMI_K3 = layout("kimi_k3", "language_model.model.layers.{layer}.block_sparse_moe.", ROUTER | BIAS | W123,
                 {"num_experts": None, "model_type": "kimi_k3",
                  "text_config": {"num_experts": EXPERTS, "num_expert_group": 1, "topk_group": 1}},
                 sigmoid=True, shared={"routed_expert_norm.weight": (5,)})
QWEN3_VL_FP8 = layout("qwen3_vl_fp8", "model.language_model.layers.{layer}.mlp.",
                      ROUTER | {"experts.gate_up_proj": ("gate up", GATE_UP), "experts.down_proj": ("down", AS_IT_IS),
                                "experts.gate_up_proj_scale_inv": ("gate_scale", (lambda x: x[:, None, None],
                                                                                  lambda x: x[:, 0, 0]))},
                      {"num_experts": None, "text_config": {"num_experts": EXPERTS}})
CASES = {
    "p00_control": Good(),
    "p01_hunyuan_bool": Good("hunyuan", config={"num_experts": EXPERTS, "group_limited_greedy": False}),
    "p01b_num_experts_list": Good("hunyuan", config={"num_experts": [EXPERTS] * 2, "moe_topk": [2, 2]}),
    "p02_num_expert_group": Refused("config.json: num_expert_group", "--expert-groups 6", code=2,
                                    config={"num_expert_group": 6, "topk_group": 2}),
    "p02c_n_group_bailing": Refused("config.json: n_group", code=2, config=GROUPS | {"model_type": "bailing_moe_v2"}),
    "p02d_nested_llm_config": Refused(
        "thinker_config: text_config: n_group", code=2,
        config={"num_experts": None, "thinker_config": {"text_config": GROUPS | {"num_experts": EXPERTS}}}),
    "p02g_topk_group_missing": Refused("config.json: n_group", code=2, config={"n_group": 6}),
    "p03_grovemoe": Refused("chunk_experts.0", config={"model_type": "grove_moe"}, tensors={
        f"{BLOCK.format(layer)}chunk_experts.{chunk}.{one}_proj.weight": np.ones((3, HIDDEN))
        for layer in LAYERS for chunk in range(EXPERTS // 2) for one in PROJECTIONS}),
    "p04_llama4_nvfp4_E": Good("llama4_nvfp4", tensors=every(
        "language_model.model.layers.{}.feed_forward.experts.down_proj_weight_scale_2", (EXPERTS,))),
    "p04_llama4_nvfp4_scalar": Good("llama4", tensors=every(
        "language_model.model.layers.{}.feed_forward.experts.gate_up_proj_weight_scale_2", ())),
    "p05_hf_quant_config": Good(says="hf_quant_config.json names single experts",
                                check=names_are_renumbered("hf_quant_config.json", 1, 3, 6),
                                files={"hf_quant_config.json": {"quantization": {"exclude_modules": [
                                    "lm_head", EXPERT.format(1, 3, "down") + ".weight", EXPERT.format(1, 6, "up") + ".x"]}}}),
    "p05b_ignore_whole_layer": Good(check=is_unchanged("config.json"), config={"quantization_config": {
        "ignore": [EXPERT.format(2, expert, one) for expert in range(EXPERTS) for one in PROJECTIONS]}}),
    "p06_regex_dynamic": Good(says="config.json names single experts", check=names_are_renumbered("config.json", 1, 3, 5),
                              config={"quantization_config": {"dynamic": {
                                  "-:model\\.layers\\.1\\.mlp\\.experts\\.(3|5)\\..*": {}}}}),
    "p07_ernie45": Good("ernie4_5_moe"),
    "p08_lfm2": Good("lfm2_moe"),
    "p09_longcat": Good("longcat_flash"),
    "p10_nemotron_h": Good("nemotron_h"),
    "p12_step35": Good("step3p5"),
    "p13_dsv4": Good("deepseek_v4_hashed"),
    "p16_both": Good("mixtral", change=add_consolidated, says="No index names consolidated.safetensors",
                     check=computes_the_same_too(CONSOLIDATED)),
    "p17b_two_indices": Good(
        says="consolidated.safetensors.index.json names files that are not here",
        files={"consolidated.safetensors.index.json": {"weight_map": {"layers.0.gate.weight": "lost.safetensors"}}}),
    "p25_uneven": Good(change=prune, says="Layer 2 has 7 experts, the mapping 12"),
    "p26_sharded_state": Refused("model-rank-0-part-0.safetensors", "one rank", change=sharded_state),
    "p28_ct_nvfp4": Good(tensors={f"{EXPERT.format(layer, expert, 'gate')}.{scale}": np.full((1,), expert + 1.0)
                                  for layer in LAYERS for expert in range(EXPERTS)
                                  for scale in ("input_global_scale", "weight_global_scale")}),
    "q01_index_of_other_build": Good(change=index_of_other_build, says="the files that are here count"),
    "q02_partial": Refused(SECOND, "is missing", change=lose(SECOND)),
    "q03_partial_noindex": Refused(SECOND, "is missing", change=lose(SECOND, INDEX)),
    "q06_kimi_k3": Good(KIMI_K3),
    "q07b_qwen35_mtp": Good("qwen3_5_moe", says="Experts in mtp are of another stack", tensors={
        "mtp.layers.0.mlp.gate.weight": np.ones((EXPERTS, HIDDEN)),
        "mtp.layers.0.mlp.experts.down_proj": np.ones((EXPERTS, HIDDEN, INNER))}),
    "q08_qwen3vl_fp8": Good(QWEN3_VL_FP8),
    "q09_noconfig": Refused("config.json", "--experts E", "--expert-groups G", change=lose("config.json")),
    "r02_mtp_extra_layer": Good(says="Layer 3 is not in the mapping", tensors={
        "model.layers.3.mlp.gate.weight": np.ones((EXPERTS, HIDDEN)),
        "model.layers.3.eh_proj.weight": np.ones((HIDDEN, 2 * HIDDEN)),
        **{EXPERT.format(3, expert, "up") + ".weight": np.ones((INNER, HIDDEN)) for expert in range(EXPERTS)}}),
    "r03_latent_extent_equals_E": Good(
        layout("latent", BLOCK.format("{layer}"), ROUTER | numbered(), shared={"latent_proj.weight": (EXPERTS, HIDDEN)}),
        config={"model_type": "x"}),
}


def main():
    with tempfile.TemporaryDirectory() as folder:
        mapping = random_mapping(np.random.default_rng(3), len(LAYERS), EXPERTS, DEVICES)
        cases = Cases(sys.argv[1], folder, mapping, tokens=1000)
        for name, case in CASES.items():
            try:
                case.try_out(cases)
            except Exception as error:
                raise AssertionError(f"case {name}") from error
        assert not same_outputs(find("qwen3_moe"), cases.make(), cases.make(), cases.rng, 1000)  # it can fail
    print(f"{len(CASES)} named cases come out right")


if __name__ == "__main__":
    main()
