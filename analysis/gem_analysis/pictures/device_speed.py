"""Relative speed of the devices, by rank and by node, with their noise."""

import numpy as np

from ..errors import NotDrawn
from ..latency import noise, relative_speeds, throttle_text, throttled
from ..palette import device_role
from ..picture import Axis, Lines, Picture, Series, only
from ..results import Results
from .latency_lines import hindered

MOST_HOSTS = 7
DOUBTFUL_SHARE = 0.05


def draw(results: Results) -> Picture:
    profile = results.profile
    if profile is None:
        raise NotDrawn("needs a profile of gem-profile")
    speeds = relative_speeds(profile)
    deviation = np.nan_to_num(noise(profile))
    unsettled, held_down = (~profile.settled).sum(axis=1), throttled(profile).sum(axis=1)
    doubtful = unsettled + hindered(profile).sum(axis=1) > DOUBTFUL_SHARE * len(profile.tiles)
    hosts = list(dict.fromkeys(profile.hostnames))
    by_host = 1 < len(hosts) <= MOST_HOSTS
    x = np.arange(profile.device_count)
    notes = [
        f"device {d} ({profile.names[d]}) on {profile.hostnames[d] or 'unknown host'}: {speeds[d]:.3f}, noise "
        f"{100 * deviation[d]:.2f} %, {unsettled[d]} unsettled, {held_down[d]} throttled points"
        for d in x
    ]
    series = []
    for index, host in enumerate(hosts if by_host else [""]):
        chosen = np.array([d for d in x if not by_host or profile.hostnames[d] == host])
        series.append(
            Series(
                host if by_host else "devices",
                device_role(index),
                chosen,
                speeds[chosen],
                "dots",
                speeds[chosen] * (1 - deviation[chosen]),
                speeds[chosen] * (1 + deviation[chosen]),
                doubtful[chosen],
                [notes[d] for d in chosen],
            )
        )
    slowest, fastest = int(speeds.argmin()), int(speeds.argmax())
    sentence = (
        f"The slowest of {profile.device_count} devices (device {slowest}) takes "
        f"{100 * (1 / speeds[slowest] - 1):.1f} % longer than the fastest (device {fastest}) over the heavy loads."
    )
    drift = profile.drift[np.isfinite(profile.drift)]
    if drift.size:
        sentence += f" From start to end of the sweep they drifted by at most {100 * np.abs(drift).max():.2f} %."
    return Picture(
        "Speed of the devices",
        sentence,
        Axis("device", labels=[str(d) for d in x]),
        Axis("speed, fastest = 1"),
        only(Lines(series)),
        notes=[
            "Bars: median deviation of the samples."
            + (" Hollow: devices with more than 5 % of their points unsettled or throttled." if doubtful.any() else ""),
            *filter(None, [throttle_text(profile)]),
        ],
    )
