"""Every run of a batch as a row: the judged mapping with its interval, the others beside."""

import numpy as np

from ..batch import PairResult
from ..errors import NotDrawn
from ..palette import mapping_role
from ..picture import Axis, Estimate, Forest, Picture, only, percent
from ..results import Results

MOST_ROWS = 200


def draw(results: Results) -> Picture:
    runs = [pair for pair in results.batch if not pair.failure and not np.isnan(pair.ratio)]
    if len(runs) < 2:
        raise NotDrawn("needs two runs of a batch with a result")
    shown = sorted(runs, key=lambda pair: (pair.setting, pair.model, pair.task, pair.tokens))
    if len(shown) > MOST_ROWS:  # best and worst tell most
        by_ratio = sorted(shown, key=lambda pair: pair.ratio)
        keep = {id(pair) for pair in by_ratio[: MOST_ROWS // 2] + by_ratio[-MOST_ROWS // 2 :]}
        shown = [pair for pair in shown if id(pair) in keep]
    groups: dict[tuple[str, str, str], list[Estimate]] = {}
    for pair in shown:
        of_what = pair.setting, pair.speeds if pair.device_kind else "", "in-sample" if pair.is_in_sample else ""
        groups.setdefault(of_what, []).append(_row(pair))
    titles = [(" · ".join(filter(None, key)) or "all runs", rows) for key, rows in groups.items()]
    measured = [pair for pair in runs if pair.is_measured]
    best, worst = min(runs, key=lambda pair: pair.ratio), max(runs, key=lambda pair: pair.ratio)
    sentence = (
        f"Left of 1 is faster than linear. Best: {best.workload}, {percent(best.ratio)}; worst: {worst.workload}, "
        f"{percent(worst.ratio)}."
    )
    notes = ["Bars: 95 % intervals over steps. Hollow: other mappings, and what was predicted and not measured."]
    if measured:
        notes.append(f"{len(measured)} of {len(runs)} runs are measured.")
    if len(shown) < len(runs):
        notes.append(f"The {MOST_ROWS // 2} best and the {MOST_ROWS // 2} worst of {len(runs)} runs.")
    note = results.device_note()
    methods = sorted({mapping_role(pair.method) for pair in shown})
    others = sorted({mapping_role(name) for pair in shown for name in pair.others} - set(methods))
    return Picture(
        "Every run",
        sentence,
        Axis("slowest devices' time against linear, ratio"),
        Axis(""),
        only(Forest(titles, 1.0)),
        notes=notes + ([note] if note else []),
        legend=[(role, role) for role in methods + others],
    )


def _row(pair: PairResult) -> Estimate:
    interval = f" ({pair.low:.3f} to {pair.high:.3f})" if not np.isnan(pair.low) else ""
    kind = "measured" if pair.is_measured else "predicted"
    note = f"{pair.workload}: {pair.method} {pair.ratio:.3f}{interval}, {kind}, {pair.note}, speeds {pair.speeds}"
    if pair.others:
        note += "; " + ", ".join(f"{name} {ratio:.3f}" for name, ratio in pair.others.items())
    return Estimate(
        pair.workload,
        mapping_role(pair.method),
        pair.ratio,
        pair.low if pair.is_measured else np.nan,
        pair.high if pair.is_measured else np.nan,
        [(mapping_role(name), ratio) for name, ratio in pair.others.items()],
        note,
    )
