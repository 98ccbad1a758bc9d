#!/usr/bin/env python3
"""The rows of whole_step.md from logs of whole_step.sh: a table a folder, means by spread and phase beside the paper's
figures, and how well steps were predicted. Needs nothing but Python.

    tests/benchmark/whole_step.py FOLDER...                  prints them
    tests/benchmark/whole_step.py --page PAGE.md FOLDER...   puts them into the page, between its two marks
"""

import os
import re
import statistics
import sys

BEGIN, END = "<!-- rows of whole_step.py -->", "<!-- end of rows -->"
# What gem-map does by itself is gem-step where the model has shared experts, else gem-layer.
METHODS = ("eplb", "speed-aware", "paper", "gem", "gem-layer", "gem-step", "force-balanced")
NAMES = {"gem-layer": "gem, exchange counted", "gem-step": "gem, exchange and shared experts counted"}
# Reported end to end: mean and best gain, mean gain of the 90th percentile of TPOT, %.
PAPER = "The paper (arXiv 2605.19945), end to end on its own GPUs: 7.9 % in the mean, 16.5 % at best, p90 TPOT 9.1 %."


class Row:
    """One replay: what its log says."""

    def __init__(self, path):
        name = os.path.basename(path)[: -len(".txt")]
        self.load, self.spread = re.fullmatch(r"(.+?)\.(\d\.\d+)", name).groups()
        with open(path) as log:
            text = log.read()
        self.cells, self.relative, self.p90, self.straggler, self.layers_of = {}, {}, {}, {}, {}
        self.shares, self.error = "", ""
        take = None
        for line in text.splitlines():
            words = line.split()
            if line.startswith("mapping"):
                # The first table that begins so: later ones are of outputs.
                take = {"straggler": self._straggler, "p50": self._layers, "experts": self._shares}.get(words[1])
                if words[1] == "TPOT" and not self.cells:
                    take = self._times
            elif take and len(words) >= 7 and re.match(r"\d", words[1]):
                take(words)
        flat = " ".join(text.split())
        on = re.search(r"mappings: .*? on (\d+) (\w+) devices|on (\d+) (\w+) devices", flat)
        self.devices = " ".join(filter(None, on.groups())) if on else "?"
        self.emulated = "emulated" in flat
        self.composed = "exchange: composed" in flat
        self.attention = "attention itself not measured" not in flat
        common = re.search(r"all loads have ([+-][\d.]+) % in common", flat)
        self.common = float(common.group(1)) if common else float("nan")
        clocks = re.search(r"Clocks: ([\d.]+) GHz in the replay, ([\d.]+) GHz in the profile", flat)
        self.clocks = clocks.groups() if clocks else ("-", "-")
        layers = re.search(r"(\d+) of (\d+) MoE layers replayed", flat)
        self.layers = f"{layers.group(1)} of {layers.group(2)}" if layers else "all"

    def _times(self, words):
        name, ms, relative = words[:3]
        if words[3] == "-":
            self.linear_ms, p90 = ms, words[5]
            self.linear_p90 = float(p90)
            return
        low, high, p90 = words[3], words[5], words[7]
        self.relative[name] = float(relative)
        self.cells[name] = f"{relative} ({low}-{high})"
        self.p90[name] = float(p90) / self.linear_p90

    def _straggler(self, words):
        self.straggler[words[0]] = words[2]

    def _layers(self, words):
        self.layers_of[words[0]] = words[5]

    def _shares(self, words):
        if words[0] == "linear":
            self.shares = ", ".join(words[1:5])
        if words[0] in ("gem-layer", "gem-step"):  # in this order
            self.error = words[7]

    @property
    def phase(self):
        return "prefill" if re.search(r"-p\d+$", self.load) else "decode"

    @property
    def own(self):
        return "gem-step" if "gem-step" in self.relative else "gem-layer"

    def relative_of(self, name):
        return self.relative[self.own if name == "gem-step" else name]

    def table_line(self, names):
        cells = " | ".join(self.cells.get(name, "-") for name in names)
        return (
            f"| {self.load}{'' if self.attention else ' *'} | {self.layers} | {self.spread} | {self.linear_ms} | {cells} | "
            f"{self.layers_of[self.own]}, {self.straggler[self.own]} | {self.shares} | {self.error} | {self.common:+.1f} | {self.clocks[0]}, {self.clocks[1]} |"
        )


def rows_of(folder):
    reports = os.path.join(folder, "reports")
    names = sorted(name for name in os.listdir(reports) if name.endswith(".txt"))
    rows = [Row(os.path.join(reports, name)) for name in names]
    size = lambda row: int(re.search(r"(\d+)$", row.load).group(1))  # noqa: E731
    return sorted(rows, key=lambda row: (row.phase, row.load.split("-")[0], size(row), -float(row.spread)))


def methods_of(rows):
    shared = any("gem-step" in row.relative for row in rows)
    return [name for name in METHODS if name != "gem-step" or shared]


def own_name(rows):
    return "gem with the exchange " + ("and shared experts " if "gem-step" in methods_of(rows) else "") + "counted"


def table(rows):
    methods = methods_of(rows)
    names = " | ".join(NAMES.get(name, name) for name in methods)
    yield (
        f"| load | MoE layers replayed | spread | linear, ms | {names} | whole layers, straggler time of {own_name(rows)} | "
        "experts, exchange, attention, waiting, % of linear's | error, % | common factor, % | GHz in replay, profile |"
    )
    yield "|---|---|---:|---:|" + "---|" * len(methods) + "---:|---|---:|---:|---|"
    for row in rows:
        yield row.table_line(methods)
    if not all(row.attention for row in rows):
        yield ""
        yield "\\* prefill: products of attention without attention itself, which wasn't measured; its part is missing."


def means(rows):
    methods = methods_of(rows)
    names = " | ".join(NAMES.get(name, name) for name in methods)
    yield f"| mean of | rows | {names} | gain of {own_name(rows)}, best, % | p90 TPOT, gain, % |"
    yield "|---|---:|" + "---:|" * len(methods) + "---:|---:|"
    for phase in ("decode", "prefill"):
        for spread in sorted({row.spread for row in rows}, reverse=True):
            chosen = [row for row in rows if row.phase == phase and row.spread == spread]
            if not chosen:
                continue
            mean = lambda name: statistics.mean(row.relative_of(name) for row in chosen)  # noqa: E731
            best = 100 * (1 - min(row.relative[row.own] for row in chosen))
            p90 = 100 * (1 - statistics.mean(row.p90[row.own] for row in chosen))
            cells = " | ".join(f"{mean(name):.3f}" for name in methods)
            yield (
                f"| {phase}, {spread} | {len(chosen)} | {cells} | {100 * (1 - mean('gem-step')):.1f}, {best:.1f} | "
                f"{p90:.1f} |"
            )
    yield ""
    yield PAPER
    rivals = [name for name in METHODS if not name.startswith("gem") and name != "force-balanced"]
    lead = lambda row: row.relative[row.own] - min(row.relative[name] for name in rivals)  # noqa: E731
    behind = [row for row in rows if lead(row) > 0]
    lost = ", ".join(f"{row.load} {row.spread} by {lead(row):.3f}" for row in behind)
    yield (
        f"{own_name(rows)} is behind the best rival in {len(behind)} of {len(rows)} rows"
        + (f": {lost}." if lost else ".")
    )
    yield (
        f"Prediction of whole steps: {statistics.median(float(row.error) for row in rows):.1f} % in the median of rows, "
        f"{max(float(row.error) for row in rows):.1f} % at worst; of the experts' compute the common factor is "
        f"{statistics.median(abs(row.common) for row in rows):.1f} % in the median, "
        f"{max(abs(row.common) for row in rows):.1f} % at worst."
    )


def laws(folder):
    """The exchange's laws that gem-profile printed, of the loads that have one."""
    profiles = os.path.join(folder, "profiles")
    lines = []
    for name in sorted(os.listdir(profiles)) if os.path.isdir(profiles) else []:
        if not name.endswith(".txt") or re.search(r"\.\d\.\d+\.txt$", name):
            continue
        with open(os.path.join(profiles, name)) as log:
            found = re.findall(r"^ *(\d+) +([\d.]+) +(-?[\d.]+) +(-?[\d.e+-]+) +(\d+)(?: +(counted))?$", log.read(), re.M)
        lines += [f"| {name[:-4]} | " + " | ".join(law[:5]) + f" | {law[5] or 'no'} |" for law in found]
    if not lines:
        return
    yield ""
    yield "| load | tokens | mean, us | fixed, us | a row, ns | explained, % | counted |"
    yield "|---|---:|---:|---:|---:|---:|---|"
    yield from lines


def page_lines(folders):
    for folder in folders:
        rows = rows_of(folder)
        if not rows:
            continue
        exchange = "composed" if rows[0].composed else "measured"
        speeds = "speeds emulated" if any(row.emulated for row in rows) else "speeds as they are"
        name = os.path.basename(os.path.normpath(folder))
        yield f"## `{name}`: {rows[0].devices} devices, {speeds}, exchange {exchange}, {len(rows)} rows"
        yield ""
        yield from table(rows)
        yield ""
        yield from means(rows)
        yield from laws(folder)
        yield ""


def put(page, lines):
    with open(page) as file:
        text = file.read()
    if BEGIN not in text or END not in text:
        sys.exit(f"whole_step.py: {page} lacks the marks '{BEGIN}' and '{END}'")
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    with open(page, "w") as file:
        file.write(before + "\n\n" + "\n".join(lines) + "\n" + after)


def main(words):
    if not words or "--help" in words:
        print(__doc__)
        return 0
    if words[0] == "--page":
        put(words[1], page_lines(words[2:]))
    else:
        print("\n".join(page_lines(words)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
