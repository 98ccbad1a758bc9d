"""What triggered gem takes the devices' speeds for, and what they are."""

import numpy as np

from ..arrays import Array, Integers
from ..picture import Axis, Lines, Picture, Series, only
from ..results import Results
from .adaptation_steps import adaptation_of, block_means, change_guides

MOST_DEVICES = 7


def drifting(slowdown: Array, most: int = MOST_DEVICES) -> Integers:
    """The devices whose speed changes most, in their order."""
    spread = slowdown.max(axis=0) - slowdown.min(axis=0)
    return np.sort(np.argsort(-spread, kind="stable")[:most])


def draw(results: Results) -> Picture:
    run = adaptation_of(results)
    devices = drifting(run.slowdown)
    series = []
    for place, device in enumerate(devices):
        role = f"device-{place}"
        for values, name, dashed in ((run.slowdown, "is", True), (run.believed_slowdown, "believed", False)):
            x, means = block_means(values[:, device])
            series.append(Series(f"device {device}, {name}", role, x, means, dashed=dashed))
    error = np.abs(run.believed_slowdown / run.slowdown - 1)
    sentence = (
        f"Measured layer times over those predicted for the same loads tell the devices' present speeds: half of the "
        f"estimates are within {100 * np.median(error):.2f} % of what was set, 95 % within "
        f"{100 * np.quantile(error, 0.95):.1f} %."
    )
    shown = "" if len(devices) == run.slowdown.shape[1] else f" Shown: the {len(devices)} that change most."
    return Picture(
        "Speeds as they are believed",
        sentence,
        Axis("step of the run"),
        Axis("time, relative to the profile"),
        only(Lines(series, change_guides(run))),
        notes=["Dashed: what was set. On real devices their own drift comes on top of it." + shown],
    )
