"""Latency staircase of each device over tiles."""

from ..errors import NotDrawn
from ..picture import Axis, Picture
from ..results import Results
from .latency_lines import draw_lines


def draw(results: Results) -> Picture:
    profile = results.profile
    if profile is None:
        raise NotDrawn("needs a profile of gem-profile")
    sentence = (
        f"A tile is {profile.tile_tokens} rows that the kernel computes whole, filled or not. Where a curve is flat, "
        "reading the experts' weights takes longer than computing; where curves run apart, devices differ in "
        "computing speed."
    )
    return draw_lines(
        results,
        "Latency over tiles",
        Axis("tiles", log=True),
        profile.tiles,
        "active experts",
        profile.active_experts,
        sentence,
    )
