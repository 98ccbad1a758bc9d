#!/usr/bin/env python3
"""Checkpoints whose layers have different numbers of experts, renumbered by a mapping that places each layer's own: the
outputs stay, linear placement (one more on the first devices) is the mapping, and it can be undone.

    layer_experts_check.py GEM_DEPLOY
"""

import json
import os
import sys
import tempfile

import h5py
import numpy as np

from mapping_writer import write_mapping
from permute_check import content, run
from tiny_checkpoints import load, save, silu

COUNTS = {1: 8, 2: 6, 4: 5}  # experts of each layer
DEVICES, TOP_K, HIDDEN, INNER = 3, 2, 8, 4
PLACE = "model.layers.{}.mlp."


def make(directory, rng, config, fused=False):
    tensors = {}
    for layer, count in COUNTS.items():
        place = PLACE.format(layer)
        tensors[place + "gate.weight"] = rng.normal(size=(count, HIDDEN))
        up, down = rng.normal(size=(count, 2 * INNER, HIDDEN)), rng.normal(size=(count, HIDDEN, INNER))
        if fused:
            tensors |= {place + "experts.gate_up_proj": up, place + "experts.down_proj": down}
            continue
        for expert in range(count):
            one = f"{place}experts.{expert}."
            tensors |= {one + "gate_proj.weight": up[expert, :INNER], one + "up_proj.weight": up[expert, INNER:],
                        one + "down_proj.weight": down[expert]}
    save(directory, tensors, config, 2)


def weights(tensors, layer, expert):
    """The router's row, what the expert multiplies with first, and what last."""
    place = PLACE.format(layer)
    row = tensors[place + "gate.weight"][expert]
    if place + "experts.down_proj" in tensors:
        return row, tensors[place + "experts.gate_up_proj"][expert], tensors[place + "experts.down_proj"][expert]
    one = f"{place}experts.{expert}."
    both = np.concatenate([tensors[one + "gate_proj.weight"], tensors[one + "up_proj.weight"]])
    return row, both, tensors[one + "down_proj.weight"]


def outputs(tensors, inputs):
    found = []
    for x in inputs:
        for layer in COUNTS:
            logits = tensors[PLACE.format(layer) + "gate.weight"] @ x
            chosen = np.argsort(-logits)[:TOP_K]
            shares = np.exp(logits[chosen]) / np.exp(logits[chosen]).sum()
            parts = [(share, *weights(tensors, layer, expert)[1:]) for share, expert in zip(shares, chosen)]
            x = x + sum(share * (down @ (silu(up[:INNER] @ x) * (up[INNER:] @ x))) for share, up, down in parts)
            x = x / np.sqrt(np.mean(x * x))
        found.append(x)
    return np.array(found)


def linear(count):
    """[expert] its device, one more on the first devices."""
    held = count // DEVICES + (np.arange(DEVICES) < count % DEVICES)
    return np.repeat(np.arange(DEVICES), held)


def write_uneven_mapping(path, rng):
    """[layer] devices of each expert; the file is as wide as the layer with the most needs."""
    homes = {layer: rng.permutation(linear(count)) for layer, count in COUNTS.items()}
    width = max(COUNTS.values())
    table = np.full((len(COUNTS), width), -1, np.int32)
    slots = np.full((len(COUNTS), DEVICES, -(-width // DEVICES)), -1, np.int32)
    for row, own in enumerate(homes.values()):
        table[row, :len(own)] = own
        for device in range(DEVICES):
            held = np.flatnonzero(own == device)
            slots[row, device, :len(held)] = held
    write_mapping(path, np.arange(DEVICES)[None].repeat(len(COUNTS), 0), list(COUNTS))
    with h5py.File(path, "r+") as file:
        for name, values in (("expert_to_device", table), ("slots", slots)):
            del file[name]
            file[name] = values
        file["experts_of_layer"] = np.array(list(COUNTS.values()), np.int32)
        for name in ("expert_to_device", "slots", "experts_of_layer"):
            file[name].attrs["units"] = "1"
    return homes


def check(gem_deploy, folder, name, config, rng, fused=False):
    source, mapping = os.path.join(folder, name), os.path.join(folder, name + ".h5")
    output, undone = source + ".permuted", source + ".undone"
    make(source, rng, config, fused)
    homes = write_uneven_mapping(mapping, rng)
    permute = [gem_deploy, "permute", "--mapping", mapping, "--checkpoint", source, "--output", output]
    told = run(permute).stdout
    assert "come to another device" not in told, told
    before, after = load(source), load(output)
    inputs = rng.normal(size=(1000, HIDDEN))
    np.testing.assert_allclose(outputs(after, inputs), outputs(before, inputs), rtol=1e-9)
    for layer, count in COUNTS.items():
        old_of_new = json.load(open(os.path.join(output, "gem_mapping.json")))["layers"][str(layer)]
        assert homes[layer][old_of_new].tolist() == linear(count).tolist(), (layer, old_of_new)
        for new, old in enumerate(old_of_new):
            for a, b in zip(weights(after, layer, new), weights(before, layer, old)):
                assert np.array_equal(a, b)
    run([gem_deploy, "permute", "--inverse", "--checkpoint", output, "--output", undone])
    assert content(undone) == content(source)


def check_another_model(gem_deploy, folder, rng):
    """A layer with more experts than the mapping places there, and a model that routes by groups."""
    source, mapping = os.path.join(folder, "another"), os.path.join(folder, "another.h5")
    make(source, rng, {"num_experts": 8})
    write_uneven_mapping(mapping, rng)
    with h5py.File(mapping, "r+") as file:
        file["layer_ids"][:] = [2, 1, 4]  # 8 experts for layer 2
    permute = [gem_deploy, "permute", "--mapping", mapping, "--checkpoint", source, "--output", source + ".new"]
    done = run(permute, 3)
    assert "layer 1 has 8 experts, but the mapping has 6" in done.stderr, done.stderr
    done = run([*permute, "--expert-groups", "2"], 2)
    assert "layers have different numbers of experts (5 to 8)" in done.stderr, done.stderr
    assert not os.path.exists(source + ".new")


def main():
    rng = np.random.default_rng(3)
    with tempfile.TemporaryDirectory() as folder:
        check(sys.argv[1], folder, "greatest", {"model_type": "qwen3_moe", "num_experts": 8}, rng)
        check(sys.argv[1], folder, "listed", {"model_type": "hunyuan", "num_experts": [8, 6, 5]}, rng)
        check(sys.argv[1], folder, "fused", {"model_type": "qwen3_5_moe", "num_experts": 8}, rng, fused=True)
        check_another_model(sys.argv[1], folder, rng)
    print("good")


if __name__ == "__main__":
    main()
