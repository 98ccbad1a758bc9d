#!/usr/bin/env python3
"""GEM beside the placement policies of vLLM, SGLang and vllm-ascend, as their packages have them: each gets the same steps,
and gem-map scores all on requests that none has seen. Devices are simulated, or emulated from profiles of a GPU. See peers.md;
peers.sh fetches and runs.

    peers.py --programs BIN --engines FOLDER [--splits N] [--cases WORD] [--known]
             [--profiles FOLDER [--keep FOLDER]]
    peers.py --table ROWS.json

FOLDER holds vllm, sglang and vllm_ascend; of --profiles, what peers_gpu.sh measured on a GPU, which replays what --keep keeps. Needs
NumPy, h5py, PyTorch, Numba and SciPy."""

import argparse
import json
import logging
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import types

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("tests/policy", "policy", "analysis")]
STEPS, RESAMPLED_STEPS = 128, 512  # gem-map fills up to 512 with mixtures, so that these cost it no more
DECODE = [(routing, "--batch-size", tokens) for routing in ("gpt-oss-20b.mmlu", "gpt-oss-20b.gpqa") for tokens in (64, 256)]
PREFILL = [(routing, "--chunk-tokens", tokens) for routing in ("deepseek-v2-lite.intent", "deepseek-v2-lite.summary")
           for tokens in (512, 2048)]
DEVICES = [(4, "1.0"), (8, "1.0,1.277")]  # number, and how much slower each is than the first
KNOWN = ("gem, requests known", "gem, steps known")  # what could be won at most: found on what is scored
PEERS = ("vLLM", "SGLang", "SGLang time axis", "FlashLB", "SwiftBalance")
TIE = 0.001  # of linear's time


def load_policies(engines):
    """name -> function(counts [step, layer, expert], devices) -> experts [layer, device, slot]."""
    import numpy
    import torch

    os.environ["GEM_TEST_ENGINES"] = engines
    from engines import Finder, load_sglang, load_vllm

    vllm = load_vllm().EPLB_POLICIES["default"]
    sglang = load_sglang()
    sys.modules["vllm.logger"].logger = logging.getLogger("vllm")
    sys.modules.setdefault("torch_npu", types.ModuleType("torch_npu"))
    group = types.SimpleNamespace(world_size=8)
    torch.npu = types.SimpleNamespace(device_count=lambda: group.world_size)
    given = {"vllm_ascend.distributed.parallel_state": {"get_dynamic_eplb_group": lambda: group}}
    sys.meta_path.insert(0, Finder("vllm_ascend", os.path.join(engines, "vllm_ascend"), ["vllm_ascend.eplb.core.policy"],
                                   given))
    from vllm_ascend.eplb.core.policy.policy_flashlb import FlashLB
    from vllm_ascend.eplb.core.policy.policy_swift_balancer import SwiftBalanceEplb

    def linear(counts, devices):
        layers, experts = counts.shape[1:]
        return numpy.tile(numpy.arange(experts).reshape(1, devices, -1), (layers, 1, 1))

    def by_slots(counts, devices):  # [..., layer, device, slot] of the linear placement
        return counts.reshape(*counts.shape[:-1], devices, -1)

    def of_vllm(counts, devices):
        present = torch.from_numpy(linear(counts, devices).reshape(counts.shape[1], -1))
        load = torch.from_numpy(counts.sum(axis=0))
        return vllm.rebalance_experts(load, counts.shape[2], 1, 1, devices, present).numpy()

    def of_sglang(algorithm):
        def place(counts, devices):
            return sglang.rebalance_experts(
                tokens_per_expert=torch.from_numpy(counts.astype(numpy.int32)), num_physical_experts=counts.shape[2],
                num_local_physical_experts=counts.shape[2] // devices, num_groups=None, num_nodes=1,
                algorithm=sglang.EplbAlgorithm[algorithm])[0].numpy()

        return place

    def of_flashlb(counts, devices):
        group.world_size = devices
        present = linear(counts, devices)
        _, changed, placed = FlashLB().rebalance_experts(torch.from_numpy(present), torch.from_numpy(
            by_slots(counts, devices).copy()))
        present[changed] = placed[changed]
        return present

    def of_swift(counts, devices):
        group.world_size = devices
        policy = SwiftBalanceEplb()
        placed = policy.rebalance_experts(torch.from_numpy(linear(counts, devices)), torch.from_numpy(
            by_slots(counts.sum(axis=0), devices).copy()))
        return numpy.asarray(placed[2])

    functions = (of_vllm, of_sglang("deepseek"), of_sglang("deepseek_vec"), of_flashlb, of_swift)
    return dict(zip(PEERS, functions))


class Runner:
    def __init__(self, programs, folder, profiles=None):
        self.programs, self.folder, self.profiles = programs, folder, profiles
        if not os.path.exists(os.path.join(programs, "gem-map")):
            sys.exit(f"{programs} holds no gem-map: give the folder of the programs, such as build/release/bin")
        self.environment = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

    def run(self, program, *arguments):
        command = [os.path.join(self.programs, program), *map(str, arguments), "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, cwd=self.folder)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}:\n{done.stderr}")
        return done.stdout

    def path(self, *words):
        return os.path.join(self.folder, ".".join(map(str, words)) + ".h5")

    def trace(self, case, part, split, *options, steps=STEPS, seed=1):
        path = self.path(*case, part, split, seed, *options)
        if not os.path.exists(path):
            self.run("gem-trace", "batch", "--routing", ROOT / f"jobs/data/routing/{case[0]}.h5", case[1], case[2], "--steps",
                     steps, "--part", part, "--split-seed", split, "--seed", seed, *options, "--output", path)
        return path

    def profile(self, case, devices, slowdown):
        model = case[0].split(".")[0]
        if self.profiles:
            return os.path.join(self.profiles, f"{model}.{case[2]}.{devices}.h5")
        path = self.path(model, devices, slowdown.replace(",", "_"))
        if not os.path.exists(path):
            self.run("gem-profile", "--model", model, "--device", "simulated", "--devices", devices, "--slowdown", slowdown,
                     "--seed", 1, "--output", path)
        return path

    def map(self, method, profile, train, test, output, mappings=(), options=()):
        given = (word for path in mappings for word in ("--mapping", path))
        return self.run("gem-map", "--json", "--cross-validate", 0, "--profile", profile, "--trace", train, "--test-trace", test,
                        "--method", method, "--output", output, *given, *options)

    def ratios(self, profile, train, test, output, mappings=()):
        """Held-out time of each method and mapping, of linear's; writes gem's mapping."""
        output = self.map("gem", profile, train, test, output, mappings)
        return {row["method"]: row["test_ratio"] for row in json.loads(output)["methods"]}


def write_placement(path, name, placed, devices, trace):
    """A gem.mapping of experts [layer, device, slot]."""
    import h5py
    import numpy
    from gem_analysis import writing

    placed = numpy.asarray(placed).reshape(len(placed), devices, -1)
    homes = numpy.empty((len(placed), placed.shape[1] * placed.shape[2]), dtype=numpy.int32)
    for layer, row in enumerate(placed):
        homes[layer, row.reshape(-1)] = numpy.repeat(numpy.arange(devices), row.shape[1])
    with h5py.File(trace) as file:
        layers, model = file["layer_ids"][:], file.attrs["model"]
    model = model.decode() if isinstance(model, bytes) else model
    writing.write(path, writing.make_mapping(homes, devices, model=model, method=name.replace(" ", "-"), layer_ids=layers))


def measure(runner, policies, case, devices, slowdown, split, keep=None, known=False):
    import h5py

    train, test = (runner.trace(case, part, split) for part in ("train", "test"))
    with h5py.File(train) as file:
        counts = file["counts"][:].astype("int64")
    mappings = []
    for name, place in policies.items():
        mappings.append(runner.path(name.replace(" ", "_")))
        if os.path.exists(mappings[-1]):
            os.remove(mappings[-1])
        write_placement(mappings[-1], name, place(counts, devices), devices, train)
    profile = runner.profile(case, devices, slowdown)
    found = runner.ratios(profile, train, test, runner.path("gem"), mappings)
    mappings.append(runner.path("gem"))
    row = {"case": f"{case[0]}, {case[2]}", "decode": case in DECODE, "devices": devices, "slowdown": slowdown, "split": split}
    row |= {name: found.get(path, found.get(os.path.basename(path)[:-3], found.get(os.path.basename(path))))
            for name, path in zip(policies, mappings)}
    row |= {name: found[name] for name in ("speed-aware", "paper", "gem")}
    if case in DECODE:
        resampled = runner.trace(case, "train", split, "--resample", steps=RESAMPLED_STEPS)
        mappings.append(runner.path("gem-resampled"))
        row["gem, resampled"] = runner.ratios(profile, resampled, test, mappings[-1])["gem"]
    if known and case in DECODE:
        others = runner.trace(case, "test", split, steps=RESAMPLED_STEPS, seed=7)
        for name, trace in zip(KNOWN, (others, test)):
            row[name] = runner.ratios(profile, trace, test, runner.path("known"))["gem"]
    if keep:
        folder = pathlib.Path(keep) / f"{case[0]}.{case[2]}.{devices}.{split}"
        folder.mkdir(parents=True, exist_ok=True)
        for method in ("speed-aware", "paper"):
            runner.map(method, profile, train, test, folder / f"{method}.h5")
        for path in mappings:
            shutil.copy(path, folder)
        shutil.copy(test, folder / "test.trace")
    return row


def tables(rows):
    """The page's tables, as text."""
    def mean_of(some, name):
        values = [row[name] for row in some if row.get(name) is not None]
        return sum(values) / len(values) if values else None

    def shown(value):
        return "" if value is None else f"{value:.4f}"

    def count(differences):
        return (f"{sum(d < -TIE for d in differences)}, {sum(abs(d) <= TIE for d in differences)}, "
                f"{sum(d > TIE for d in differences)}")

    names = [*PEERS, "speed-aware", "paper", "gem", "gem, resampled"]
    names += [name for name in KNOWN if any(name in row for row in rows)]
    lines = [f"| case | devices | speeds | splits | {' | '.join(names)} | gem less best peer |",
             "|---|---:|---|---:|" + "---:|" * (len(names) + 1)]
    keys = sorted({(not row["decode"], row["case"], row["devices"], row["slowdown"]) for row in rows})
    margins = []
    for key in keys:
        some = [row for row in rows if (not row["decode"], row["case"], row["devices"], row["slowdown"]) == key]
        best = min(mean_of(some, name) for name in PEERS)
        margins.append((key[0], mean_of(some, "gem") - best))
        speeds = "equal" if key[3] == "1.0" else "1, 1.277"
        lines.append(f"| {key[1]} | {key[2]} | {speeds} | {len(some)} | {' | '.join(shown(mean_of(some, name)) for name in names)}"
                     f" | {margins[-1][1] * 100:+.2f} points |")
    lines += ["", "| | cases and splits | " + " | ".join(names) + " | cases won, tied, lost | cases and splits won, tied, lost |",
              "|---|---:|" + "---:|" * len(names) + "---|---|"]
    for word, is_prefill in (("decode", False), ("prefill", True)):
        some = [row for row in rows if row["decode"] != is_prefill]
        if not some:
            continue
        of_rows = [row["gem"] - min(row[name] for name in PEERS) for row in some]
        of_cases = [margin for prefill, margin in margins if prefill == is_prefill]
        lines.append(f"| {word} | {len(some)} | {' | '.join(shown(mean_of(some, name)) for name in names)} | {count(of_cases)} | "
                     f"{count(of_rows)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", help="folder of the programs")
    parser.add_argument("--engines", help="folder with vllm, sglang and vllm_ascend")
    parser.add_argument("--splits", type=int, default=5, help="of the requests into train and test")
    parser.add_argument("--cases", default="", help="those whose routing has this word alone")
    parser.add_argument("--known", action="store_true", help="in decode, search on other steps of the scored requests, and on the "
                        "very steps, too: what could be won at most")
    parser.add_argument("--profiles", help="folder of profiles to score with, of peers_gpu.sh (default: simulated devices)")
    parser.add_argument("--keep", help="folder to keep placements and test traces in, for peers_gpu.sh to replay")
    parser.add_argument("--rows", default="peers.json", help="where rows are written as they come")
    parser.add_argument("--table", help="print the tables of such a file, and measure nothing")
    arguments = parser.parse_args()
    if arguments.table:
        with open(arguments.table) as file:
            print(tables([json.loads(line) for line in file]))
        return
    policies = load_policies(arguments.engines)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(os.path.abspath(arguments.programs), folder, arguments.profiles and os.path.abspath(arguments.profiles))
        file = open(arguments.rows, "w")
        for split in range(arguments.splits):
            for case in DECODE + PREFILL:
                if arguments.cases not in case[0]:
                    continue
                for devices, slowdown in DEVICES:
                    rows.append(measure(runner, policies, case, devices, slowdown, split, arguments.keep, arguments.known))
                    print(json.dumps(rows[-1]), file=file, flush=True)
    print(tables(rows))


if __name__ == "__main__":
    main()
