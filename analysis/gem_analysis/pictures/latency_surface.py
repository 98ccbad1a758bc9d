"""The latency surface of each device as a heat map over (tiles, active experts)."""

import numpy as np

from ..errors import NotDrawn
from ..latency import regime_notes, relative_speeds, surfaces_of
from ..picture import Axis, Choice, Frames, Heat, Picture, format_time, time_unit
from ..results import Results
from .latency_lines import shown_devices

MOST_COLUMNS = 36


def draw(results: Results) -> Picture:
    profile = results.profile
    if profile is None:
        raise NotDrawn("needs a profile of gem-profile")
    rows = np.unique(profile.active_experts)[::-1]
    columns = np.unique(np.geomspace(profile.tiles.min(), profile.tiles.max(), MOST_COLUMNS).round().astype(int))
    measured = np.zeros((len(rows), len(columns)), np.uint8)
    nearest = np.abs(np.log(profile.tiles[:, None] / columns)).argmin(axis=1)
    measured[np.searchsorted(-rows, -profile.active_experts), nearest] = 1
    tiles, active = np.meshgrid(columns, rows)
    unit_s, unit = time_unit(profile.median_s)
    devices, speeds, surfaces = shown_devices(profile), relative_speeds(profile), surfaces_of(profile)
    low, high = profile.median_s.min() / unit_s, profile.median_s.max() / unit_s
    frames: Frames = {}
    for index, d in enumerate(devices):
        values = np.where(tiles >= active, surfaces[d].seconds(tiles, active) / unit_s, np.nan)
        frames[(index,)] = Heat(
            values, "logarithmic", low, high, [str(r) for r in rows], [str(c) for c in columns], measured=measured
        )
    fastest, slowest = int(speeds.argmax()), int(speeds.argmin())
    sentence = (
        f"From {format_time(profile.median_s.min())} to {format_time(profile.median_s.max())} over the "
        f"{len(profile.tiles)} loads measured (dots); between them the search interpolates, as here."
    )
    if fastest != slowest:
        sentence += f" Compare device {fastest}, the fastest, with device {slowest}, the slowest."
    return Picture(
        "Latency surface",
        sentence,
        Axis("tiles"),
        Axis("active experts"),
        frames,
        [Choice("device", [str(d) for d in devices])],
        [
            "Dots are put into the nearest column. No cells where there would be fewer tiles than active experts.",
            *regime_notes(profile),
        ],
        value=Axis("latency", unit),
        height=max(180, 26 * len(rows) + 80),
    )
