#!/usr/bin/env python3
"""Checkpoints as people have them, sound and odd: what gem-deploy permute writes computes the same, and what it can't
renumber it refuses in one sentence that names the file and the key.

    checkpoint_cases_check.py GEM_DEPLOY
"""

import json
import os
import sys
import tempfile

import numpy as np

from case_runner import FIRST, INDEX, SECOND, Cases
from permute_check import content, run
from tiny_checkpoints import read_safetensors, write_safetensors
from tiny_layouts import EXPERTS, HIDDEN, INNER, LAYERS, ROUTER, W123, find, layout

MODULE = "model.layers.{}.mlp.experts.{}.{}_proj"


def same_file(directories, name):
    before, after = (open(os.path.join(directory, name)).read() for directory in directories)
    return before == after


def check_groups(cases):
    """Groups of experts under any name, at any depth, with one of the two numbers missing."""
    def refused(config, *words, code=2):
        cases.refused("config.json", *words, config=config, code=code)

    for key in ("n_group", "num_expert_group", "num_expert_groups", "router_n_groups", "n_expert_groups",
                "moe_router_num_groups", "expert_group_count"):
        refused({key: 6, "topk_group": 2}, key, "--expert-groups 6")
    for key in ("topk_group", "num_limited_groups", "n_limited_groups", "moe_router_group_topk"):
        refused({"n_group": 6, key: 3}, "n_group")
        cases.accepted(config={"n_group": 6, key: 6})
        refused({key: 3}, key, "--expert-groups G", code=3)
    refused({"n_group": 6}, "n_group")
    refused({"num_experts_per_group": 2, "topk_group": 2}, "num_experts_per_group", "--expert-groups 6")
    refused({"num_expert_clusters": 6}, "num_expert_clusters")
    refused({"moe_group_size": 4}, "moe_group_size", "--expert-groups 3")
    refused({"num_experts": None, "thinker_config": {"text_config": {"num_experts": EXPERTS, "n_group": 6, "topk_group": 2}}},
            "thinker_config: text_config: n_group")
    refused({"router_config": {"n_group": 6, "topk_group": 2}}, "router_config: n_group")
    refused({"layers": [{"moe": {"num_expert_groups": 6}}]}, "num_expert_groups")
    refused({"topk_method": "group_limited_greedy"}, "topk_method", code=3)
    refused({"use_grouped_topk": True}, "use_grouped_topk", code=3)
    refused({"n_group": 5, "topk_group": 2}, "n_group", "don't divide", code=3)
    for number in ("6", 6.0):
        refused({"n_group": number, "topk_group": 2}, "n_group", "--expert-groups 6")
    refused({"n_group": "six groups", "topk_group": 2}, "topk_group", "--expert-groups G", code=3)
    refused({"group_limited_topk": {"n": 6, "k": 2}}, "group_limited_topk", "--expert-groups G", code=3)
    refused({"n_group": [6, 4]}, "n_group", "same number", code=3)
    refused({"n_group": 6, "router": {"num_groups": 4}}, "--expert-groups G", code=3)
    for model in ("deepseek_v2", "deepseek_v3", "axk1", "PanguProMoE"):
        refused({"model_type": model}, model.lower(), "--expert-groups G", code=3)
    for none in (False, 0, None, 1, [1, 1]):
        cases.accepted(config={"n_group": none, "topk_group": none})
    cases.accepted(config={"n_group": 6, "topk_group": 2}, options=["--expert-groups", "1"])
    cases.accepted(config={"n_groups": 8, "mamba_num_heads": 2, "num_key_value_groups": 4, "group_size": 128,
                           "quantization_config": {"group_size": 32, "config_groups": {"group_0": {"num_bits": 4}}},
                           "vision_config": {"num_groups": 4}, "norm_num_groups": 4, "moe_grouped_gemm": True,
                           "o_groups": 6, "num_code_groups": 32, "time_step_limit": [0.0, float("inf")]})
    for key in ("moe_router_topk_limited_devices", "num_limited_nodes"):
        refused({key: 2}, key, "--expert-groups G", code=3)
        cases.accepted(config={key: None})
    for model in ("kimi_k2", "bailing_moe_v2"):
        refused({"text_config": {"model_type": model, "num_experts": EXPERTS}}, model, "--expert-groups G", code=3)
    cases.accepted(config={"model_type": "kimi_k2", "n_group": 1, "topk_group": 1})
    for key, value in (("router_type", "hash"), ("moe_routing_strategy", "token_id_modulo")):
        cases.refused(key, "chosen by their numbers", config={key: value})
    cases.refused("chunk", of="qwen3_moe", tensors={
        f"model.layers.1.mlp.chunk_experts.{i}.up_proj.weight": np.zeros((INNER, HIDDEN)) for i in range(EXPERTS // 2)})
    cases.refused("num_adjugate_experts", config={"num_adjugate_experts": 4})


def check_expert_counts(cases):
    cases.accepted(config={"num_experts": [EXPERTS, EXPERTS]})
    for counts in ([8, EXPERTS], [16, EXPERTS]):
        cases.accepted(config={"num_experts": counts})
    cases.refused("num_experts", "the model has 16 experts", config={"num_experts": 16})
    cases.refused("states no number of experts", "--experts", config={"num_experts": None})
    cases.refused("states no number of experts", config={"num_experts": None, "vision_config": {"num_experts": EXPERTS}})
    cases.accepted(config={"num_experts": None}, options=["--experts", str(EXPERTS)])
    cases.refused("--experts is 16", config={"num_experts": None}, options=["--experts", "16"], code=2)
    lost = {"change": lambda d: os.remove(os.path.join(d, "config.json"))}
    cases.refused("config.json", "--expert-groups", **lost)
    cases.refused("config.json", options=["--experts", str(EXPERTS)], **lost)
    cases.accepted(options=["--experts", str(EXPERTS), "--expert-groups", "1"], **lost)


def check_named_experts(cases):
    """Experts that files beside the weights name one by one."""
    names = [MODULE.format(1, expert, "down") for expert in range(EXPERTS)]

    def quantised(ignore):
        return {"quantization_config": {"ignore": ignore}}

    for file in ("hf_quant_config.json", "quantize_config.json", "recipe.yaml"):
        text = {"quantization": {"exclude_modules": ["lm_head", names[3], names[6]]}}
        if file.endswith(".yaml"):
            text = f"ignore: ['lm_head', {names[3]}, \"{names[6]}\"]\nmore: [{names[3]}]\n"
        source, output = cases.accepted(files={file: text}, says=file)
        before, after = (open(os.path.join(directory, file)).read() for directory in (source, output))
        assert after == before.replace(names[3], names[4]) and before != after, after
    # Keys go with what they say; arrays that only change places stay.
    _, output = cases.accepted(config={"bits": {names[3]: 4, names[4]: 8}})
    assert json.load(open(os.path.join(output, "config.json")))["bits"] == {names[4]: 4, names[3]: 8}
    for closed in (names, [names[3], names[4]], [names[6]], [name.replace("layers.1", "layers.0") for name in names[:1]],
                   [f"mtp.layers.1.mlp.experts.{expert}.up_proj" for expert in (0, 3)],
                   ["re:.*mtp.*experts\\.3\\..*"], ["model.layers.1.mlp.shared_experts.0.up_proj"],
                   ["re:.*layers\\.1\\.mlp\\.experts\\.[0-9]+\\..*", "re:.*experts\\.\\d+\\.up_proj", "*experts*",
                    "re:.*experts.*gate_proj", "re:.*mlp.experts.*w[123]$", "model.layers.*.mlp.experts.*"],
                   ["re:.*layers\\.1\\..*experts\\.([0-9]|1[01])\\..*", "re:.*layers.1.mlp.experts.(3|4).up_proj"]):
        assert same_file(cases.accepted(config=quantised(closed)), "config.json"), closed
    # Patterns that name one layer and list its experts are renumbered.
    for before, after in (("-:model\\.layers\\.1\\.mlp\\.experts\\.(3|5)\\..*", "-:model\\.layers\\.1\\.mlp\\.experts\\.(4|5)\\..*"),
                          ("re:.*layers\\.2.mlp.experts\\.(?:7|10).up_proj", "re:.*layers\\.2.mlp.experts\\.(?:8|10).up_proj"),
                          ("*layers.1.mlp.experts.3.*", "*layers.1.mlp.experts.4.*"),
                          ("layers[.]1[.]mlp[.]experts[.]3[.]up", "layers[.]1[.]mlp[.]experts[.]4[.]up")):
        _, output = cases.accepted(config=quantised([before]))
        assert json.load(open(os.path.join(output, "config.json")))["quantization_config"]["ignore"] == [after], after
    cases.accepted(config=quantised(["model.layers.1.mlp.experts*w1", "re:.*layers\\.(3|5)\\.mlp.*", "re:.*w[123]$"]))
    for unclear in ("re:.*\\.3\\.down_proj$", "model.layers.1.mlp.*.3.down_proj", "re:.*layers\\.1\\.mlp\\..*\\.(3|5)\\..*",
                    "model.layers.1.mlp.experts.03.up_proj", "re:.*experts\\.3\\..*", "*experts.3*", "re:.*layers\\.[12]\\..*experts\\.(3|7)\\..*",
                    "re:.*layers.1.mlp.experts.[0-3].up", "re:.*layers.1.mlp.experts.(3\\.up|1\\.gate)",
                    "re:layers.1.mlp.experts\\.*\\.3\\.up", "model.layers.1.mlp.experts[0].up_proj",
                    "model/layers/1/mlp/experts/0", "re:.*layers.1.mlp.experts.(?!3)\\d+"):
        cases.refused("config.json", "names single experts", config=quantised([unclear]))
    cases.refused("config.json", "has experts 0 to 11", config=quantised([names[3].replace("experts.3", "experts.12")]))
    for numbers in ({"pruned_experts": {"1": [0, 3]}}, {"experts_in_fp8": [0, 5]}, {"layer_experts": [[0, 3], [1, 2]]},
                    {"expert_scales": [0.5] * 11 + [0.25]}, {"physical_to_logical_map": [[0, 1, 3, 2]]},
                    {"layers": {"1": {"mlp": {"experts": {"0": {"bits": 8}}}}}}):
        cases.refused("config.json", "names single experts", config=numbers)
    cases.accepted(config={"num_experts_per_tok": [2, 3], "expert_layer_offset": 1, "expert_layers": [1, 2]},
                   files={"chat_template.jinja": "{% experts.0 %}", "tokenizer.json": {"model": {"experts.0": 1}},
                          "notes.txt": "for experts only", "odd.json": "{\"experts\": not JSON"})


def check_files(cases):
    """Indices and shards that don't go together."""
    def renamed(old, new):
        return lambda d: os.rename(os.path.join(d, old), os.path.join(d, new))

    def stale_index(d):
        index = json.load(open(os.path.join(d, INDEX)))
        index["weight_map"] = {name: f"model-{i % 13 + 1:05}-of-00013.safetensors"
                               for i, name in enumerate(index["weight_map"])}
        json.dump(index, open(os.path.join(d, INDEX), "w"))

    def lose(*names):
        return lambda d: [os.remove(os.path.join(d, name)) for name in names]

    cases.accepted(change=stale_index, says="the files that are here count")
    cases.accepted(files={"consolidated.safetensors.index.json": {"weight_map": {"layers.0.gate.weight": "lost.safetensors"}}},
                   says="consolidated.safetensors.index.json names files that are not here")
    cases.accepted(change=lose(INDEX))
    cases.refused(SECOND, "is missing", change=lose(SECOND))
    cases.refused(SECOND, "is missing", change=lose(SECOND, INDEX))
    cases.refused(FIRST, "is missing", change=lose(FIRST, INDEX))
    cases.refused("and no other file has it", change=lambda d: [renamed(FIRST, "part.safetensors")(d), lose(SECOND)(d)])
    for name in ("model-rank-0-part-0.safetensors", "model0-mp2.safetensors", "rank1.safetensors", "pp_rank_00.safetensors"):
        cases.refused("one rank", name, change=renamed(FIRST, name))

    def of_another_model(d):
        stale_index(d)
        path = os.path.join(d, INDEX)
        text = open(path).read()
        open(path, "w").write(text.replace('"model.', '"model.language_model.'))
    cases.accepted(change=of_another_model, says="the files that are here count")
    cases.refused("is in a.safetensors and in b.safetensors", change=lambda d: [
        lose(INDEX)(d), renamed(FIRST, "a.safetensors")(d), renamed(SECOND, "b.safetensors")(d),
        write_safetensors(os.path.join(d, "b.safetensors"), read_safetensors(os.path.join(d, "a.safetensors")) |
                          read_safetensors(os.path.join(d, "b.safetensors")))])

    def consolidated(d):
        other = layout("other", "layers.{layer}.", ROUTER | W123)
        write_safetensors(os.path.join(d, "consolidated.safetensors"), {
            name: tensor for layer in LAYERS for name, tensor in other.spread(other.random_values(cases.rng), layer).items()})
    _, output = cases.accepted("mixtral", change=consolidated, says="No index names consolidated.safetensors")
    name = "consolidated.safetensors"
    before, after = (read_safetensors(os.path.join(d, name)) for d in (output.replace(".permuted", ""), output))
    assert np.array_equal(before["layers.1.gate.weight"][4], after["layers.1.gate.weight"][3])
    assert np.array_equal(before["layers.1.experts.4.w1.weight"], after["layers.1.experts.3.w1.weight"])

    def fill(d):
        """An index of more than 64 MiB."""
        path = os.path.join(d, INDEX)
        text = open(path).read().rstrip()
        open(path, "w").write(text[:-1] + ", \"filling\": \"" + "x" * (65 << 20) + "\"}\n")
    cases.accepted(change=fill)
    # Members of an index beside its map are searched like any configuration.
    def quantised(names):
        def change(d):
            path = os.path.join(d, INDEX)
            index = json.load(open(path))
            json.dump({"quantised": names, **index}, open(path, "w"))
        return change
    _, output = cases.accepted(change=quantised([MODULE.format(1, 3, "up")]))
    assert json.load(open(os.path.join(output, INDEX)))["quantised"] == [MODULE.format(1, 4, "up")]
    cases.refused(INDEX, "names single experts", change=quantised({"experts": [1, 3]}))
    cases.refused("expert_map.csv", "names single experts", files={"expert_map.csv": "1,3,0\n1,4,1\n"})


def check_adapters(cases):
    """An adapter (LoRA) beside the model goes with it: names of experts and rows of the router."""
    before = "base_model.model.model.layers.1.mlp."
    adapter = {f"{before}experts.{expert}.up_proj.lora_A.weight": np.full((2, HIDDEN), expert + 0.5)
               for expert in range(5)}
    adapter |= {before + "gate.lora_A.weight": np.arange(EXPERTS * HIDDEN * 1.0).reshape(EXPERTS, HIDDEN),
                before + "gate.lora_B.weight": np.arange(EXPERTS * 2.0).reshape(EXPERTS, 2)}

    def add(*lost):
        def change(d):
            write_safetensors(os.path.join(d, "adapter_model.safetensors"), adapter)
            for name in lost:
                os.remove(os.path.join(d, name))
        return change
    for lost in ((), (INDEX,)):
        _, output = cases.accepted(change=add(*lost))
        after = read_safetensors(os.path.join(output, "adapter_model.safetensors"))
        assert (after[before + "experts.4.up_proj.lora_A.weight"] == 3.5).all()
        assert np.array_equal(after[before + "gate.lora_A.weight"], adapter[before + "gate.lora_A.weight"])
        assert after[before + "gate.lora_B.weight"][3].tolist() == [8.0, 9.0]
    cases.refused("gate.base_layer.weight", tensors={before + "gate.base_layer.weight": np.zeros((EXPERTS, HIDDEN))})


def check_layers(cases):
    """Layers of fewer experts than the mapping, layers and stacks outside it, and layers that aren't whole."""
    qwen = find("qwen3_moe")

    def cut(directory, layer, count, router=True):
        place = qwen.place.format(layer=layer)
        kept = {}
        for shard in (FIRST, SECOND):
            path = os.path.join(directory, shard)
            tensors = {name: tensor for name, tensor in read_safetensors(path).items()
                       if not (name.startswith(place + "experts.") and int(name.split("experts.")[1].split(".")[0]) >= count)}
            if router and place + "gate.weight" in tensors:
                tensors[place + "gate.weight"] = tensors[place + "gate.weight"][:count]
            write_safetensors(path, tensors)
            kept |= {name: shard for name in tensors}
        json.dump({"weight_map": kept}, open(os.path.join(directory, INDEX), "w"))

    source = cases.make(change=lambda d: cut(d, 2, 7))
    output, undone = source + ".permuted", source + ".undone"
    done = cases.permute(source, output)
    assert "Layer 2 has 7 experts, the mapping 12" in " ".join(done.stdout.split()), done.stdout
    before, after = ({name: tensor for shard in (FIRST, SECOND)
                      for name, tensor in read_safetensors(os.path.join(d, shard)).items()} for d in (source, output))
    place = qwen.place.format(layer=2)
    for new in range(7):
        row = after[place + "gate.weight"][new]
        old = next(i for i in range(7) if np.array_equal(before[place + "gate.weight"][i], row))
        for name in ("gate_proj", "up_proj", "down_proj"):
            assert np.array_equal(before[f"{place}experts.{old}.{name}.weight"], after[f"{place}experts.{new}.{name}.weight"])
    run([cases.gem_deploy, "permute", "--inverse", "--checkpoint", output, "--output", undone])
    assert content(undone) == content(source)
    cases.refused("router has 12 rows", change=lambda d: cut(d, 2, 7, router=False))

    extra = {f"model.layers.3.mlp.experts.{e}.up_proj.weight": np.zeros((INNER, HIDDEN)) for e in range(EXPERTS)}
    cases.accepted(tensors=extra | {"model.layers.3.mlp.gate.weight": np.zeros((EXPERTS, HIDDEN))},
                   says="Layer 3 is not in the mapping")
    cases.accepted(tensors={"mtp.layers.1.mlp.experts.0.up_proj.weight": np.zeros((INNER, HIDDEN)),
                            "talker.model.layers.1.mlp.experts.0.up_proj.weight": np.zeros((INNER, HIDDEN))},
                   says="Experts in talker")
    # An extent that happens to be the number of experts, under a name that has nothing to do with them.
    cases.accepted(tensors={"model.layers.1.mlp.latent_proj.weight": np.zeros((EXPERTS, HIDDEN)),
                            "model.layers.1.mlp.experts.3.up_proj.input_global_scale": np.zeros(1),
                            "model.layers.1.self_attn.q_proj.weight": np.zeros((EXPERTS, HIDDEN))})


def check_tensors(cases):
    """Routers and experts in unusual shapes and under unusual names."""
    place = "model.layers.1.mlp."

    def refused(tensors, *words, of="qwen3_moe", **made):
        cases.refused(*words, of=of, tensors=tensors, **made)

    for name in ("gate.weight_1", "gate.score_bias_2", "router.weights", "expert_biases", "moe_statics.counts",
                 "gate.tid2expert", "experts.table", "gate.weight.absmax", "gate.correction_bias", "expert_norm.weight",
                 "experts.norm.weight", "router_norm.weight", "shared_chunk_experts.0.up_proj.weight",
                 "experts.expert_3.wi.weight", "experts.03.up_proj.weight"):
        refused({place + name: np.zeros((EXPERTS, 2))}, place + name)
    for shape in ((EXPERTS + 1,), (2, EXPERTS), (EXPERTS - 1, 3)):
        refused({place + "gate.bias": np.zeros(shape)}, "gate.bias", "12 experts of the layer")
    for shape in ((2, 3), (1, EXPERTS)):
        refused({place + "gate.weight_scale_inv": np.zeros(shape)}, "gate.weight_scale_inv")
    cases.accepted(tensors={place + "gate.weight_scale_inv": np.zeros((1, 3))})
    for shape in ((), (1,), (1, 1)):
        cases.accepted(tensors={place + "gate.input_scale": np.zeros(shape)})
    for prefix in ("base_model.model.model.", "llm.model.", "model.text_model.", "transformer.", "decoder."):
        cases.accepted(layout("prefix", prefix + "layers.{layer}.mlp.", find("qwen3_moe").tensors))
    cases.refused("no tensors of a router and experts", of=layout("block", "model.layers.{layer}.moe_layer.",
                                                                  find("qwen3_moe").tensors))
    # What is fused in a block's own name, or dense there.
    refused({place + "gate_proj.weight": np.zeros((EXPERTS, INNER, HIDDEN))}, "gate_proj")
    cases.accepted(tensors={place + "gate_proj.weight": np.zeros((EXPERTS, HIDDEN)), place + "norm.weight": np.zeros(EXPERTS),
                            "model.layers.1.pre_moe_layernorm.weight": np.zeros(HIDDEN),
                            "model.layers.1.self_attn.gate_proj.weight": np.zeros((EXPERTS, HIDDEN))})
    cases.accepted(tensors={place + "gate.temperature": np.zeros(1), place + "routed_scaling": np.zeros(()),
                            place + "experts.post_expert_norm.weight": np.zeros(HIDDEN), place + "extra_state": np.zeros(0),
                            place + "pre_expert_proj.weight": np.zeros((HIDDEN, 2 * HIDDEN)),
                            place + "gate.norm.weight": np.zeros(HIDDEN), place + "head_proj.weight": np.zeros((EXPERTS, 3))})
    for name, shape in (("pre_expert_proj.weight", (EXPERTS, HIDDEN)), ("experts.scale_proj.weight", (EXPERTS, 1)),
                        ("router_proj.weight", (3, 3)), ("gate.norm.weight", (EXPERTS,)), ("gate.norm_table", (3,)),
                        ("routed_expert_norm.weight", (EXPERTS,))):
        refused({place + name: np.zeros(shape)}, place + name)
    refused({place + "norm.weight": np.zeros((EXPERTS, HIDDEN))}, place + "norm")
    refused({"model.language_model.layers.1.router.norm.weight": np.zeros(EXPERTS)}, "router.norm", of="gemma4")
    # Of all layers at once.
    for name, shape in (("model.expert_bias", (2, EXPERTS)), ("model.router_biases.1", (EXPERTS,)),
                        ("model.moe_table.weight", (3,))):
        refused({name: np.zeros(shape)}, name)
    cases.accepted(tensors={"model.moe_loss_scale": np.zeros(1), "model.moe_norm.weight": np.zeros(HIDDEN)})
    for name in ("expert_scale", "correction_bias", "routing_table", "mlp_gate.bias", "gating.weight"):
        refused({"model.layers.1." + name: np.zeros(EXPERTS)}, name)
    cases.accepted(tensors={"model.layers.1.per_layer_input_gate.weight": np.zeros((EXPERTS, HIDDEN)),
                            "model.layers.1.mlp_gate.weight": np.zeros((1, HIDDEN)),
                            "model.layers.1.attn_gate.weight": np.zeros((EXPERTS, HIDDEN))})
    nvfp4 = "language_model.model.layers.1.feed_forward.experts."
    for shape in ((), (1,), (EXPERTS,), (EXPERTS, 1)):
        cases.accepted("llama4", tensors={nvfp4 + "down_proj_weight_scale_2": np.zeros(shape)})
    refused({nvfp4 + "down_proj_weight_scale_2": np.zeros(5)}, "down_proj_weight_scale_2", of="llama4")
    # More rows than experts are zero-computation experts' if the configuration says so.
    longcat = find("longcat_flash")
    cases.refused("router has 17 rows", of=longcat, config={"zero_expert_num": 4})
    cases.refused("router has 17 rows", of=longcat, config={"zero_expert_num": None})
    # Values that are numbers of experts.
    v4 = "layers.1.ffn.gate.tid2eid"
    for dtype in (np.uint8, np.int32, np.int64):
        ids = cases.rng.integers(0, EXPERTS, (20, 2)).astype(dtype)
        source, output = cases.accepted("deepseek_v4", tensors={v4: ids})
        moved = read_safetensors(os.path.join(output, SECOND))[v4]
        exchanged = {3: 4, 4: 3}
        assert moved.tolist() == [[exchanged.get(one, one) for one in row] for row in ids.tolist()]
    refused({v4: np.full((3, 2), EXPERTS)}, "tid2eid", "holds the number 12", of="deepseek_v4")
    refused({v4: np.zeros((3, 2))}, "tid2eid", "whole numbers", of="deepseek_v4")


def main():
    with tempfile.TemporaryDirectory() as folder:
        cases = Cases(sys.argv[1], folder)
        for check in (check_groups, check_expert_counts, check_named_experts, check_files, check_adapters, check_layers,
                      check_tensors):
            check(cases)
    print(f"{cases.count} checkpoints computed the same or were refused")


if __name__ == "__main__":
    main()
