"""What a mean device's step is made of under each mapping: dispatch, compute, waiting, combine."""

import numpy as np

from ..errors import NotDrawn
from ..nouns import Report
from ..picture import Axis, Picture, Row, Span, Spans, format_time, only, time_unit
from ..results import Results

PARTS = (
    ("dispatch", "dispatch"),
    ("compute", "experts compute"),
    ("waiting", "waits for the slowest"),
    ("combine", "combine"),
)
ROLES = {"waiting": "wait"}


def shares_of(report: Report, m: int) -> list[tuple[str, float]]:
    """[(part, seconds a step)] of one mapping; parts that weren't timed are left out."""
    found = [(part, float(report.summary[f"{part}_s"][m])) for part, _ in PARTS]
    return [(part, seconds) for part, seconds in found if np.isfinite(seconds)]


def draw(results: Results) -> Picture:
    report = results.report
    if report is None:
        raise NotDrawn("needs a report of gem-verify")
    shares = [shares_of(report, m) for m in range(len(report.names))]
    if not any(shares):
        raise NotDrawn("the report is of an early version, without the parts of a step")
    words = dict(PARTS)
    unit_s, unit = time_unit([sum(seconds for _, seconds in share) for share in shares])
    rows = []
    for name, share in zip(report.names, shares):
        total, begin, spans = sum(seconds for _, seconds in share), 0.0, []
        for part, seconds in share:
            note = f"{words[part]} {format_time(seconds)}, {100 * seconds / total:.1f} %"
            spans.append(Span(begin / unit_s, (begin + seconds) / unit_s, ROLES.get(part, part), note))
            begin += seconds
        rows.append(Row(name, None, spans))
    judged, first = dict(shares[report.judged_index]), dict(shares[0])
    total = sum(judged.values())
    listed = ", ".join(f"{words[part]} {100 * seconds / total:.0f} %" for part, seconds in judged.items())
    sentence = f"Under {report.names[report.judged_index]}: {listed}."
    if "waiting" in judged and first.get("waiting"):
        sentence += (
            f" Waiting takes {format_time(judged['waiting'])} a step, under {report.names[0]} "
            f"{format_time(first['waiting'])}."
        )
    exchanged = "dispatch" in judged
    layers = f"{len(report.layer_ids)} layers that were replayed"
    return Picture(
        "What a step is made of",
        sentence,
        Axis("time", f"{unit} a step", zero=True),
        Axis(""),
        only(Spans([("the mean device", rows)])),
        notes=[
            f"Sums over the {layers}: experts alone, without attention and shared experts."
            + ("" if exchanged else " The exchange of tokens was not timed.")
        ],
        legend=[
            (text, ROLES.get(part, part)) for part, text in PARTS if exchanged or part not in ("dispatch", "combine")
        ],
    )
