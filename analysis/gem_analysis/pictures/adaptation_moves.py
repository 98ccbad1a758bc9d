"""How many experts each policy has moved, over a run that drifts."""

import numpy as np

from ..picture import Axis, Lines, Picture, Series, evenly, format_time, only
from ..results import Results
from .adaptation_steps import adaptation_of, change_guides, role_of

MOST_POINTS = 200


def draw(results: Results) -> Picture:
    run = adaptation_of(results)
    series, told = [], []
    for policy, moved, pause_s in zip(run.policies, run.moved, run.pause_s):
        if moved.sum() == 0:
            continue
        # Where it moves, and the step before, so that stairs stay stairs.
        steps = np.flatnonzero(moved)
        steps = steps[evenly(len(steps), MOST_POINTS // 2)]
        x = np.unique(np.concatenate([[0, len(moved) - 1], steps, np.maximum(steps - 1, 0)]))
        series.append(Series(policy, role_of(policy), x, np.cumsum(moved)[x], dashed=policy == "oracle"))
        told.append(f"{policy} {int(moved.sum())} before {np.count_nonzero(moved)} steps, {format_time(pause_s.sum())}")
    how = "measured" if run.moving else "priced"
    sentence = (
        f"Experts that were moved, and the time for which steps stood still for them ({how}): {'; '.join(told)}."
        if told
        else "No policy moved anything."
    )
    return Picture(
        "Moves of each policy",
        sentence,
        Axis("step of the run"),
        Axis("experts moved until then", zero=True),
        only(Lines(series, change_guides(run))),
        notes=["Vertical lines: a task or a device's speed changes. Static policies move nothing."],
    )
