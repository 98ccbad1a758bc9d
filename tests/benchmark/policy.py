#!/usr/bin/python3
"""GEM's policy beside those of vLLM and SGLang: time of a call, and straggler time on steps that none of them has seen.

    tests/benchmark/policy.py [--routing NAME...] [--times]

Time of a call alone, without the engines and PyTorch: policy_times.py beside it.

Needs Python with NumPy, h5py and PyTorch, the engines' files (tests/policy/fetch_engines.sh), PYTHONPATH of `policy` and
`tests/policy`, GEM_POLICY_LIBRARY (Release) and GEM_PROGRAMS. Devices that differ are simulated: latencies of
one surface times a factor."""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

from policy_times import CASES as TIMED_CASES
from policy_times import MOVES, SLOWDOWNS, STEPS, as_engines_call, times_of, write_slow_profile

ROOT = pathlib.Path(__file__).resolve().parents[2]
# routing of a search's part and of the one that is judged by; tokens a step; devices; copies a layer
CASES = [("gpt-oss-20b.mmlu", 256, 4, 0), ("gpt-oss-20b.mmlu", 256, 8, 8), ("gpt-oss-20b.gpqa", 256, 4, 0),
         ("deepseek-v2-lite.intent", 2048, 4, 0), ("deepseek-v2-lite.intent", 2048, 8, 8),
         ("deepseek-v2-lite.summary", 2048, 8, 0)]


def engines():
    """name -> function(counts, present, devices) -> map; each as its engine calls it."""
    import numpy
    import torch
    from engines import load_sglang, load_vllm

    own = load_vllm().EPLB_POLICIES["default"]
    algorithms = load_sglang()

    def vllm(counts, present, devices):
        weight = torch.from_numpy(counts.sum(axis=0).astype(numpy.int64))
        return own.rebalance_experts(weight, present.shape[1], 1, 1, devices, torch.from_numpy(present)).numpy()

    def sglang(counts, present, devices):
        found = algorithms.rebalance_experts(
            tokens_per_expert=torch.from_numpy(counts.astype(numpy.int32)), num_physical_experts=present.shape[1],
            num_local_physical_experts=present.shape[1] // devices, num_groups=None, num_nodes=1,
            algorithm=algorithms.EplbAlgorithm.deepseek)
        return found[0].numpy()

    return {"vLLM": vllm, "SGLang": sglang}


def again(place, calls):
    """Its map after so many calls, each from the last one's map, with the same load."""

    def place_often(counts, present, devices):
        for _ in range(calls):
            present = place(counts, present, devices)
        return present

    return place_often


def straggler_s(library, profile, counts, placed, devices):
    """Mean seconds of a step: the slowest device of each layer, as the library predicts it for a map that stays."""
    from gem_policy.library import Devices

    found = Devices.measured(library, profile).place(counts, placed, placed.shape[1] // devices, devices, max_moves=0)
    return found.present_s


def trace_of(routing, part, tokens, folder):
    import h5py
    import numpy

    path = os.path.join(folder, f"{routing}.{part}.{tokens}.h5")
    if not os.path.exists(path):
        subprocess.run([os.path.join(os.environ["GEM_PROGRAMS"], "gem-trace"), "batch", "--routing",
                        ROOT / f"jobs/data/routing/{routing}.h5", "--part", part, "--steps", "128",
                        "--batch-size" if routing.startswith("gpt-oss") else "--chunk-tokens", str(tokens), "--output", path, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    with h5py.File(path) as file:
        return file["counts"][:].astype(numpy.int32)


def moved(before, after, devices):
    return sum(len(set(new) - set(old)) for old_row, new_row in zip(before, after)
               for old, new in zip(old_row.reshape(devices, -1).tolist(), new_row.reshape(devices, -1).tolist()))


def held_out(library, own, names, folder):
    import numpy
    from support import linear_map

    print("| routing, tokens a step | devices, copies | speeds | policy | held-out step, of linear | experts moved |")
    print("|---|---|---|---|---|---|")
    for routing, tokens, devices, copies in CASES:
        if names and routing not in names:
            continue
        train, test = (trace_of(routing, part, tokens, folder) for part in ("train", "test"))
        layers, experts = train.shape[1:]
        linear = linear_map(layers, experts, experts + copies).astype(numpy.int32)
        for speeds in ("equal", "unequal"):
            profile = write_slow_profile(os.path.join(folder, f"{routing}.{tokens}.{devices}.{copies}.{speeds}"), devices,
                                         SLOWDOWNS if speeds == "unequal" else (1.0,))
            base = straggler_s(library, profile, test, linear, devices)
            gem = as_engines_call(library.path, profile)
            policies = own | {"gem": gem, "gem, third call": again(gem, 3), "gem, moves for nothing": as_engines_call(
                library.path, profile, max_moves=-1, move_gbps=1e8)}
            for name, place in policies.items():
                placed = numpy.ascontiguousarray(place(train, linear.astype(numpy.int64), devices), dtype=numpy.int32)
                ratio = straggler_s(library, profile, test, placed, devices) / base
                print(f"| {routing}, {tokens} | {devices}, {copies} | {speeds} | {name} | {ratio:.3f} | "
                      f"{moved(linear, placed, devices)} |", flush=True)


def call_times(library, own, folder):
    import torch

    print("\n| layers x experts, slots, devices, steps | policy | processor ms a call: least of 10, median |\n|---|---|---|")
    torch.set_num_threads(1)
    for case in TIMED_CASES:
        profile = write_slow_profile(os.path.join(folder, f"time.{case.name}"), case.devices)
        policies = own | {f"gem, {moves} moves a layer": as_engines_call(library.path, profile, max_moves=moves)
                          for moves in MOVES}
        times, _ = times_of(policies, case.question(), case.devices, 10)
        for name, (least_ms, median_ms) in times.items():
            print(f"| {case.layers} x {case.experts}, {case.slots}, {case.devices}, {STEPS} | {name} | {least_ms:.1f}, "
                  f"{median_ms:.1f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--routing", nargs="*", help="those of jobs/data/routing; all if left out")
    parser.add_argument("--times", action="store_true", help="time of a call alone")
    arguments = parser.parse_args()
    from gem_policy.library import Library

    library = Library(os.environ.get("GEM_POLICY_LIBRARY", ""))
    with tempfile.TemporaryDirectory() as folder:
        own = engines()
        if not arguments.times:
            held_out(library, own, arguments.routing, folder)
        call_times(library, own, folder)


if __name__ == "__main__":
    sys.exit(main())
