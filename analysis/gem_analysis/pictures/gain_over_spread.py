"""What unequal devices can bring at most, over their spread, and where the runs at hand are."""

import numpy as np

from ..arrays import Floats
from ..errors import NotDrawn
from ..latency import most_from_speeds, relative_speeds
from ..nouns import Report
from ..picture import Axis, Guide, Lines, Picture, Series, only, percent
from ..results import Results

POINTS = 41


def even_speeds(spread: float, devices: int) -> Floats:
    """Relative speeds of devices whose times are evenly spaced from the fastest to `spread` times as long."""
    return 1.0 / np.linspace(1.0, spread, devices)


def draw(results: Results) -> Picture:
    runs = [pair for pair in results.batch if not pair.failure and np.isfinite(pair.spread) and np.isfinite(pair.ratio)]
    report, profile = results.report, results.profile
    speeds: Floats = np.empty(0)
    if profile is not None:
        speeds = relative_speeds(profile)
    elif report is not None:
        speeds = report.device_speeds
    here = float(np.max(speeds) / np.min(speeds)) if len(speeds) > 1 else np.nan
    devices = len(speeds) if len(speeds) > 1 else max((pair.devices for pair in runs), default=0)
    if devices < 2 or (np.isnan(here) and not runs):
        raise NotDrawn("needs a profile of two devices or more, or runs whose reports hold the devices' speeds")
    widest = max([1.3, here if np.isfinite(here) else 1.0, *(pair.spread for pair in runs)])
    spreads = np.linspace(1.0, 1.02 * widest, POINTS)
    most = [100 * (most_from_speeds(even_speeds(spread, devices)) - 1) for spread in spreads]
    series = [Series("at most from speeds alone", "bound", 100 * (spreads - 1), np.array(most), "line")]
    if report is not None and np.isfinite(here):
        series.append(_own(report, here))
    for name, role, chosen in (
        ("runs, measured", "gem", [pair for pair in runs if pair.is_measured]),
        ("runs, predicted", "predicted", [pair for pair in runs if not pair.is_measured]),
    ):
        if chosen:
            series.append(
                Series(
                    name,
                    role,
                    100 * (np.array([pair.spread for pair in chosen]) - 1),
                    100 * (np.array([pair.ratio for pair in chosen]) - 1),
                    "dots",
                    notes=[f"{pair.workload}: {percent(pair.ratio)}, speeds {pair.speeds}" for pair in chosen],
                )
            )
    guides = [Guide("as linear", y=0.0)]
    if np.isfinite(here):
        guides.append(Guide("you are here", x=100 * (here - 1)))
        bound = most_from_speeds(np.asarray(speeds))
        sentence = (
            f"These devices spread by {100 * (here - 1):.1f} %. If every device had the same load now, giving each load in "
            f"step with its speed would change the slowest devices' time by {percent(bound)} at most."
        )
    else:
        sentence = "What giving each device load in step with its speed brings at most, and what the runs came to."
    sentence += " What mappings bring beyond that comes from balancing uneven experts, which needs no unequal devices."
    note = results.device_note()
    return Picture(
        "Gain over the devices' spread",
        sentence,
        Axis("spread, slowest over fastest", "%"),
        Axis("time against linear", "%"),
        only(Lines(series, guides)),
        notes=[
            f"The curve: {devices} devices evenly spaced in time, loads that can be cut anywhere, equal before."
            + (f" {note}" if note else "")
        ],
    )


def _own(report: Report, here: float) -> Series:
    """The judged mapping of this run."""
    m = report.judged_index
    ratio, low, high = (report.summary[f"relative{end}"][m] for end in ("", "_low", "_high"))
    at, least, most = (np.array([100 * (value - 1)]) for value in (ratio, low, high))
    note = f"{report.names[m]}, measured: {percent(ratio)} ({percent(low)} to {percent(high)})"
    return Series(
        f"{report.names[m]}, measured", "gem", np.array([100 * (here - 1)]), at, "dots", least, most, notes=[note]
    )
