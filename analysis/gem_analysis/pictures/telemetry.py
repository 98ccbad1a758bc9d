"""Clock, power and temperature of the devices while they were measured."""

import numpy as np

from ..errors import NotDrawn
from ..palette import device_role
from ..picture import Axis, Choice, Frames, Lines, Picture, Series
from ..results import Results
from .latency_lines import hindered, hollow_text, shown_devices

# name in the file: (choice, label, unit, factor)
SENSORS = {
    "sm_clock_hz": ("clock", "clock of the multiprocessors", "MHz", 1e-6),
    "power_w": ("power", "power", "W", 1.0),
    "temperature_c": ("temperature", "temperature", "°C", 1.0),
}


def draw(results: Results) -> Picture:
    profile = results.profile
    if profile is None:
        raise NotDrawn("needs a profile of gem-profile")
    sensors = [name for name in SENSORS if np.isfinite(profile.telemetry[name]).any()]
    if not sensors:
        raise NotDrawn(f"{profile.device_kind} devices have no clock, power and temperature that can be read")
    devices, held_down = shown_devices(profile), hindered(profile)
    frames: Frames = {}
    extremes = []
    for index, name in enumerate(sensors):
        short, label, unit, factor = SENSORS[name]
        values = profile.telemetry[name] * factor
        series = [
            Series(
                f"device {d}",
                device_role(position),
                profile.tiles,
                values[d],
                "dots",
                hollow=held_down[d],
                notes=[f"device {d} at {t} tiles: {v:.5g} {unit}" for t, v in zip(profile.tiles, values[d])],
            )
            for position, d in enumerate(devices)
        ]
        frames[(index,)] = Lines(series)
        extremes.append(f"{label} {np.nanmin(values):.0f} to {np.nanmax(values):.0f} {unit}")
    return Picture(
        "Clock, power and temperature",
        f"While measuring: {', '.join(extremes)}. A device that is slow with a low "
        "clock is held back by power or heat.",
        Axis("tiles", log=True),
        Axis(""),
        frames,
        [Choice("sensor", [f"{SENSORS[name][0]} ({SENSORS[name][2]})" for name in sensors])],
        [hollow_text(profile)] if hollow_text(profile) else [],
    )
