#!/usr/bin/env python3
"""What counting the exchange is predicted to bring: for each replay of whole layers in a folder of one-host.sh --full, fits
the exchange to a line in the rows of the fullest device, searches a mapping that counts it (gem-map
--exchange-row-time), and predicts whole layers of all mappings on the held-out steps, relative to linear placement.

    tests/benchmark/whole_layers.py FOLDER

Predictions of the compute are scaled by what all loads of the replay have in common (clocks). Needs gem-map on the PATH
or in build/release/bin.
"""

import glob
import os
import subprocess
import sys
import tempfile

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "analysis"))
from gem_analysis.files import read_file  # noqa: E402
from gem_analysis.latency import homes_for, linear_homes, predict, surfaces_of  # noqa: E402

COUNTED = "gem, exchange counted"


def fit_line(x, y):
    """Constant, slope, part of the variance explained."""
    ways = np.stack([np.ones_like(x), x], 1)
    solution = np.linalg.lstsq(ways, y, rcond=None)[0]
    return (*solution, 1 - np.var(y - ways @ solution) / np.var(y))


class Replay:
    """One workload of one setting: its report, profile, traces and mappings."""

    def __init__(self, folder, setting, workload):
        place = os.path.join(folder, setting, workload)
        self.name = f"{setting} {os.path.basename(workload)}"
        self.report = read_file(os.path.join(place, "report.h5"))
        if os.path.exists(os.path.join(place, "profile.txt")):  # a pair of gem-batch
            with open(os.path.join(place, "profile.txt")) as named:
                self.profile_path = os.path.join(folder, setting, "profiles", named.read().strip())
            train, test = os.path.join(place, "train.h5"), os.path.join(place, "test.h5")
            drawn = os.path.join(place, "trace.h5")
        else:  # as the kept archives have it
            words = self.report.header.command_line.split()
            profile = os.path.basename(words[words.index("--profile") + 1])
            self.profile_path = os.path.join(folder, setting, profile)
            again = glob.glob(os.path.join(folder, "pairs", "*", workload))
            base = os.path.join(again[0], "") if again else os.path.join(folder, "traces", workload + ".")
            train, test, drawn = (base + part + ".h5" for part in ("train", "test", "trace" if again else "test"))
        self.profile = read_file(self.profile_path)
        halves = os.path.exists(train)
        self.scored = read_file(test if halves else drawn)
        # Synthetic load has no requests to halve: its first 128 steps are searched on.
        self.search = ["--trace", train if halves else drawn]
        if not halves:
            self.search += ["--train-steps", "128"]
        self.first_scored = 0 if halves else 128
        layers, experts = self.scored.counts.shape[1:]
        self.homes = {"linear": linear_homes(layers, experts, self.profile.device_count)}
        for name in self.report.names[1:]:
            self.homes[name] = homes_for(read_file(os.path.join(place, f"{name}.h5")), self.scored)
        self.layers = [list(self.scored.layer_ids).index(layer) for layer in self.report.layer_ids]

    def rows(self, homes, layer, counts):
        """[device, step] rows."""
        return np.stack([homes.tokens_on(layer, d, counts).sum(1) for d in range(self.profile.device_count)])

    def fit_exchange(self, layer_s):
        """Of layer_s [mapping, step, layer]: see fit_line."""
        report = self.report
        steps = slice(report.first_step, report.first_step + report.measured_s.shape[1])
        x, y = [], []
        for m, name in enumerate(report.names):
            for i, layer in enumerate(self.layers):
                x.append(self.rows(self.homes[name], layer, self.scored.counts[steps, layer].astype(int)).max(axis=0))
                y.append(layer_s[m, :, i] - report.measured_s[m, :, i].max(axis=1))
        return fit_line(np.concatenate(x).astype(float), np.concatenate(y))

    def search_counted(self, row_s):
        with tempfile.TemporaryDirectory() as folder:
            output = os.path.join(folder, "mapping.h5")
            inputs = ["--profile", self.profile_path, *self.search]
            command = ["gem-map", "--quiet", *inputs, "--exchange-row-time", f"{row_s * 1e9:.4g}", "--output", output]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            return homes_for(read_file(output), self.scored)

    def predict(self, homes, fixed_s, row_s):
        """Compute and whole layers, mean seconds a step."""
        counts = self.scored.counts[self.first_scored :].astype(int)
        scale = self.report.measured_s.sum() / self.report.predicted_s.sum()
        slowest = scale * predict(counts, homes, surfaces_of(self.profile), self.profile)[:, self.layers].max(axis=2)
        rows = np.stack([self.rows(homes, layer, counts[:, layer]).max(axis=0) for layer in self.layers], 1)
        return slowest.sum(1).mean(), (slowest + fixed_s + row_s * rows).sum(1).mean()


def main(folder):
    import h5py

    os.environ["PATH"] += os.pathsep + os.path.join(ROOT, "build", "release", "bin")
    rows = {}
    for path in sorted(glob.glob("*/**/report.h5", root_dir=folder, recursive=True)):
        setting, workload = os.path.dirname(path).split(os.sep, 1)
        with h5py.File(os.path.join(folder, path)) as file:
            layer_s = file["layer_s"][:]
        replay = Replay(folder, setting, workload)
        fixed_s, row_s, explained = replay.fit_exchange(layer_s)
        replay.homes[COUNTED] = replay.search_counted(max(0.0, row_s))
        predicted = {name: replay.predict(homes, fixed_s, row_s) for name, homes in replay.homes.items()}
        compute, whole = ({name: p[k] / predicted["linear"][k] for name, p in predicted.items()} for k in (0, 1))
        measured = dict(zip(replay.report.names, replay.report.summary["layer_relative"]))
        rows.setdefault(setting, []).append((compute, whole, measured))
        ratios = [
            f"{name} {ratio:.3f}" + (f" ({measured[name]:.3f})" if name in measured else "")
            for name, ratio in whole.items()
            if name != "linear"
        ]
        print(
            f"{replay.name}: {row_s * 1e9:.1f} ns a row, {100 * explained:.0f} % explained; whole layers predicted "
            f"(measured): {', '.join(ratios)}",
            flush=True,
        )
    for setting, found in rows.items():
        best = sum(whole[COUNTED] <= min(whole.values()) for _, whole, _ in found)
        means = [
            f"{name} {np.mean([whole[name] for _, whole, _ in found]):.3f} "
            f"(compute {np.mean([compute[name] for compute, _, _ in found]):.3f})"
            for name in found[0][1]
            if name != "linear"
        ]
        print(f"{setting}, mean of {len(found)} predicted: {', '.join(means)}; '{COUNTED}' best in {best}")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] == "--help":
        sys.exit(__doc__)
    main(sys.argv[1])
