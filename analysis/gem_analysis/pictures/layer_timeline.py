"""Who waits for whom: each device's time in one layer of one step, under the first mapping and the judged one."""

import numpy as np

from ..arrays import Integers
from ..errors import NotDrawn
from ..nouns import Report
from ..picture import Axis, Choice, Frames, Picture, Row, Span, Spans, evenly, format_time, time_unit
from ..results import Results

MOST_DEVICES = 16
MOST_SPANS = 24000  # of all frames together

PHASES = (("dispatch", "dispatch"), ("compute", "experts compute"), ("combine", "combine, waiting included"))


def _typical(report: Report, first: int, judged: int) -> tuple[int, int]:
    """The (step, layer) whose gain is the median one: neither the best to show nor the worst."""
    gain = (report.measured_s[judged].max(axis=2) / report.measured_s[first].max(axis=2)).ravel()
    middle = np.argsort(gain, kind="stable")[len(gain) // 2]
    found, layer = np.unravel_index(middle, report.measured_s.shape[1:3])
    return int(found), int(layer)


def draw(results: Results) -> Picture:
    report = results.report
    if report is None:
        raise NotDrawn("needs a report of gem-verify")
    first, judged = 0, report.judged_index
    _, step_count, layer_count, device_count = report.measured_s.shape
    exchanged = not np.isnan(report.dispatch_s).any()
    step, layer = _typical(report, first, judged)
    # Of many devices, those of all ranks in speed; of many steps and layers, as many as fit.
    by_time = np.argsort(report.measured_s[first].mean(axis=(0, 1)), kind="stable")
    devices = np.sort(by_time[evenly(device_count, MOST_DEVICES)])
    spans_a_frame = 2 * len(devices) * (3 if exchanged else 2)
    most_frames = max(4, MOST_SPANS // (spans_a_frame * (2 if exchanged else 1)))
    most_layers = min(layer_count, max(2, int(np.sqrt(most_frames))))
    layers = np.union1d(evenly(layer_count, most_layers), layer)
    steps = np.union1d(evenly(step_count, max(2, most_frames // len(layers))), step)
    views = ["compute"] + (["whole layer"] if exchanged else [])

    unit_s, unit = time_unit(report.measured_s)
    frames: Frames = {}
    for index in np.ndindex(len(views), len(steps), len(layers)):
        shown = views[index[0]], int(steps[index[1]]), int(layers[index[2]])
        frames[index] = Spans([_group(report, m, *shown, devices, unit_s) for m in (first, judged)])
    idle = report.waiting_share[[first, judged]]
    sentence = (
        f"A layer ends when its slowest device ends; the others wait. Over all steps and layers, devices wait "
        f"{100 * idle[0]:.1f} % of the time under {report.names[first]} and {100 * idle[1]:.1f} % "
        f"under {report.names[judged]}. Shown first: the layer and step whose gain is the median of all."
    )
    notes = []
    if len(devices) < device_count:
        notes.append(f"{len(devices)} of {device_count} devices, evenly by speed, and the slowest of each layer.")
    if len(steps) < step_count or len(layers) < layer_count:
        notes.append(f"{len(steps)} of {step_count} steps and {len(layers)} of {layer_count} layers can be chosen.")
    return Picture(
        "Who waits for whom",
        sentence,
        Axis("time in the layer", unit, zero=True),
        Axis(""),
        frames,
        [
            Choice("view", views),
            Choice("step", [str(report.first_step + s) for s in steps], int(np.flatnonzero(steps == step)[0]), True),
            Choice("layer", [str(report.layer_ids[i]) for i in layers], int(np.flatnonzero(layers == layer)[0]), True),
        ],
        notes,
        legend=[("experts compute", "compute"), ("waits", "wait")]
        + ([("dispatch", "dispatch"), ("combine", "combine")] if exchanged else []),
    )


def _group(
    report: Report, m: int, view: str, step: int, layer: int, devices: Integers, unit_s: float
) -> tuple[str, list[Row]]:
    compute_s = report.measured_s[m, step, layer]
    end_s = compute_s.max()
    slowest = int(compute_s.argmax())
    rows = []
    for d in np.union1d(devices, slowest):  # the one that all wait for is always there
        if view == "compute":
            spans = [Span(0.0, compute_s[d] / unit_s, "compute", f"computes {format_time(compute_s[d])}")]
            if compute_s[d] < end_s:
                spans.append(
                    Span(compute_s[d] / unit_s, end_s / unit_s, "wait", f"waits {format_time(end_s - compute_s[d])}")
                )
        else:
            spans, begin = [], 0.0
            for (role, name), values in zip(PHASES, (report.dispatch_s, report.measured_s, report.combine_s)):
                length = values[m, step, layer, d]
                spans.append(Span(begin / unit_s, (begin + length) / unit_s, role, f"{name} {format_time(length)}"))
                begin += length
        rows.append(Row(f"device {d}" + (", slowest" if d == slowest and len(compute_s) > 1 else ""), None, spans))
    return f"{report.names[m]}: {format_time(end_s)}", rows
