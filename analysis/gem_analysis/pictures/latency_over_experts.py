"""Latency of each device over active experts, tiles fixed."""

import numpy as np

from ..errors import NotDrawn
from ..picture import Axis, Picture
from ..results import Results
from .latency_lines import draw_lines


def draw(results: Results) -> Picture:
    profile = results.profile
    if profile is None:
        raise NotDrawn("needs a profile of gem-profile")
    sentence = (
        "The same number of tiles costs more when more experts share it, since each expert's weights are read: the "
        "reason why a load is a pair of numbers and not tokens alone."
    )
    fixed, counts = np.unique(profile.tiles, return_counts=True)
    enough = fixed[counts > 1]
    if not len(enough):
        raise NotDrawn("the profile has no two points with the same number of tiles")
    # Only tile counts that occur with several numbers of experts can be compared.
    best = int(np.argmax(counts[counts > 1]))
    return draw_lines(
        results,
        "Latency over active experts",
        Axis("active experts", log=True),
        profile.active_experts,
        "tiles",
        profile.tiles,
        sentence,
        best,
        first_view=1,  # the sentence is about latency itself
    )
