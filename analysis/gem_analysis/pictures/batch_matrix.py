"""Models x tasks, or workloads x settings, or tokens a step, where runs differ in more: gain of each run of a batch, with
its interval."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from ..batch import PairResult
from ..errors import NotDrawn
from ..picture import Axis, Heat, Picture, only
from ..results import Results

NameOf: TypeAlias = Callable[[PairResult], str]


def axes_of(pairs: list[PairResult]) -> tuple[NameOf, NameOf, tuple[str, str]]:
    """(row of a pair, column of a pair, their names): models x tasks if no cell gets two runs, else workloads x settings,
    else the sizes of its steps."""

    def tokens(pair: PairResult) -> str:
        return f"{pair.tokens:,}" if pair.tokens else "unknown"

    def run(pair: PairResult) -> str:
        return f"{pair.setting} {pair.model} {pair.task}".strip() + (", in-sample" if pair.is_in_sample else "")

    ways: tuple[tuple[NameOf, NameOf, tuple[str, str]], ...] = (
        (lambda pair: pair.model, lambda pair: pair.task, ("model", "task")),
        (lambda pair: pair.workload, lambda pair: pair.setting, ("workload", "setting")),
        (run, tokens, ("run", "tokens a step")),
    )
    for way in ways:
        if len({(way[0](pair), way[1](pair)) for pair in pairs}) == len(pairs):
            return way
    return ways[-1]


def draw(results: Results) -> Picture:
    if not results.batch:
        raise NotDrawn("this is one run, not a batch")
    row_of, column_of, names = axes_of(results.batch)
    by_tokens = names[1] == "tokens a step"  # of a run without a result not even these are known
    placed = [pair for pair in results.batch if not (by_tokens and pair.failure)]
    if not placed:
        raise NotDrawn("no run has a result")
    ordered = sorted(placed, key=lambda pair: (pair.model, pair.task, pair.tokens, pair.setting))
    rows = list(dict.fromkeys(map(row_of, ordered)))
    along = sorted(ordered, key=lambda pair: pair.tokens if by_tokens else column_of(pair))
    columns = list(dict.fromkeys(map(column_of, along)))
    values = np.full((len(rows), len(columns)), np.nan)
    texts = [[""] * len(columns) for _ in rows]
    shown = 0
    for pair in ordered:
        row, column = rows.index(row_of(pair)), columns.index(column_of(pair))
        if not texts[row][column]:
            values[row, column] = 100 * (pair.ratio - 1)
            texts[row][column] = _text(pair, by_tokens)
            shown += 1
    reach = max(1.0, float(np.nanmax(np.abs(values), initial=0.0)))
    done = [pair for pair in results.batch if not pair.failure]
    measured = [pair for pair in done if pair.is_measured]
    faster, slower = (sum(pair.is_proven and (pair.high < 1) == side for pair in measured) for side in (True, False))
    sentence = f"{len(done)} of {len(results.batch)} runs are done. "
    if measured:
        sentence += (
            f"Measured: {faster} faster than linear with the interval clear of 0, {slower} slower, "
            f"{len(measured) - faster - slower} not proven. "
        )
    if len(measured) < len(done):
        sentence += f"{len(done) - len(measured)} are predicted, not measured (in brackets). "
    notes = ["Slowest devices' time against linear, percent; below it the 95 % interval of what was measured."]
    if shown < len(placed):
        notes.append(f"Not here but in the table: {len(placed) - shown} of the runs, where another has the same cell.")
    if len(placed) < len(results.batch):
        notes.append(
            f"Not here but in the table: {len(results.batch) - len(placed)} of the runs, which have no result."
        )
    note = results.device_note()
    return Picture(
        "All models and tasks" if names[1] == "task" else "All runs",
        sentence.strip(),
        Axis(names[1]),
        Axis(names[0]),
        only(Heat(values, "diverging", -reach, reach, rows, columns, texts)),
        notes=notes + ([note] if note else []),
        value=Axis("time against linear", "%"),
        height=70 + (60 if any("in-sample" in text for row in texts for text in row) else 48) * len(rows),
    )


def _text(pair: PairResult, by_tokens: bool) -> str:
    if pair.failure:
        return pair.outcome.split(":")[0]
    change = f"{100 * (pair.ratio - 1):+.1f}"
    if not pair.is_measured:
        change = f"({change})"
    elif not np.isnan(pair.low):
        change += f"\n{100 * (pair.low - 1):+.1f} … {100 * (pair.high - 1):+.1f}"
    return change.replace("-", "−") + ("\nin-sample" if pair.is_in_sample and not by_tokens else "")
