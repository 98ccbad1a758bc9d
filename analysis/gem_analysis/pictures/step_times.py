"""Distribution of the steps' straggler times under each mapping."""

import numpy as np

from ..errors import NotDrawn
from ..palette import mapping_styles
from ..picture import Axis, Lines, Picture, Series, evenly, format_time, only, time_unit
from ..results import Results
from ..tables import STEPS_FOR_P99, slow_steps

MOST_POINTS = 200
# (quantile, least number of steps that can tell it from the slowest step)
QUANTILES = ((0.5, 2), (0.9, 10), (0.99, STEPS_FOR_P99))


def draw(results: Results) -> Picture:
    report = results.report
    if report is None:
        raise NotDrawn("needs a report of gem-verify")
    times_s = report.straggler_s
    unit_s, unit = time_unit(times_s)
    styles = mapping_styles([(name, name) for name in report.names])
    quantiles = [quantile for quantile, least in QUANTILES if times_s.shape[1] >= least]
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
        at = np.quantile(steps_s, quantiles)
        series.append(
            Series(
                name,
                styles[name][0],
                at / unit_s,
                100 * np.array(quantiles),
                "dots",
                notes=[f"p{100 * q:g} of {name}: {format_time(t)}" for q, t in zip(quantiles, at)],
            )
        )
    judged = report.names[report.judged_index]
    tail, tail_s = slow_steps(report)
    median = {name: np.median(steps_s) for name, steps_s in zip(report.names, times_s)}
    first = report.names[0]
    sentence = (
        f"Further left is faster. The slowest devices' time, summed over layers: the median step takes "
        f"{format_time(median[judged])} under {judged} and "
        f"{format_time(median[first])} under {first}; "
        + ("one step in a hundred takes longer than " if tail == "p99" else f"the slowest of {times_s.shape[1]} takes ")
        + f"{format_time(tail_s[report.judged_index])} and {format_time(tail_s[0])}. Dots: "
        + ", ".join(f"p{100 * quantile:g}" for quantile in quantiles)
        + "."
    )
    return Picture(
        "Step times",
        sentence,
        Axis("slowest devices' time", f"{unit} a step"),
        Axis("steps that are done by then", "%", zero=True),
        only(Lines(series)),
        notes=[
            f"{times_s.shape[1]} steps, each "
            + ("measured once." if report.rounds == 1 else f"the median of {report.rounds} rounds.")
        ],
    )
