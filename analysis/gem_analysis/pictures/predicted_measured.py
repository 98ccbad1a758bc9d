"""Predicted against measured straggler times of layers."""

import numpy as np

from ..errors import NotDrawn
from ..palette import mapping_styles
from ..picture import Axis, Guide, Lines, Picture, Series, evenly, only, time_unit
from ..results import Results

MOST_POINTS = 1600


def draw(results: Results) -> Picture:
    report = results.report
    if report is None:
        raise NotDrawn("needs a report of gem-verify")
    measured = report.measured_s.max(axis=3)  # [mapping, step, layer]
    predicted = report.predicted_s.max(axis=3)
    _, steps, layers = measured.shape
    picked = evenly(steps * layers, MOST_POINTS // len(report.names))
    unit_s, unit = time_unit(measured)
    styles = mapping_styles([(name, name) for name in report.names])
    series = []
    for m, name in enumerate(report.names):
        at = measured[m].ravel()[picked], predicted[m].ravel()[picked]
        series.append(Series(name, styles[name][0], at[0] / unit_s, at[1] / unit_s, "dots"))
    busy = report.predicted_s > 0
    error = np.median(np.abs(report.predicted_s[busy] / report.measured_s[busy] - 1)) if busy.any() else np.nan
    median_error = report.summary["median_error"][report.judged_index]
    bias = np.median(predicted / measured) - 1
    sentence = (
        f"On the line, prediction and measurement agree. A device's time in a layer is predicted within "
        f"{100 * error:.1f} % in the median, a whole step under {report.names[report.judged_index]} within "
        f"{100 * median_error:.1f} %; layers are predicted {100 * abs(bias):.1f} % too "
        f"{'short' if bias < 0 else 'long'} in the median."
    )
    notes = [f"{len(picked)} of {steps * layers} layers of steps a mapping."] if len(picked) < steps * layers else []
    return Picture(
        "Predicted and measured",
        sentence,
        Axis("measured, slowest device of a layer", unit),
        Axis("predicted", unit),
        only(Lines(series, [Guide("as predicted")])),
        notes=notes,
        height=340,
    )
