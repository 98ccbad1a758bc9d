"""Checkpoints made for one case each, permuted by gem-deploy, and what came of it."""

import json
import os

import numpy as np

from mapping_writer import write_mapping
from permute_check import content, run
from tiny_checkpoints import read_safetensors, write_safetensors
from tiny_layouts import EXPERTS, LAYERS, find, same_outputs

DEVICES = 3
INDEX = "model.safetensors.index.json"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
# Renumbered, layer 1 exchanges experts 3 and 4, and layer 2 experts 7 and 8: there are sets of experts that stay.
MAPPING = np.arange(EXPERTS)[None].repeat(len(LAYERS), 0) // (EXPERTS // DEVICES)
MAPPING[0, [3, 4]], MAPPING[1, [7, 8]] = (1, 0), (2, 1)


class Cases:
    def __init__(self, gem_deploy, folder, mapping=MAPPING, tokens=100):
        self.gem_deploy, self.folder, self.tokens = gem_deploy, folder, tokens
        self.mapping = os.path.join(folder, "mapping.h5")
        write_mapping(self.mapping, mapping, LAYERS)
        self.rng = np.random.default_rng(5)
        self.count = 0

    def make(self, of="qwen3_moe", config=None, files=None, change=None, tensors=None):
        """A checkpoint in a layout, with members of config.json, files beside it and a change of the directory."""
        self.count += 1
        directory = os.path.join(self.folder, f"case_{self.count}")
        (find(of) if isinstance(of, str) else of).make(directory, self.rng)
        path = os.path.join(directory, "config.json")
        if config is not None:
            json.dump({**json.load(open(path)), **config}, open(path, "w"))
        for name, text in (files or {}).items():
            open(os.path.join(directory, name), "w").write(text if isinstance(text, str) else json.dumps(text))
        if tensors:
            self.add_tensors(directory, tensors)
        if change:
            change(directory)
        return directory

    @staticmethod
    def add_tensors(directory, tensors):
        path = os.path.join(directory, SECOND)
        write_safetensors(path, read_safetensors(path) | tensors)
        index = json.load(open(os.path.join(directory, INDEX)))
        index["weight_map"] |= {name: SECOND for name in tensors}
        json.dump(index, open(os.path.join(directory, INDEX), "w"))

    def permute(self, source, output, options=(), code=0):
        return run([self.gem_deploy, "permute", "--mapping", self.mapping, "--checkpoint", source, "--output", output,
                    *options], code)

    def accepted(self, of="qwen3_moe", options=(), says="", **made):
        """Computes the same, comes back to the byte, and `says` is in the output. Returns both directories."""
        source = self.make(of, **made)
        output, undone = source + ".permuted", source + ".undone"
        done = self.permute(source, output, options)
        assert says in " ".join(done.stdout.split()), done.stdout
        layout = find(of) if isinstance(of, str) else of
        assert same_outputs(layout, source, output, self.rng, self.tokens), source
        run([self.gem_deploy, "permute", "--inverse", "--checkpoint", output, "--output", undone])
        assert content(undone) == content(source), done.stdout
        return source, output

    def refused(self, *words, of="qwen3_moe", code=3, options=(), **made):
        """Is refused in one sentence that has these words, and nothing is written."""
        source = self.make(of, **made)
        done = self.permute(source, source + ".permuted", options, code)
        for word in words:
            assert word in done.stderr, f"{word} is not in: {done.stderr}"
        assert done.stderr.count("\n") == 1 and not os.path.exists(source + ".permuted"), done.stderr
