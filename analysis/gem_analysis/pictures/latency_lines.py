"""What the two pictures of latency along one axis of the load share."""

import numpy as np

from ..arrays import Bools, Integers
from ..errors import NotDrawn
from ..latency import regime_notes, relative_speeds, throttle_text, throttled
from ..nouns import Profile
from ..palette import DEVICE_ROLES, device_role
from ..picture import Axis, Choice, Frames, Lines, Picture, Series, evenly, format_time, time_unit
from ..results import Results

MOST_DEVICES = DEVICE_ROLES
USUAL_SHARE = 0.9  # of all points: above, being throttled is how the devices run


def shown_devices(profile: Profile) -> Integers:
    """All devices if they are few; else from the fastest to the slowest, evenly by rank in speed."""
    if profile.device_count <= MOST_DEVICES:
        return np.arange(profile.device_count)
    by_speed = np.argsort(-relative_speeds(profile), kind="stable")
    return by_speed[evenly(profile.device_count, 5)]


def draw_lines(
    results: Results,
    title: str,
    x: Axis,
    x_values: Integers,
    fixed_name: str,
    fixed_values: Integers,
    sentence: str,
    start: int = -1,
    first_view: int = 0,
) -> Picture:
    """Latency over `x_values`, relative to the fastest device's and in seconds, one frame for each value of
    `fixed_values` that has two points or more."""
    profile = results.profile
    if profile is None:
        raise NotDrawn("needs a profile of gem-profile")
    levels = [level for level in np.unique(fixed_values) if len(np.unique(x_values[fixed_values == level])) > 1]
    if not levels:
        raise NotDrawn(f"the profile has no two points with the same number of {fixed_name}")
    devices = shown_devices(profile)
    unit_s, unit = time_unit(profile.median_s)
    views = {"latency": (profile.median_s / unit_s, Axis("latency, median", unit, log=True))}
    if profile.device_count > 1:
        behind = 100 * (profile.median_s / profile.median_s.min(axis=0) - 1)
        views = {"against the fastest": (behind, Axis("slower than the fastest", "%", zero=True)), **views}
    speeds, held_down = relative_speeds(profile), hindered(profile)
    frames: Frames = {}
    for view, (values, y) in enumerate(views.values()):
        for index, level in enumerate(levels):
            points = np.flatnonzero(fixed_values == level)
            points = points[np.argsort(x_values[points], kind="stable")]
            series = [
                Series(
                    f"device {d} ({speeds[d]:.2f})",
                    device_role(position),
                    x_values[points],
                    values[d, points],
                    "line+dots",
                    hollow=~profile.settled[d, points] | held_down[d, points],
                    notes=[_note(profile, held_down, int(d), int(p)) for p in points],
                )
                for position, d in enumerate(devices)
            ]
            frames[(view, index)] = Lines(series, y=y)
    notes = [f"Numbers in brackets: speed, fastest = 1. {hollow_text(profile)}".strip(), *regime_notes(profile)]
    if len(devices) < profile.device_count:
        notes.append(f"{len(devices)} of {profile.device_count} devices, evenly by speed.")
    return Picture(
        title,
        sentence,
        x,
        next(iter(views.values()))[1],
        frames,
        [
            Choice("view", list(views), first_view if len(views) > 1 else 0),
            Choice(fixed_name, [str(level) for level in levels], range(len(levels))[start], True),
        ],
        notes,
    )


def hindered(profile: Profile) -> Bools:
    """[device, point] throttled, unless nearly all points are: then that is the devices' usual state and marks nothing."""
    held_down = throttled(profile)
    return np.asarray(held_down & (held_down.mean() < USUAL_SHARE))


def hollow_text(profile: Profile) -> str:
    """What hollow points are, and what "throttled" means where any point is."""
    unsettled, held_down = int((~profile.settled).sum()), throttled(profile)
    words = [f"unsettled ({unsettled} of {profile.settled.size})"] if unsettled else []
    if hindered(profile).any():
        words.append(f"throttled ({held_down.sum()} of {held_down.size})")
    hollow = f"Hollow points are {' or '.join(words)}." if words else ""
    return " ".join(filter(None, (hollow, throttle_text(profile))))


def _note(profile: Profile, held_down: Bools, d: int, p: int) -> str:
    marks = [
        mark for mark, is_so in (("unsettled", not profile.settled[d, p]), ("throttled", held_down[d, p])) if is_so
    ]
    return (
        f"device {d}, {profile.tiles[p]} tiles, {profile.active_experts[p]} active experts: "
        f"{format_time(profile.median_s[d, p])}, p95 {format_time(profile.p95_s[d, p])}"
        + (f" ({', '.join(marks)})" if marks else "")
    )
