"""How much of the time each device waits for the slowest, under each mapping."""

import numpy as np

from ..errors import NotDrawn
from ..palette import mapping_styles
from ..picture import Axis, Lines, Picture, Series, evenly, only

MOST_DEVICES = 64


def draw(results):
    report = results.report
    if report is None:
        raise NotDrawn("needs a report of gem-verify")
    devices = evenly(report.measured_s.shape[3], MOST_DEVICES)
    styles = mapping_styles([(name, name) for name in report.names])
    series, total = [], {}
    for name, times_s in zip(report.names, report.measured_s):
        straggler_s = times_s.max(axis=2).sum()
        idle = 100 * (1 - times_s.sum(axis=(0, 1)) / straggler_s)
        total[name] = idle
        role, dashed = styles[name]
        series.append(Series(name, role, np.arange(len(devices)), idle[devices], "line+dots", dashed=dashed))
    first, judged = report.names[0], report.names[results.judged]
    sentence = (
        f"Under {first} the device that waits most waits {total[first].max():.1f} % of the compute time and the "
        f"one that waits least {total[first].min():.1f} %; under {judged} {total[judged].max():.1f} % and "
        f"{total[judged].min():.1f} %. Flat and low is good: then no device is always the one that others wait for."
    )
    return Picture(
        "How long each device waits",
        sentence,
        Axis("device", labels=[str(d) for d in devices]),
        Axis("compute time spent waiting", "%", zero=True),
        only(Lines(series)),
    )
