"""Models x tasks: gain of each pair of a batch, with its interval."""

import numpy as np

from ..errors import NotDrawn
from ..picture import Axis, Heat, Picture, only


def draw(results):
    if not results.batch:
        raise NotDrawn("this is one run, not a batch")
    models = sorted({pair.model for pair in results.batch})
    tasks = sorted({pair.task for pair in results.batch})
    values = np.full((len(models), len(tasks)), np.nan)
    texts = [[""] * len(tasks) for _ in models]
    for pair in results.batch:
        row, column = models.index(pair.model), tasks.index(pair.task)
        values[row, column] = 100 * (pair.ratio - 1)
        texts[row][column] = _text(pair)
    reach = max(1.0, float(np.nanmax(np.abs(values), initial=0.0)))
    done = [pair for pair in results.batch if not pair.failure]
    measured = [pair for pair in done if pair.ratio == pair.measured]
    faster, slower = (sum(pair.is_proven and (pair.high < 1) == side for pair in measured) for side in (True, False))
    sentence = f"{len(done)} of {len(results.batch)} pairs are done. "
    if measured:
        sentence += (
            f"Measured: {faster} faster than linear with the interval clear of 0, {slower} slower, "
            f"{len(measured) - faster - slower} not proven. "
        )
    if len(measured) < len(done):
        sentence += f"{len(done) - len(measured)} are predicted, not measured (in brackets). "
    kinds = sorted({pair.device_kind for pair in results.batch} - {""})
    notes = ["Slowest devices' time against linear, percent; below it the 95 % interval of what was measured."]
    return Picture(
        "All models and tasks",
        sentence.strip(),
        Axis("task"),
        Axis("model"),
        only(Heat(values, "diverging", -reach, reach, models, tasks, texts)),
        notes=notes + ([f"Devices: {', '.join(kinds)}."] if kinds else []),
        value=Axis("time against linear", "%"),
        height=70 + 48 * len(models),
    )


def _text(pair):
    if pair.failure:
        return "failed"
    change = f"{100 * (pair.ratio - 1):+.1f}"
    if pair.ratio != pair.measured:
        change = f"({change})"
    elif not np.isnan(pair.low):
        change += f"\n{100 * (pair.low - 1):+.1f} … {100 * (pair.high - 1):+.1f}"
    return change.replace("-", "−")
