"""Step times of each policy over a run that drifts."""

import numpy as np

from ..arrays import Array, Floats
from ..errors import NotDrawn
from ..nouns import Adaptation
from ..picture import Axis, Guide, Lines, Picture, Series, format_time, only, time_unit
from ..results import Results

MOST_BLOCKS = 160
ROLES = {
    "static linear": "linear",
    "static gem": "speed-aware",
    "periodic eplb": "eplb",
    "periodic gem": "paper",
    "triggered gem": "gem",
    "oracle": "bound",
}


def adaptation_of(results: Results) -> Adaptation:
    if results.adaptation is None:
        raise NotDrawn("needs a report of gem-adapt")
    return results.adaptation


def role_of(policy: str) -> str:
    return ROLES.get(policy, "other")


def change_guides(adaptation: Adaptation) -> list[Guide]:
    """A line at each change of a task or a speed; none where they are so many that they would hide the rest."""
    return [Guide("change", x=step) for step in adaptation.changes] if len(adaptation.changes) <= 20 else []


def block_means(values: Array, most: int = MOST_BLOCKS) -> tuple[Floats, Floats]:
    """(steps, means): neighbouring steps taken together, so that a line has at most so many points."""
    size = max(1, -(-len(values) // most))
    starts = np.arange(0, len(values), size)
    return starts + (np.minimum(starts + size, len(values)) - 1 - starts) / 2, np.add.reduceat(
        values, starts
    ) / np.diff(np.append(starts, len(values)))


def draw(results: Results) -> Picture:
    run = adaptation_of(results)
    unit_s, unit = time_unit(run.step_s)
    series = []
    for policy, steps_s in zip(run.policies, run.step_s):
        x, means = block_means(steps_s)
        series.append(Series(policy, role_of(policy), x, means / unit_s, dashed=policy == "oracle"))
    totals = run.total_s.sum(axis=1)
    sentence = "Of the whole run, moves included: " + ", ".join(
        f"{policy} takes {format_time(total)}" for policy, total in zip(run.policies, totals)
    )
    return Picture(
        "Steps under each policy",
        sentence + ". Lines are without the moves, which the next picture has.",
        Axis("step of the run"),
        Axis("sum over layers of the slowest device's time", f"{unit} a step"),
        only(Lines(series, change_guides(run))),
        notes=[f"Tasks: {run.tasks}. Vertical lines: a task or a device's speed changes."],
    )
