"""What the two pictures of latency along one axis of the load share."""

import numpy as np

from ..errors import NotDrawn
from ..latency import relative_speeds, throttled
from ..palette import DEVICE_ROLES, device_role
from ..picture import Axis, Choice, Lines, Picture, Series, evenly, format_time, time_unit

MOST_DEVICES = DEVICE_ROLES


def shown_devices(profile):
    """All devices if they are few; else from the fastest to the slowest, evenly by rank in speed."""
    if profile.device_count <= MOST_DEVICES:
        return np.arange(profile.device_count)
    by_speed = np.argsort(-relative_speeds(profile), kind="stable")
    return by_speed[evenly(profile.device_count, 5)]


def draw_lines(results, title, x, x_values, fixed_name, fixed_values, sentence, start=-1):
    """Latency over `x_values`, one frame for each value of `fixed_values` that has two points or more."""
    profile = results.profile
    if profile is None:
        raise NotDrawn("needs a profile of gem-profile")
    levels = [level for level in np.unique(fixed_values) if len(np.unique(x_values[fixed_values == level])) > 1]
    if not levels:
        raise NotDrawn(f"the profile has no two points with the same number of {fixed_name}")
    devices = shown_devices(profile)
    speeds, held_down = relative_speeds(profile), throttled(profile)
    unit_s, unit = time_unit(profile.median_s)
    frames = {}
    for index, level in enumerate(levels):
        points = np.flatnonzero(fixed_values == level)
        points = points[np.argsort(x_values[points], kind="stable")]
        series = []
        for position, d in enumerate(devices):
            doubtful = ~profile.settled[d, points] | held_down[d, points]
            series.append(
                Series(
                    f"device {d} ({speeds[d]:.2f})",
                    device_role(position),
                    x_values[points],
                    profile.median_s[d, points] / unit_s,
                    "line+dots",
                    hollow=doubtful,
                    notes=[_note(profile, held_down, d, p) for p in points],
                )
            )
        frames[(index,)] = Lines(series)
    notes = [
        "Numbers in brackets: speed, fastest = 1. Hollow points are unsettled "
        f"({(~profile.settled).sum()} of {profile.settled.size}) or throttled ({held_down.sum()})."
    ]
    if len(devices) < profile.device_count:
        notes.append(f"{len(devices)} of {profile.device_count} devices, evenly by speed.")
    return Picture(
        title,
        sentence,
        x,
        Axis("latency, median", unit, log=True),
        frames,
        [Choice(fixed_name, [str(level) for level in levels], range(len(levels))[start], True)],
        notes,
    )


def _note(profile, held_down, d, p):
    marks = [
        mark for mark, is_so in (("unsettled", not profile.settled[d, p]), ("throttled", held_down[d, p])) if is_so
    ]
    return (
        f"device {d}, {profile.tiles[p]} tiles, {profile.active_experts[p]} active experts: "
        f"{format_time(profile.median_s[d, p])}, p95 {format_time(profile.p95_s[d, p])}"
        + (f" ({', '.join(marks)})" if marks else "")
    )
