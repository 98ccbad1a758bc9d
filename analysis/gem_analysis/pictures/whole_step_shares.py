"""What a whole decoder step is made of under each mapping, and how far it is from force-balanced steps."""

import numpy as np

from ..errors import NotDrawn
from ..picture import Axis, Picture, Row, Span, Spans, format_time, less_or_more, only, time_unit
from ..results import Results

PARTS = (
    ("attention", "attention and all before dispatch", "speed-aware"),
    ("experts", "routed experts", "compute"),
    ("shared", "shared experts", "dispatch"),
    ("exchange", "dispatch and combine", "combine"),
    ("tail", "head, layers without experts", "other"),
    ("waiting", "waits for the slowest", "wait"),
)


def draw(results: Results) -> Picture:
    report = results.report
    steps = report.whole_steps if report else None
    if report is None or steps is None:
        raise NotDrawn("needs a report of gem-verify --whole-step")
    unit_s, unit = time_unit(steps.summary["mean_s"])
    rows = []
    for m, name in enumerate(steps.names):
        total, begin, spans = steps.summary["mean_s"][m], 0.0, []
        for part, words, role in PARTS:
            seconds = float(steps.shares_s[part][m])
            if seconds > 0:
                note = f"{words} {format_time(seconds)}, {100 * seconds / total:.1f} %"
                spans.append(Span(begin / unit_s, (begin + seconds) / unit_s, role, note))
            begin += seconds
        rows.append(Row(name, None, spans))
    judged = report.judged_index
    sentence = (
        f"Under {steps.names[judged]}, an output token takes {format_time(steps.summary['mean_s'][judged])}, "
        f"{less_or_more(steps.summary['relative'][judged])} time than under {steps.names[0]}; "
        f"{100 * steps.summary['above_balanced'][judged]:.1f} % above force-balanced steps."
    )
    if np.isnan(steps.exchange_law_s).all() and not np.any(steps.shares_s["exchange"]):
        exchange = "the exchange is not counted"
    elif np.isnan(report.dispatch_s).any():
        exchange = "the exchange is composed from stated times"
    else:
        exchange = "the exchange was measured"
    attention = "" if steps.context else " Attention itself was not measured."
    return Picture(
        "What a whole step is made of",
        sentence,
        Axis("time", f"{unit} a step", zero=True),
        Axis(""),
        only(Spans([("the mean device", rows)])),
        notes=[
            f"Composed of parts, at each barrier all wait for the slowest device; all but the experts: {steps.rest}; "
            f"{exchange}. No queueing: this is not the latency of serving.{attention}"
        ],
        legend=[(words, role) for part, words, role in PARTS if np.any(steps.shares_s[part] > 0)],
    )
