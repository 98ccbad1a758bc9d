"""Best predicted time over the time of the search, for each start."""

import numpy as np

from ..arrays import Bools
from ..errors import NotDrawn
from ..nouns import Arrays
from ..picture import Axis, Choice, Frames, Guide, Lines, Picture, Series, evenly, format_time, time_unit
from ..results import Results

MOST_POINTS = 40_000  # of all frames together
MOST_STARTS = 24


def draw(results: Results) -> Picture:
    mapping = next(
        (mapping for mapping in (results.best_mapping, *results.mappings) if mapping and mapping.course), None
    )
    if mapping is None:
        raise NotDrawn("needs a mapping that was searched for, whose file keeps the course of the search")
    course = mapping.course
    searched = np.unique(course["layer"])
    points_a_layer = max(1, len(course["layer"]) // len(searched))
    layers = searched[evenly(len(searched), max(2, MOST_POINTS // (2 * points_a_layer)))]
    time_s, time_name = time_unit(course["elapsed_s"])
    cost_s, cost_name = time_unit(course["predicted_s"])
    frames: Frames = {}
    spread = []
    for index, layer in enumerate(layers):
        here = course["layer"] == layer
        end_s = course["elapsed_s"][here].max()
        starts = np.unique(course["start"][here])
        lasts = np.array([course["predicted_s"][here & (course["start"] == start)].min() for start in starts])
        spread.append(lasts.max() / lasts.min() - 1)
        best = starts[lasts.argmin()]
        series = [
            _steps(course, here & (course["start"] == start), end_s, time_s, cost_s, start == best)
            for start in starts[evenly(len(starts), MOST_STARTS)]
            if start != best
        ]
        series.append(_steps(course, here & (course["start"] == best), end_s, time_s, cost_s, True))
        bound_s = mapping.lower_bound_s[layer]
        guides = [Guide("lower bound", y=bound_s / cost_s)] if np.isfinite(bound_s) and bound_s > 0 else []
        frames[(index,)] = Lines(series, guides)
    sentence = (
        f"Each line is a start: the best time that it had found by then. The starts of a layer end within "
        f"{100 * np.median(spread):.2f} % of each other in the median layer; the last improvement of all came after "
        f"{format_time(course['elapsed_s'].max())}."
    )
    notes = [f"{mapping.name}, predicted on the steps searched on; time since each start began."]
    if len(layers) < len(searched):
        notes.append(f"{len(layers)} of {len(searched)} layers.")
    return Picture(
        "Course of the search",
        sentence,
        Axis("time", time_name, zero=True),
        Axis("predicted, mean a step", cost_name),
        frames,
        [Choice("layer", [str(mapping.layer_ids[layer]) for layer in layers], 0, True)],
        notes,
        legend=[],
    )


def _steps(course: Arrays, chosen: Bools, end_s: float, time_s: float, cost_s: float, is_best: bool) -> Series:
    """One start's best so far, as a staircase to the end."""
    order = np.argsort(course["elapsed_s"][chosen], kind="stable")
    at = course["elapsed_s"][chosen][order] / time_s
    best = np.minimum.accumulate(course["predicted_s"][chosen][order]) / cost_s
    x = np.append(np.repeat(at, 2)[1:], end_s / time_s)
    return Series("best start" if is_best else "other starts", "gem" if is_best else "other", x, np.repeat(best, 2))
