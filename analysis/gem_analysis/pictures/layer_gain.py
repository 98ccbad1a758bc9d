"""Gain of each layer: its straggler time under each mapping relative to the first mapping's."""

import numpy as np

from ..arrays import Array, Floats
from ..errors import NotDrawn
from ..palette import mapping_styles
from ..picture import Axis, Guide, Lines, Picture, Series, only, percent
from ..results import Results

RESAMPLES = 1000


def bootstrap(numerator: Array, denominator: Array, seed: int) -> Floats:
    """95 % interval over steps of sum(numerator) / sum(denominator), both [step, layer]; -> low, high [layer]."""
    steps = len(numerator)
    picks = np.random.default_rng(seed).multinomial(steps, np.full(steps, 1 / steps), RESAMPLES)
    ratios = (picks @ numerator) / (picks @ denominator)
    return np.asarray(np.quantile(ratios, (0.025, 0.975), axis=0))


def draw(results: Results) -> Picture:
    report = results.report
    if report is None:
        raise NotDrawn("needs a report of gem-verify")
    if len(report.names) < 2:
        raise NotDrawn("the report holds one mapping only")
    straggler_s = report.measured_s.max(axis=3)  # [mapping, step, layer]
    base = straggler_s[0]
    x = np.arange(base.shape[1])
    styles = mapping_styles([(name, name) for name in report.names])
    series = []
    for m, name in enumerate(report.names[1:], start=1):
        ratio = straggler_s[m].sum(axis=0) / base.sum(axis=0)
        low = high = None
        if m == report.judged_index:
            low, high = 100 * (bootstrap(straggler_s[m], base, report.header.seed) - 1)
        role, dashed = styles[name]
        series.append(
            Series(
                name,
                role,
                x,
                100 * (ratio - 1),
                "line+dots" if m == report.judged_index else "dots",
                low,
                high,
                dashed=dashed,
            )
        )
    ratio = straggler_s[report.judged_index].sum(axis=0) / base.sum(axis=0)
    best, worst = int(ratio.argmin()), int(ratio.argmax())
    sentence = (
        f"Under {report.names[report.judged_index]}, {np.sum(ratio < 1)} of {len(ratio)} layers are faster than under "
        f"{report.names[0]}: from {percent(ratio[best])} (layer {report.layer_ids[best]}) to "
        f"{percent(ratio[worst])} (layer {report.layer_ids[worst]})."
    )
    return Picture(
        "Gain of each layer",
        sentence,
        Axis("layer", labels=[str(i) for i in report.layer_ids]),
        Axis(f"time against {report.names[0]}", "%"),
        only(Lines(series, [Guide(f"as {report.names[0]}", y=0.0)])),
        notes=[f"Bars of {report.names[report.judged_index]}: 95 % bootstrap intervals over steps."],
    )
