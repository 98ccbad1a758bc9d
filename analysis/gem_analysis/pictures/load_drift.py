"""How far the loads of later steps are from those that were searched on."""

import numpy as np

from ..arrays import Array, Floats
from ..errors import NotDrawn
from ..picture import Axis, Lines, Picture, Series, only
from ..results import Results
from ..routing import distance

WINDOWS = 16


def drift(reference: Array, counts: Array, window: int) -> Floats:
    """[window, layer] distance of each window of steps from the reference's mean load."""
    mean_load = reference.mean(axis=0).astype(float)
    windows = len(counts) // window
    loads = counts[: windows * window].reshape(windows, window, *counts.shape[1:]).sum(axis=1).astype(float)
    return distance(loads, mean_load[None])


def draw(results: Results) -> Picture:
    reference = results.train or results.scored
    if reference is None:
        raise NotDrawn("needs a trace of gem-trace")
    shortest = min(len(trace.counts) for trace in results.traces)
    if shortest < 4:
        raise NotDrawn("needs traces of four steps or more")
    window = max(1, shortest // WINDOWS)
    series = []
    medians: dict[str, float] = {}
    same_shape = [trace for trace in results.traces if trace.counts.shape[1:] == reference.counts.shape[1:]]
    roles = ("eplb", "gem", "speed-aware", "round-robin")
    for index, trace in enumerate(same_shape[: len(roles)]):
        distances = 100 * drift(reference.counts, trace.counts, window)
        low, middle, high = np.quantile(distances, (0.25, 0.5, 0.75), axis=1)
        medians[trace.label] = np.median(middle)
        series.append(
            Series(trace.label, roles[index], window * np.arange(len(middle)), middle, "line+dots", low, high)
        )
    sentence = (
        f"Loads of windows of {window} steps against the mean load of {reference.label}: "
        + ", ".join(f"{value:.0f} % of the tokens of {label} go to other experts" for label, value in medians.items())
        + ". A rise over time would mean that the mapping ages; part of every distance is chance, since a window is "
        "short."
    )
    return Picture(
        "Drift of the loads",
        sentence,
        Axis("step"),
        Axis("distance from the loads searched on", "%", zero=True),
        only(Lines(series)),
        notes=["Points: median layer; bars: the middle half of the layers."],
    )
