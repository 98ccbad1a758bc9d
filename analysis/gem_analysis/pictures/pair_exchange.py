"""How fast each two devices exchange."""

import numpy as np

from ..arrays import Floats
from ..errors import NotDrawn
from ..picture import Axis, Choice, Heat, Picture, evenly, format_time
from ..results import Results

MOST_DEVICES = 64
MOST_TEXTS = 16  # devices with figures written into the cells


def draw(results: Results) -> Picture:
    profile = results.profile
    if profile is None or np.isnan(profile.exchange_s).all() or np.isnan(profile.exchange_bytes_per_s).all():
        raise NotDrawn("needs a profile of gem-profile --exchange")
    shown = evenly(profile.device_count, MOST_DEVICES)
    grid = np.ix_(shown, shown)
    labels = [str(device) for device in shown]
    rate, latency_us = profile.exchange_bytes_per_s[grid] * 1e-9, profile.exchange_s[grid] * 1e6

    def heat(values: Floats) -> Heat:
        texts = [["" if np.isnan(value) else f"{value:.3g}" for value in row] for row in values]
        few = len(shown) <= MOST_TEXTS
        return Heat(values, "sequential", 0.0, float(np.nanmax(values)), labels, labels, texts if few else None)

    slowest = np.unravel_index(int(np.nanargmin(profile.exchange_bytes_per_s)), profile.exchange_bytes_per_s.shape)
    latest = np.unravel_index(int(np.nanargmax(profile.exchange_s)), profile.exchange_s.shape)
    sentence = (
        f"Each two devices send each other large messages, then short ones ({profile.exchange_transport}, both directions "
        f"at once). The least each way: {profile.exchange_bytes_per_s[slowest] * 1e-9:.3g} GB/s between devices "
        f"{min(slowest)} and {max(slowest)}; the longest: {format_time(profile.exchange_s[latest])} between devices "
        f"{min(latest)} and {max(latest)}."
    )
    notes = [f"{len(shown)} of {profile.device_count} devices."] if len(shown) < profile.device_count else []
    return Picture(
        "Exchange between devices",
        sentence,
        Axis("device"),
        Axis("device"),
        {(0,): heat(rate), (1,): heat(latency_us)},
        [Choice("showing", ["bandwidth (GB/s)", "latency (µs)"])],
        notes,
        value=Axis("each way"),
        height=int(np.clip(30 * len(shown) + 80, 220, 460)),
    )
