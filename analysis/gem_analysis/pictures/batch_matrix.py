"""Models x tasks: gain of each pair of a batch, with its interval."""

import numpy as np

from ..errors import NotDrawn
from ..picture import Axis, Heat, Picture, only


def gains(reports):
    """{(model, task): (relative, low, high, name)} of the judged mapping of each report."""
    found = {}
    for report in sorted(reports, key=lambda report: report.header.created):
        name = report.judged if report.judged in report.names else "gem" if "gem" in report.names else report.names[-1]
        m = report.names.index(name)
        found[report.header.model, report.task] = tuple(
            float(report.summary[field][m]) for field in ("relative", "relative_low", "relative_high")
        ) + (name,)
    return found


def draw(results):
    if not results.batch:
        raise NotDrawn("no sub-folder holds a report: this is one run, not a batch")
    found = gains(results.batch)
    models, tasks = sorted({model for model, _ in found}), sorted({task for _, task in found})
    values = np.full((len(models), len(tasks)), np.nan)
    texts = [[""] * len(tasks) for _ in models]
    for (model, task), (relative, low, high, _) in found.items():
        row, column = models.index(model), tasks.index(task)
        values[row, column] = 100 * (relative - 1)
        texts[row][column] = f"{100 * (relative - 1):+.1f}\n{100 * (low - 1):+.1f} … {100 * (high - 1):+.1f}".replace(
            "-", "−"
        )
    reach = max(1.0, float(np.nanmax(np.abs(values))))
    faster = sum(high < 1 for _, _, high, _ in found.values())
    slower = sum(low > 1 for _, low, _, _ in found.values())
    sentence = (
        f"{len(found)} pairs of model and task: {faster} faster than linear with the interval clear of 0, "
        f"{slower} slower, {len(found) - faster - slower} not proven. Median change {np.nanmedian(values):+.1f} %."
    ).replace("-", "−")
    kinds = sorted({report.device_kind for report in results.batch})
    return Picture(
        "All models and tasks",
        sentence,
        Axis("task"),
        Axis("model"),
        only(Heat(values, "diverging", -reach, reach, models, tasks, texts)),
        notes=[f"Straggler time against linear, percent, and its 95 % interval. Devices: {', '.join(kinds)}."],
        value=Axis("time against linear", "%"),
        height=70 + 48 * len(models),
    )
