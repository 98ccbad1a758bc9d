"""One table of many replays: every report below a folder, as slurm/one-host.sh leaves them (a folder of gem-batch for each
setting, SETTING/pairs/MODEL/WORKLOAD/report.h5), a single gem-batch, or SETTING/WORKLOAD/report.h5.
"""

import math
import os
from dataclasses import dataclass

import numpy as np

from .arrays import Floats
from .batch import of_report
from .errors import DataError
from .files import read_file
from .nouns import Report
from .tables import Table, slow_steps
from .terminal import said, shown

BASELINES = ("eplb", "speed-aware")


@dataclass
class Replay:
    setting: str  # folder above, e.g. spread-1.08
    workload: str  # folder of the report
    report: Report

    @property
    def spread(self) -> float:
        """Time of the slowest device over that of the fastest at heavy loads, NaN if unknown."""
        speeds = self.report.device_speeds
        return float(speeds.max() / speeds.min()) if len(speeds) else math.nan

    @property
    def has_layers(self) -> bool:
        """Whether whole layers were timed, exchange included."""
        return not np.isnan(self.report.summary["layer_relative"]).all()

    def ratio_of(self, name: str) -> float:
        """Straggler time relative to the first mapping, of the mapping of that name."""
        return float(self.report.summary["relative"][self.report.names.index(name)])

    def figures(self, m: int) -> dict[str, float]:
        """Ratio to the first mapping, its interval, prediction, slow steps and whole layers, of mapping m of the report."""
        summary, (_, slow_s) = self.report.summary, slow_steps(self.report)
        return {
            "relative": summary["relative"][m],
            "low": summary["relative_low"][m],
            "high": summary["relative_high"][m],
            "predicted": summary["predicted_s"][m] / summary["predicted_s"][0],
            "error": summary["median_error"][m],
            "slow": slow_s[m] / slow_s[0],
            "layer": summary["layer_relative"][m],
            "layer_low": summary["layer_relative_low"][m],
            "layer_high": summary["layer_relative_high"][m],
        }


def _setting_and_workload(path: str, task: str) -> tuple[str, str]:
    """Of a report in that folder. In a folder of gem-batch the setting is what stands above it, else what the pair's name
    has behind its task's.
    """
    above, workload = os.path.split(path)
    parts = above.split(os.sep)
    if "pairs" not in parts[-2:-1]:
        return above, workload
    batch = os.sep.join(parts[:-2])
    return batch or (workload.removeprefix(task).strip("-") if workload.startswith(task) else ""), workload


def collect_replays(folder: str) -> list[Replay]:
    """All reports below a folder, by setting, model, task and tokens a step. DataError if there is none."""
    found = []
    for place, _, names in sorted(os.walk(folder)):
        if "report.h5" not in names:
            continue
        report = read_file(os.path.join(place, "report.h5"), kinds=("gem.report",))
        if isinstance(report, Report):
            found.append(Replay(*_setting_and_workload(os.path.relpath(place, folder), report.task), report))
    if not found:
        raise DataError(f"{folder}: no report.h5 below this folder; give a folder of slurm/one-host.sh or gem-batch")
    return sorted(
        found, key=lambda r: (r.setting, r.report.header.model, r.report.task, r.report.tokens_per_step, r.workload)
    )


def _with_interval(ratio: float, low: float, high: float, compared: bool) -> str:
    if np.isnan(ratio):
        return "-"
    return f"{ratio:.3f} ({low:.3f} - {high:.3f})" if compared else f"{ratio:.3f}"


def replay_table(replays: list[Replay]) -> Table:
    """A row a workload and mapping."""
    rows = []
    for replay in replays:
        report = replay.report
        for m, name in enumerate(report.names):
            figures = replay.figures(m)
            rows.append(
                [
                    replay.setting or "-",
                    f"{replay.spread:.2f}" if not np.isnan(replay.spread) else "-",
                    of_report(report).speeds,
                    f"{report.header.model} {report.task}",
                    str(report.tokens_per_step),
                    name,
                    _with_interval(figures["relative"], figures["low"], figures["high"], m > 0),
                    f"{figures['predicted']:.3f}",
                    f"{100 * figures['error']:.1f}",
                    f"{figures['slow']:.3f}",
                    _with_interval(figures["layer"], figures["layer_low"], figures["layer_high"], m > 0),
                ]
            )
    columns = [
        ("setting", ""),
        ("spread", ""),
        ("speeds", ""),
        ("workload", ""),
        ("tokens a step", ""),
        ("mapping", ""),
        (f"vs {replays[0].report.names[0]}, 95 % interval", ""),
        ("predicted", ""),
        ("error", "%"),
        ("slow steps", "ratio"),
        ("whole layer, 95 % interval", ""),
    ]
    note = "Slow steps: the 99th percentile where a hundred steps or more were replayed, else the slowest step."
    least = ("predicted", "slow steps", "error", "spread", "speeds", "whole layer, 95 % interval", "tokens a step")
    return Table("Replays", columns, rows, note=note, leave_out=least)


def short_table(replays: list[Replay], figure: str = "relative") -> Table:
    """A row a workload; a column a setting, with the ratio of each mapping but the first, the judged one's in bold.
    `figure`: "relative" of straggler times, "layer_relative" of whole layers.
    """
    settings = list(dict.fromkeys(replay.setting for replay in replays))
    names = replays[0].report.names[1:]
    workloads: dict[tuple[str, int], dict[str, Replay]] = {}
    for replay in replays:
        key = (f"{replay.report.header.model} {replay.report.task}", replay.report.tokens_per_step)
        workloads.setdefault(key, {})[replay.setting] = replay

    judged = replays[0].report.judged_index

    def cell(ratios: Floats) -> str:
        return ", ".join(f"**{ratio:.3f}**" if m == judged else f"{ratio:.3f}" for m, ratio in enumerate(ratios, 1))

    def replay_cell(replay: Replay | None) -> str:
        if replay is None:
            return "-"
        summary = replay.report.summary
        half = (summary[f"{figure}_high"][judged] - summary[f"{figure}_low"][judged]) / 2
        return f"{cell(summary[figure][1:])} ± {half:.3f}"

    rows = [
        [workload, f"{tokens:,}", *(replay_cell(by_setting.get(setting)) for setting in settings)]
        for (workload, tokens), by_setting in sorted(workloads.items())
    ]
    means = []
    for setting in settings:
        of_setting = [replay for replay in replays if replay.setting == setting]
        means.append(cell(np.mean([replay.report.summary[figure][1:] for replay in of_setting], axis=0)))
    rows.append(["mean", "", *means])
    columns = [("workload", ""), ("tokens a step", ""), *((setting or "-", "") for setting in settings)]
    note = f"In each column: {', '.join(names)}; {replays[0].report.names[judged]} with half of its 95 % interval."
    title = "Replays" if figure == "relative" else "Whole layers"
    return Table(title, columns, rows, note=note, leave_out=tuple(name for name, _ in reversed(columns[3:])))


def setting_lines(replays: list[Replay]) -> list[str]:
    """What the judged mapping comes to in each setting, a sentence each."""
    lines = []
    for setting in dict.fromkeys(replay.setting for replay in replays):
        chosen = [replay for replay in replays if replay.setting == setting]
        figures = [replay.figures(replay.report.judged_index) for replay in chosen]
        ratios = np.array([figure["relative"] for figure in figures])
        above = sum(figure["low"] > 1 for figure in figures)
        beaten = [
            f"below {baseline} in {sum(ratio < replay.ratio_of(baseline) for ratio, replay in rivals)} of {len(rivals)}"
            for baseline in BASELINES
            if (rivals := [(r, c) for r, c in zip(ratios, chosen) if baseline in c.report.names])
        ]
        spreads = np.array([replay.spread for replay in chosen])
        spread = f", spread {np.nanmin(spreads):.2f} - {np.nanmax(spreads):.2f}" if not np.isnan(spreads).all() else ""
        judged = chosen[0].report.names[chosen[0].report.judged_index]
        layers = [figure["layer"] for figure, replay in zip(figures, chosen) if replay.has_layers]
        notes = sorted({f"{c.report.device_kind} {c.report.device_note}".strip() for c in chosen})
        lines.append(
            f"{setting or 'all'} ({'; '.join(notes)}{spread}): {judged} mean {ratios.mean():.3f}, best "
            f"{ratios.min():.3f}, significantly above {chosen[0].report.names[0]} in {above} of {len(chosen)}"
            + "".join(f", {text}" for text in beaten)
            + (f"; whole layers: mean {np.mean(layers):.3f}, best {min(layers):.3f}" if layers else "")
            + "."
        )
    return lines


def replay_text(folder: str, short: bool = False) -> str:
    """The table in Markdown and the lines below it; DataError where reports of a short one have other mappings."""
    replays = collect_replays(folder)
    names = replays[0].report.names
    if short and any(replay.report.names != names for replay in replays):
        raise DataError(
            f"{folder}: its reports compare different mappings, which --short has no table for; leave it out"
        )
    samples = sorted({replay.report.sample_note for replay in replays} - {""})
    note = f"Straggler time relative to {replays[0].report.names[0]}; {', '.join(samples)}." if samples else ""
    parts = [shown((short_table if short else replay_table)(replays)), "", said(note), ""]
    with_layers = [replay for replay in replays if replay.has_layers]
    if short and with_layers:
        heading = f"Whole layers, dispatch and combine included, relative to {names[0]}:"
        parts += [heading, "", shown(short_table(with_layers, "layer_relative")), ""]
    return "\n".join([*parts, *map(said, setting_lines(replays))])


def replay_records(folder: str) -> list[dict[str, str | int | float | None]]:
    """[report and mapping] what the table says as numbers, for JSON and CSV: None where nothing is known; ratios are to the
    first mapping of the report."""
    rows: list[dict[str, str | int | float | None]] = []
    for replay in collect_replays(folder):
        report = replay.report
        for m, name in enumerate(report.names):
            rows.append(
                {
                    "setting": replay.setting,
                    "model": report.header.model,
                    "task": report.task,
                    "tokens_per_step": int(report.tokens_per_step),
                    "device_kind": report.device_kind,
                    "device_note": report.device_note,
                    "sample": report.sample_note,
                    "spread": float(replay.spread),
                    "mapping": name,
                    **{figure: float(value) for figure, value in replay.figures(m).items()},
                }
            )
    for row in rows:
        row.update({key: None for key, value in row.items() if isinstance(value, float) and np.isnan(value)})
    return rows
