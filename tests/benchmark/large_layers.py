#!/usr/bin/env python3
"""Searches layers of 256 experts and more, for which gem has rules of its own.

42 cases: DeepSeek-V3 (256 experts, 6 layers) and Kimi-K2 (384 experts, 4
layers), synthetic steps of 4,096 tokens with six seeds and skews 3 and 6, 16 or
128 steps searched on and 256 held out, on 8, 16 and 32 simulated devices, of
which half take 1.277 times as long. Prints gem's share of linear's time on the
steps searched on and held out, and processor seconds (see search.md).

    tests/benchmark/large_layers.py BIN_DIRECTORY [OPTIONS OF gem-map...]
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile

MODELS = {"DeepSeek-V3": (256, 6), "Kimi-K2": (384, 4)}  # experts, layers
SEEDS = range(11, 17)
# (model, steps searched on) -> devices
CASES = {("DeepSeek-V3", 16): (8, 16, 32), ("DeepSeek-V3", 128): (8, 32), ("Kimi-K2", 16): (16, 32)}


def run(program, *arguments):
    """What a program prints."""
    command = [os.path.join(sys.argv[1], program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else sys.exit(done.stderr)


def make_profiles():
    for model, devices in {(model, devices) for (model, _), counts in CASES.items() for devices in counts}:
        options = ("--device", "simulated", "--slowdown", "1.0,1.277", "--max-tokens", 32768, "--seed", 1)
        run("gem-profile", "--quiet", "--model", model, "--devices", devices, *options, "--output", f"{model}.{devices}.h5")


def make_traces(model, steps, seed):
    experts, layers = MODELS[model]
    load = ("--experts", experts, "--layers", layers, "--top-k", 8, "--tokens", 4096, "--skew", 3 + 3 * (seed % 2))
    run("gem-trace", "synthesize", "--quiet", *load, "--steps", steps + 256, "--seed", seed, "--output", "all.h5")
    parts = ("--output-train", "train.h5", "--output-test", "test.h5")
    run("gem-trace", "split", "--quiet", "--trace", "all.h5", "--train-steps", steps, *parts)


def place(model, devices, search_seed):
    """Shares of linear's time searched on and held out, and processor seconds."""
    before_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    files = ("--profile", f"{model}.{devices}.h5", "--trace", "train.h5", "--test-trace", "test.h5", "--output", "mapping.h5")
    options = ("--quiet", "--json", "--allow-model-mismatch", "--method", "gem", "--seed", search_seed, *sys.argv[2:])
    methods = json.loads(run("gem-map", *files, *options))["methods"]
    gem = next(method for method in methods if method["method"] == "gem")
    spent_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before_s
    return gem["train_ratio"], gem["test_ratio"], spent_s


def main():
    if len(sys.argv) < 2 or sys.argv[1] in ("--help", "-h"):
        print(__doc__.strip())
        return 0 if len(sys.argv) > 1 else 2
    sys.argv[1] = os.path.abspath(sys.argv[1])
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        make_profiles()
        for (model, steps), counts in CASES.items():
            for seed in SEEDS:
                make_traces(model, steps, seed)
                for devices in counts:
                    found = [place(model, devices, search_seed) for search_seed in range(3)]
                    cases.append((steps, devices, *map(statistics.mean, zip(*found))))
        os.chdir("/")
    print("| cases | searched on | held out | seconds a case |\n|---|---:|---:|---:|")
    groups = [("all", lambda case: True)]
    groups += [(f"{steps} steps", lambda case, steps=steps: case[0] == steps) for steps in (16, 128)]
    groups += [(f"{devices} devices", lambda case, devices=devices: case[1] == devices) for devices in (8, 16, 32)]
    for name, belongs in groups:
        train, test, seconds = (statistics.mean(column) for column in list(zip(*filter(belongs, cases)))[2:])
        print(f"| {name}, {len(list(filter(belongs, cases)))} cases | {train:.4f} | {test:.4f} | {seconds:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
