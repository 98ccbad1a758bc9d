"""What is left of a gain on requests that were never searched on, and what of it is balance alone."""

import numpy as np

from ..errors import NotDrawn
from ..latency import homes_for, linear_homes, predict, surfaces_of
from ..picture import Axis, Guide, Lines, Picture, Series, evenly, only, percent

MOST_STEPS = 256


def mean_step_s(counts, homes, surfaces, profile):
    """Mean over steps of the sum over layers of the slowest device's predicted time."""
    return predict(counts, homes, surfaces, profile).max(axis=2).sum(axis=1).mean()


def ratios(results):
    """[(name, ratio to linear or NaN for each of: searched-on, held-out, held-out on equal devices)]"""
    profile, scored = results.profile, results.scored
    held_out = scored.part == "test"
    cases = [
        (results.train if results.train is not scored else None, False),
        (scored if held_out else None, False),
        (scored if held_out else None, True),
    ]
    if not held_out:
        cases = [(scored, False), (None, False), (scored, True)]
    rows = {mapping.name: [] for mapping in results.mappings if mapping.method != "linear"}
    for trace, equal in cases:
        counts = trace.counts[evenly(len(trace.counts), MOST_STEPS)] if trace else None
        surfaces = surfaces_of(profile, equal)
        if trace:
            linear = linear_homes(*counts.shape[1:], profile.device_count, trace.experts)
            base = mean_step_s(counts, linear, surfaces, profile)
        for mapping in results.mappings:
            if mapping.name not in rows:
                continue
            homes = homes_for(mapping, trace) if trace and mapping.device_count == profile.device_count else None
            rows[mapping.name].append(np.nan if homes is None else mean_step_s(counts, homes, surfaces, profile) / base)
    return [(name, values) for name, values in rows.items() if not np.isnan(values).all()]


def draw(results):
    if results.profile is None or results.scored is None or not results.mappings:
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
    best = next((i for i, (name, _) in enumerate(rows) if name == results.best_mapping.name), len(rows) - 1)
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
