#!/usr/bin/env python3
"""Maps of experts as tools keep them, read by gem-deploy import as the mapping that they are.

    map_import_check.py GEM_DEPLOY
"""

import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

import torch_files

DEVICES = 4


def main():
    rng = np.random.default_rng(5)
    plain = np.stack([rng.permutation(16) for _ in range(3)])
    with tempfile.TemporaryDirectory() as folder:
        path = lambda name: os.path.join(folder, name)  # noqa: E731

        def run(name, *options):
            command = [sys.argv[1], "import", "--input", path(name), "--output", path("out.h5"), *options]
            return subprocess.run(command, capture_output=True, text=True)

        def saved(name, value):
            if name.endswith(".json"):
                with open(path(name), "w") as file:
                    json.dump(value, file)
            elif name.endswith(".npy"):
                np.save(path(name), value)
            elif name.endswith(".npz"):
                np.savez(path(name), **value)
            else:
                torch_files.save(path(name), value)
            return name

        tensor = torch_files.Tensor
        stated = ["--devices", str(DEVICES)]
        for name, layers, options in (
            (saved("c.json", {"physical_to_logical_map": plain.tolist()}), [0, 1, 2], stated),
            (saved("a.json", {str(3 + layer): row.tolist() for layer, row in enumerate(plain)}), [3, 4, 5], stated),
            (saved("b.json", {f"layer_{3 + layer}": row.tolist() for layer, row in enumerate(plain)}), [3, 4, 5], stated),
            (saved("a.npy", plain), [0, 1, 2], stated),
            (saved("b.npy", plain.reshape(3, DEVICES, 4)), [0, 1, 2], []),
            (saved("a.npz", {"phy2log": plain, "logcnt": np.ones((3, 16), int)}), [0, 1, 2], stated),
            (saved("b.npz", {"map": plain.reshape(3, DEVICES, 4)}), [0, 1, 2], []),
            (saved("a.pt", {"physical_to_logical_map": tensor(plain)}), [0, 1, 2], stated),
            (saved("b.pt", tensor(plain.reshape(3, DEVICES, 4))), [0, 1, 2], []),
            (saved("c.pt", [tensor(plain), tensor(np.argsort(plain)[..., None]), tensor(plain)]), [0, 1, 2], stated),
        ):
            done = run(name, *options)
            assert done.returncode == 0, f"{name}: {done.stderr}"
            with h5py.File(path("out.h5")) as file:
                assert list(file["layer_ids"][:]) == layers, name
                assert np.array_equal(file["expert_to_device"][:], np.argsort(plain, axis=1) // 4), name
            os.remove(path("out.h5"))
        for value, words in (
            ({"phy2log": plain + 0.5}, "which is no expert"),
            ({"a": plain, "b": plain}, "alone or called physical_to_logical_map or phy2log"),
            ({"phy2log": plain[0]}, "must be numbers [layer, slot]"),
        ):
            done = run(saved("bad.npz", value), *stated)
            assert done.returncode == 3 and words in done.stderr, done.stderr
    print("maps came out as they went in")


if __name__ == "__main__":
    main()
