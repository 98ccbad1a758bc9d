"""Each mapping's time relative to the first one's, as the verdict sees it and as it could embarrass us."""

import numpy as np

from ..errors import NotDrawn
from ..picture import Axis, Guide, Lines, Picture, Series, less_or_more, only, percent
from ..results import Results

# (series, colour, field, has an interval)
ESTIMATES = (
    ("slowest device, medians over rounds", "gem", "relative", True),
    ("the same, predicted", "bound", None, False),
    ("slowest device of every single round, noise and all", "eplb", "raw_relative", False),
    ("whole layers, dispatch and combine included", "speed-aware", "layer_relative", True),
)


def draw(results: Results) -> Picture:
    report = results.report
    if report is None:
        raise NotDrawn("needs a report of gem-verify")
    if len(report.names) < 2:
        raise NotDrawn("the report holds one mapping only")
    summary = dict(report.summary)
    summary["predicted"] = summary["predicted_s"] / summary["predicted_s"][0]
    verdict = "layer_relative" if report.judged_by == "layer" else "relative" if report.judged_by == "straggler" else ""
    series = []
    for index, (name, role, field, has_interval) in enumerate(ESTIMATES):
        ratio = summary[field or "predicted"][1:]
        if np.isnan(ratio).all():
            continue
        x = np.arange(len(ratio)) + 0.12 * (index - 1.5)
        low, high = (
            (100 * (summary[f"{field}_{end}"][1:] - 1) for end in ("low", "high")) if has_interval else (None, None)
        )
        name += " (the verdict)" if field == verdict else ""
        series.append(Series(name, role, x, 100 * (ratio - 1), "dots", low, high))
    judged = report.judged_index
    sentence = (
        f"Under {report.names[judged]}, the slowest devices take {less_or_more(summary['relative'][judged])} time "
        f"than under {report.names[0]} (95 % interval {percent(summary['relative_low'][judged])} to "
        f"{percent(summary['relative_high'][judged])}); {percent(summary['predicted'][judged])} were predicted."
    )
    layer = summary["layer_relative"][judged]
    if not np.isnan(layer):
        sentence += f" Whole layers, with the exchange of tokens, change by {percent(layer)}."
    return Picture(
        "How much faster, and how sure",
        sentence,
        Axis("", labels=report.names[1:]),
        Axis(f"time against {report.names[0]}", "%"),
        only(Lines(series, [Guide(f"as {report.names[0]}", y=0.0)])),
        notes=[
            "Bars are 95 % bootstrap intervals over steps. The maximum over devices of noisy times is biased upwards; "
            "medians over rounds remove most of that, single rounds show it."
        ],
    )
