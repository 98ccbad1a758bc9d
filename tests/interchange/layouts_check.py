#!/usr/bin/env python3
"""For each layout of checkpoints: a thousand random tokens through router and experts before and after gem-deploy
permute, equal; and undone to the byte.

    layouts_check.py GEM_DEPLOY
"""

import os
import shutil
import sys
import tempfile

import numpy as np

from mapping_writer import random_mapping, write_mapping
from permute_check import content, run
from tiny_checkpoints import load, read_safetensors, write_safetensors
from tiny_layouts import EXPERTS, LAYERS, LAYOUTS, find, same_outputs

DEVICES = 3


def check_layout(gem_deploy, layout, folder, rng):
    source, permuted, undone = (os.path.join(folder, layout.name + end) for end in ("", ".permuted", ".undone"))
    layout.make(source, rng)
    mapping_file = source + ".h5"
    groups = layout.groups[0] if layout.groups else 1
    write_mapping(mapping_file, random_mapping(rng, len(LAYERS), EXPERTS, DEVICES, groups), LAYERS)
    run([gem_deploy, "permute", "--mapping", mapping_file, "--checkpoint", source, "--output", permuted])
    before, after = load(source), load(permuted)
    assert before.keys() == after.keys(), layout.name
    assert same_outputs(layout, source, permuted, rng), f"{layout.name}: other outputs"
    router = next(layout.place.format(layer=LAYERS[0]) + name for name, (fields, _) in layout.tensors.items()
                  if fields == "router")
    assert not np.array_equal(before[router], after[router]), layout.name
    for name in layout.shared:
        full = layout.place.format(layer=LAYERS[0]) + name
        assert np.array_equal(before[full], after[full]), full
    run([gem_deploy, "permute", "--inverse", "--checkpoint", permuted, "--output", undone])
    assert content(undone) == content(source), layout.name
    return source, permuted


def check_can_fail(layout, source, permuted, folder, rng):
    """With the old router before the new experts, outputs differ: the comparison sees what it is for."""
    spoiled = os.path.join(folder, "spoiled")
    shutil.copytree(permuted, spoiled)
    old = load(source)
    for name in os.listdir(spoiled):
        if name.endswith(".safetensors"):
            path = os.path.join(spoiled, name)
            write_safetensors(path, {one: old[one] if one.endswith("gate.weight") else tensor
                                     for one, tensor in read_safetensors(path).items()})
    assert not same_outputs(layout, source, spoiled, rng)


def main():
    gem_deploy = sys.argv[1]
    rng = np.random.default_rng(11)
    with tempfile.TemporaryDirectory() as folder:
        made = {layout.name: check_layout(gem_deploy, layout, folder, rng) for layout in LAYOUTS}
        check_can_fail(find("mixtral"), *made["mixtral"], folder, rng)
    print(f"{len(LAYOUTS)} layouts compute the same when permuted")


if __name__ == "__main__":
    main()
