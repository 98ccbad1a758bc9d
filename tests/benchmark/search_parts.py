#!/usr/bin/env python3
"""What each part of gem's search brings on requests that it was not searched on: the cases and splits of peers.py (all bundled
routing, 4 and 8 devices), gem's share of linear's time on the steps searched on and held out, and processor seconds. See
search.md.

    search_parts.py BIN_DIRECTORY [--profiles FOLDER] [--splits N] [--rows ROWS.json]

--profiles: what peers_gpu.sh measured on a GPU; else devices are simulated. Needs nothing but Python."""

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile

from peers import DECODE, DEVICES, PREFILL, RESAMPLED_STEPS, Runner

FIRST = ("--iterations", 0)
# what is said of it, whether on steps drawn anew (decode alone), method, options of gem-map
VARIANTS = [
    ("the paper's: tokens alone, 16 steps, from linear", False, "paper", ()),
    ("tokens alone, the first 16 steps, first local optimum", False, "gem",
     ("--features", "tokens", "--train-steps", 16, "--mixed-steps", 0, *FIRST)),
    ("+ tiles and active experts", False, "gem", ("--train-steps", 16, "--mixed-steps", 0, *FIRST)),
    ("+ all 128 steps", False, "gem", ("--mixed-steps", 0, *FIRST)),
    ("+ mixtures up to 512 steps", False, "gem", FIRST),
    ("+ 25 iterations: the default", False, "gem", ()),
    ("100 iterations", False, "gem", ("--iterations", 100)),
    ("4 starts", False, "gem", ("--starts", 4)),
    ("25 iterations without mixtures", False, "gem", ("--mixed-steps", 0)),
    ("25 iterations on tokens alone", False, "gem", ("--features", "tokens")),
    ("512 steps drawn anew, first local optimum", True, "gem", FIRST),
    ("512 steps drawn anew: the default of gem-batch in decode", True, "gem", ()),
]


def place(runner, profile, train, test, method, options):
    """Shares of linear's time searched on and held out, processor seconds."""
    before_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    found = json.loads(runner.map(method, profile, train, test, runner.path("mapping"), options=options))["methods"]
    row = next(row for row in found if row["method"] == method)
    spent_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before_s
    return row["train_ratio"], row["test_ratio"], spent_s


def measure(runner, case, devices, slowdown, split):
    profile = runner.profile(case, devices, slowdown)
    train, test = (runner.trace(case, part, split) for part in ("train", "test"))
    row = {"decode": case in DECODE, "devices": devices}
    for name, anew, method, options in VARIANTS:
        if anew and case not in DECODE:
            continue
        steps = runner.trace(case, "train", split, "--resample", steps=RESAMPLED_STEPS) if anew else train
        row[name] = place(runner, profile, steps, test, method, options)
    return row


def table(rows):
    """As text: the mean of all cases and splits."""
    groups = [("decode, 4", True, 4), ("decode, 8", True, 8), ("prefill, 4", False, 4), ("prefill, 8", False, 8)]
    lines = ["| | searched on | held out | " + " | ".join(name for name, _, _ in groups) + " | seconds |",
             "|---|---:|---:|" + "---:|" * (len(groups) + 1)]
    for name, *_ in VARIANTS:
        some = [row for row in rows if name in row]
        cells = [f"{statistics.mean(row[name][i] for row in some):.4f}" for i in (0, 1)]
        for _, decode, devices in groups:
            group = [row[name][1] for row in some if row["decode"] == decode and row["devices"] == devices]
            cells.append(f"{statistics.mean(group):.4f}" if group else "")
        lines.append(f"| {name} | {' | '.join(cells)} | {statistics.mean(row[name][2] for row in some):.2f} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", help="folder of the programs")
    parser.add_argument("--profiles", help="folder of profiles to score with (default: simulated devices)")
    parser.add_argument("--splits", type=int, default=5, help="of the requests into train and test")
    parser.add_argument("--rows", default="search_parts.json", help="where rows are written as they come")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        profiles = arguments.profiles and os.path.abspath(arguments.profiles)
        runner = Runner(os.path.abspath(arguments.programs), folder, profiles)
        file = open(arguments.rows, "w")
        for split in range(arguments.splits):
            for case in DECODE + PREFILL:
                for devices, slowdown in DEVICES:
                    rows.append(measure(runner, case, devices, slowdown, split))
                    print(json.dumps(rows[-1]), file=file, flush=True)
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
