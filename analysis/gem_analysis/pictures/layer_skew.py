"""Skew of each layer: the busiest expert's load over the mean."""

import numpy as np

from ..errors import NotDrawn
from ..picture import Axis, Guide, Lines, Picture, Series, only
from ..results import Results
from ..routing import skew, step_skew


def draw(results: Results) -> Picture:
    trace = results.train or results.scored
    if trace is None:
        raise NotDrawn("needs a trace of gem-trace")
    over_all, in_step = skew(trace.counts, trace.experts), step_skew(trace.counts, trace.experts)
    x = np.arange(len(over_all))
    series = [
        Series("worst step", "temporal", x, in_step.max(axis=0), "line+dots"),
        Series("median step", "eplb", x, np.median(in_step, axis=0), "line+dots"),
        Series("mean load over all steps", "gem", x, over_all, "line+dots"),
    ]
    busiest = int(over_all.argmax())
    sentence = (
        f"The busiest expert of the median layer gets {np.median(over_all):.2f} times the mean load over all steps; in "
        f"layer {trace.layer_ids[busiest]} {over_all[busiest]:.2f} times. Within single steps it is up to "
        f"{in_step.max():.1f} times: what balancing of means does not see."
    )
    return Picture(
        "Skew of each layer",
        sentence,
        Axis("layer", labels=[str(i) for i in trace.layer_ids]),
        Axis("busiest expert / mean", zero=True),
        only(Lines(series, [Guide("even", y=1.0)])),
        notes=[f"Trace {trace.label}."],
    )
