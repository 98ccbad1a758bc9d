"""What is left of a gain on requests that were never searched on, and what of it is balance alone."""

from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..errors import NotDrawn
from ..latency import Homes, Surface, homes_for, linear_homes, predict, surfaces_of
from ..nouns import Mapping, Profile, Trace
from ..picture import Axis, Guide, Lines, Picture, Series, evenly, only, percent
from ..results import Results

MOST_STEPS = 256


class Ratios(NamedTuple):
    """Of a mapping's predicted time to linear's; each is NaN where it isn't known."""

    searched: float  # on the steps searched on, or on requests that it may have seen
    held_out: float
    equal: float  # on the requests to score on, if all devices were equal


def mean_step_s(counts: Array, homes: Homes, surfaces: list[Surface], profile: Profile) -> float:
    """Mean over steps of the sum over layers of the slowest device's predicted time."""
    return float(predict(counts, homes, surfaces, profile).max(axis=2).sum(axis=1).mean())


def ratios(results: Results) -> list[tuple[str, Ratios]]:
    """By name those of each mapping of which any is known. NotDrawn without profile and trace."""
    profile, scored = results.profile, results.scored
    if profile is None or scored is None:
        raise NotDrawn("needs a profile, a trace and mappings of one run")
    mappings = [mapping for mapping in results.mappings if mapping.method != "linear"]
    held_out = scored.part == "test"
    searched = (results.train if results.train is not scored else None) if held_out else scored
    cases = (
        _ratios_on(searched, mappings, profile, False),
        _ratios_on(scored if held_out else None, mappings, profile, False),
        _ratios_on(scored, mappings, profile, True),
    )
    rows = [(mapping.name, Ratios(*values)) for mapping, *values in zip(mappings, *cases)]
    return [(name, values) for name, values in rows if not np.isnan(values).all()]


def _ratios_on(trace: Trace | None, mappings: list[Mapping], profile: Profile, equal_devices: bool) -> list[float]:
    """[mapping]; NaN without a trace, and for a mapping that doesn't fit."""
    if trace is None:
        return [np.nan] * len(mappings)
    counts = trace.counts[evenly(len(trace.counts), MOST_STEPS)]
    surfaces = surfaces_of(profile, equal_devices)
    linear = linear_homes(counts.shape[1], counts.shape[2], profile.device_count, trace.experts)
    base_s = mean_step_s(counts, linear, surfaces, profile)
    found = [homes_for(m, trace) if m.device_count == profile.device_count else None for m in mappings]
    return [np.nan if homes is None else mean_step_s(counts, homes, surfaces, profile) / base_s for homes in found]


def draw(results: Results) -> Picture:
    best_mapping = results.best_mapping
    if results.profile is None or results.scored is None or best_mapping is None:
        raise NotDrawn("needs a profile, a trace and mappings of one run")
    if len(results.profile.regime_tiles):
        raise NotDrawn(
            "the kernel has several tiles, and this picture predicts with one; gem-map --test-trace tells it"
        )
    rows = ratios(results)
    if not rows:
        raise NotDrawn("no mapping fits profile and trace")
    held_out = results.scored.part == "test"
    values = np.array([row for _, row in rows]).T
    names = (
        "steps searched on" if held_out else "in-sample (no held-out trace here)",
        "held-out requests",
        "the same, if all devices were equal",
    )
    series = [
        Series(name, role, np.arange(len(rows)) + offset, 100 * (value - 1), "dots")
        for name, role, offset, value in zip(names, ("eplb", "gem", "linear"), (-0.16, 0, 0.16), values)
        if not np.isnan(value).all()
    ]
    best = next((i for i, (name, _) in enumerate(rows) if name == best_mapping.name), len(rows) - 1)
    name, (searched, held, equal) = rows[best]
    parts = []
    if not np.isnan(searched):
        parts.append(
            f"{percent(searched)} on {'the steps it was searched on' if held_out else 'requests that it may have seen'}"
        )
    if not np.isnan(held):
        parts.append(f"{percent(held)} on requests it never saw")
    sentence = (
        f"Predicted for {name} against linear: {' and '.join(parts)}. On equally fast devices the same mapping "
        f"would give {percent(equal)}."
    )
    return Picture(
        "Searched, held out, equal devices",
        sentence,
        Axis("", labels=[row[0] for row in rows]),
        Axis("predicted time against linear", "%"),
        only(Lines(series, [Guide("as linear", y=0.0)])),
        notes=[
            "Predicted from the profile, not measured. A mapping made for unequal devices is not the best one "
            "for equal devices: that point shows what knowing the speeds costs or brings."
        ],
    )
