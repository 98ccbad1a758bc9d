"""What the checks of gem-trace import share: an importer that says what came out, and recordings to feed it."""

import json
import os

import h5py
import numpy as np

from import_check import Importer

ROUTED = ["--format", "vllm-routed", "--experts", "8"]
COUNTS = ["--format", "counts", "--top-k", "2"]


class Cases(Importer):
    """Runs an import and says what came out."""

    def accept(self, inputs, *options, notes=()):
        done = self.run(inputs, *options)
        assert done.returncode == 0, f"{inputs} {options}: {done.stderr}"
        told = " ".join(done.stdout.split())
        for note in notes:
            assert note in told, f"{inputs} {options}: no '{note}' in\n{done.stdout}"
        with h5py.File(self.output) as file:
            found = {name: file[name][:] for name in file if isinstance(file[name], h5py.Dataset)} | dict(file.attrs)
        os.remove(self.output)
        return found | {"told": told}

    def npy(self, array, name="a.npy"):
        np.save(self.path(name), array)
        return self.path(name)

    def text(self, name, content):
        with open(self.path(name), "w") as file:
            file.write(content if isinstance(content, str) else json.dumps(content))
        return self.path(name)


def routing(rng, tokens=40, layers=3, experts=8, k=2):
    return np.stack([rng.permutation(experts)[:k] for _ in range(tokens * layers)]).reshape(tokens, layers, k)


def consistent_counts(rng, steps=4, layers=3, experts=8, k=2, tokens=50):
    """[step, layer, expert] of real choices: every layer of a step sums to tokens x k."""
    counts = np.zeros((steps, layers, experts), int)
    for step, layer in np.ndindex(steps, layers):
        for _ in range(tokens + 7 * step):
            counts[step, layer, rng.permutation(experts)[:k]] += 1
    return counts
