"""How unequal the devices of a profile are by themselves, and whether a second profile of them says the same."""

import json
import math

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats
from .errors import DataError, SystemFailure
from .files import read_file
from .latency import relative_speeds
from .nouns import Profile
from .programs import run
from .tables import Table
from .terminal import said, shown


def rank_correlation(first: ArrayLike, second: ArrayLike) -> float:
    """Spearman's: 1 for the same order, -1 for the reverse; equal values share their mean rank. NaN where all are equal,
    or for fewer than two."""

    def ranks(values: ArrayLike) -> Floats:
        known = np.asarray(values)
        return np.array([np.sum(known < value) + (np.sum(known == value) - 1) / 2 for value in known])

    ranks_first, ranks_second = ranks(first), ranks(second)
    if len(ranks_first) < 2 or ranks_first.std() == 0 or ranks_second.std() == 0:
        return math.nan
    return float(np.corrcoef(ranks_first, ranks_second)[0, 1])


def point_spreads(profile: Profile) -> Floats:
    """[point] time of the slowest device over that of the fastest, less 1."""
    return np.asarray(profile.median_s.max(axis=0) / profile.median_s.min(axis=0) - 1.0)


def point_correlations(first: Profile, second: Profile) -> Floats:
    """[point] rank correlation of the devices' latencies in two profiles."""
    return np.array([rank_correlation(a, b) for a, b in zip(first.median_s.T, second.median_s.T)])


def read_pair(first_path: str, second_path: str) -> tuple[Profile, Profile]:
    """Two profiles of the same devices and points. DataError if they aren't."""
    first, second = _read_profiles(first_path, second_path)
    same = first.header.model == second.header.model and first.median_s.shape == second.median_s.shape
    same = same and np.array_equal(first.tiles, second.tiles)
    if not (same and np.array_equal(first.active_experts, second.active_experts)):
        raise DataError(
            f"{second_path}: has another model, other devices or points than {first_path}; repeat the sweep"
        )
    if first.uuids != second.uuids:
        raise DataError(
            f"{second_path}: was measured on other devices, or in another order, than {first_path}; measure both on the same"
        )
    return first, second


def _read_profiles(*paths: str) -> list[Profile]:
    profiles = [(path, read_file(path, kinds=("gem.profile",))) for path in paths]
    for path, profile in profiles:
        if profile is None:
            raise DataError(f"{path}: is not a profile; give two that gem-profile wrote")
    return [profile for _, profile in profiles if isinstance(profile, Profile)]


def device_table(first: Profile, second: Profile) -> Table:
    """A row a device: its speed at heavy loads in both, clock, power and temperature at these in the first."""
    heavy = 2 * first.tiles >= first.tiles.max()

    def at_heavy(name: str, scale: float, digits: int) -> list[str]:
        with np.errstate(all="ignore"):
            values = [np.nan if np.isnan(row).all() else np.nanmedian(row) for row in first.telemetry[name][:, heavy]]
        return ["-" if np.isnan(value) else f"{value * scale:.{digits}f}" for value in values]

    cells = [
        [str(device) for device in range(first.device_count)],
        first.names,
        [f"{speed:.3f}" for speed in relative_speeds(first)],
        [f"{speed:.3f}" for speed in relative_speeds(second)],
        at_heavy("sm_clock_hz", 1e-9, 2),
        at_heavy("power_w", 1.0, 0),
        at_heavy("temperature_c", 1.0, 0),
    ]
    columns = [
        ("device", ""),
        ("name", ""),
        ("speed", ""),
        ("again", ""),
        ("clock", "GHz"),
        ("power", "W"),
        ("heat", "°C"),
    ]
    return Table("Spread", columns, [list(row) for row in zip(*cells)], leave_out=("heat", "power"))


def spread_lines(first: Profile, second: Profile) -> list[str]:
    """The spread of both, how well they agree, and what of it is noise."""
    speeds = [relative_speeds(profile) for profile in (first, second)]
    spreads = [100 * (1 / speed.min() - 1) for speed in speeds]
    points = 100 * point_spreads(first)
    moved = 100 * np.abs(second.median_s / first.median_s - 1)
    lines = [
        f"Spread at heavy loads: the slowest takes {spreads[0]:.1f} % longer than the fastest, again {spreads[1]:.1f} %.",
        f"Point by point: {np.median(points):.1f} % in the median ({points.min():.1f} to {points.max():.1f}).",
        f"From the first profile to the second a device's latency moved by {np.median(moved):.1f} % in the median, "
        f"{np.quantile(moved, 0.9):.1f} % at p90.",
    ]
    if first.device_count == 2:
        return [*lines, pair_line(first, second)]
    overall = rank_correlation(*speeds)
    each = point_correlations(first, second)
    if not np.isnan(overall) and not np.isnan(each).all():
        lines.append(
            f"Rank correlation of the devices between the two: {overall:.2f} at heavy loads, {np.nanmedian(each):.2f} in "
            "the median of the points."
        )
    return lines


def pair_line(first: Profile, second: Profile) -> str:
    """Of two devices, whose rank correlation is 1 or -1 by chance: which one is slower how often, and by how much."""
    ratios = [profile.median_s[1] / profile.median_s[0] for profile in (first, second)]
    heavy = 2 * first.tiles >= first.tiles.max()
    at_heavy = [100 * (np.exp(np.log(ratio[heavy]).mean()) - 1) for ratio in ratios]
    slower = [100 * np.mean(ratio > 1) for ratio in ratios]
    moved = 100 * np.median(np.abs(ratios[1] / ratios[0] - 1))
    return (
        f"Device 1 takes {at_heavy[0]:+.2f} % against device 0 at heavy loads, again {at_heavy[1]:+.2f} %; it is the slower "
        f"one at {slower[0]:.0f} % of the points, again {slower[1]:.0f} %. From the first profile to the second the ratio "
        f"of the two moved by {moved:.2f} % in the median: a spread below that is noise."
    )


def verdict_text(*paths: str) -> str:
    """What gem-profile --compare says of the profiles: told apart or not, repeatable or not, worth how much."""
    try:
        return run("gem-profile", compare=",".join(map(str, paths))).output.strip()
    except SystemFailure as error:
        return f"No verdict: {error}"


def spread_text(first_path: str, second_path: str | None = None) -> str:
    """What `gem-analysis spread` prints of one profile, or of two of the same sweep."""
    if second_path is None:
        return verdict_text(first_path)
    first, second = read_pair(first_path, second_path)
    lines = map(said, spread_lines(first, second))
    table = [f"{first.header.model}:", "", shown(device_table(first, second)), "", *lines]
    return "\n".join([*table, "", verdict_text(first_path, second_path)])


def spread_record(first_path: str, second_path: str | None = None) -> dict[str, object]:
    """The same for JSON: what gem-profile --compare --json says, and of two profiles the devices' speeds in both."""
    profiles = [first_path] if second_path is None else [first_path, second_path]
    record: dict[str, object] = json.loads(run("gem-profile", compare=",".join(map(str, profiles)), json=True).output)
    del record["program"], record["version"]  # who asked says its own
    if second_path is not None:
        first, second = read_pair(first_path, second_path)
        speeds = [[float(speed) for speed in relative_speeds(profile)] for profile in (first, second)]
        record["speeds"] = speeds
        correlation = rank_correlation(*speeds)
        record["rank_correlation"] = None if np.isnan(correlation) else correlation
    return record
