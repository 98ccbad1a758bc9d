"""Distribution of the steps' straggler times under each mapping."""

import numpy as np

from ..errors import NotDrawn
from ..palette import mapping_styles
from ..picture import Axis, Lines, Picture, Series, evenly, format_time, only, time_unit

MOST_POINTS = 200
QUANTILES = (0.5, 0.9, 0.99)


def draw(results):
    report = results.report
    if report is None:
        raise NotDrawn("needs a report of gem-verify")
    times_s = report.straggler_s
    unit_s, unit = time_unit(times_s)
    styles = mapping_styles([(name, name) for name in report.names])
    series = []
    for name, steps_s in zip(report.names, times_s):
        ordered = np.sort(steps_s)
        picked = evenly(len(ordered), MOST_POINTS)
        share = (picked + 1) / len(ordered)
        role, dashed = styles[name]
        series.append(
            Series(name, role, ordered[picked] / unit_s, 100 * share, dashed=dashed or name == report.names[0])
        )
    for name, steps_s in zip(report.names, times_s):
        at = np.quantile(steps_s, QUANTILES)
        series.append(
            Series(
                name,
                styles[name][0],
                at / unit_s,
                100 * np.array(QUANTILES),
                "dots",
                notes=[f"p{100 * q:g} of {name}: {format_time(t)}" for q, t in zip(QUANTILES, at)],
            )
        )
    judged = report.names[results.judged]
    p99 = {name: np.quantile(steps_s, 0.99) for name, steps_s in zip(report.names, times_s)}
    median = {name: np.median(steps_s) for name, steps_s in zip(report.names, times_s)}
    first = report.names[0]
    sentence = (
        f"Further left is faster. The slowest devices' time, summed over layers: the median step takes "
        f"{format_time(median[judged])} under {judged} and "
        f"{format_time(median[first])} under {first}; one step in a hundred takes longer than "
        f"{format_time(p99[judged])} and {format_time(p99[first])}. Dots: p50, p90, p99."
    )
    return Picture(
        "Step times",
        sentence,
        Axis("slowest devices' time", f"{unit} a step"),
        Axis("steps that are done by then", "%", zero=True),
        only(Lines(series)),
        notes=[f"{times_s.shape[1]} steps, each the median of {report.rounds} rounds."],
    )
