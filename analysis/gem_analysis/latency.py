"""Predicted times: the latency surface as gem-map and gem-verify use it (src/model/latency_surface.hpp)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Array, Bools, Floats, Integers
from .nouns import Mapping, Profile, Trace


class Surface:
    """Latency of one device over (tiles, active experts), spread evenly: linear along tiles at each measured number of
    active experts, then linear between the two neighbouring numbers; outside of the points as there."""

    def __init__(self, tiles: Array, active_experts: Array, latency_s: Array) -> None:
        self._levels = np.unique(active_experts)
        self._curves = []
        for level in self._levels:
            chosen = np.flatnonzero(active_experts == level)
            at, first = np.unique(tiles[chosen], return_index=True)
            self._curves.append((at.astype(float), latency_s[chosen][first]))

    def seconds(self, tiles: ArrayLike, active_experts: ArrayLike) -> Floats:
        """Seconds for arrays of loads of one shape."""
        tiles_there = np.asarray(tiles, float)
        active_there = np.asarray(active_experts, float)
        along = np.stack([_interpolate(*curve, tiles_there) for curve in self._curves])
        if len(self._levels) == 1:
            result = along[0]
        else:
            right = np.clip(np.searchsorted(self._levels, active_there, side="right"), 1, len(self._levels) - 1)
            left = right - 1
            weight = (active_there - self._levels[left]) / (self._levels[right] - self._levels[left])
            at_left = np.take_along_axis(along, left[None], 0)[0]
            at_right = np.take_along_axis(along, right[None], 0)[0]
            result = at_left + weight * (at_right - at_left)
        return np.where(tiles_there > 0, np.maximum(result, 0.0), 0.0)


def _interpolate(x: Floats, y: Floats, at: Floats) -> Floats:
    if len(x) == 1:
        return np.full(at.shape, y[0])
    right = np.clip(np.searchsorted(x, at, side="right"), 1, len(x) - 1)
    left = right - 1
    inside = y[left] + (y[right] - y[left]) * (at - x[left]) / (x[right] - x[left])
    far = max(0, np.searchsorted(x[:-1], 0.75 * x[-1], side="right") - 1)
    slope = max(0.0, (y[-1] - y[far]) / (x[-1] - x[far]))
    return np.where(at > x[-1], y[-1] + slope * (at - x[-1]), inside)


@dataclass
class LoadRule:
    """What experts add beside, seconds (src/model/load_rule.hpp)."""

    tile_tokens: int
    last_tile_rows: int
    row_s: float
    bend_tiles: Integers  # [bend]
    surplus_tile_s: Floats  # [bend]

    def extra_s(self, tokens: Array) -> Floats:
        """Of experts with so many tokens each."""
        rows = (tokens - 1) % self.tile_tokens + 1 - self.last_tile_rows
        return np.where(tokens > 0, self.even_surplus_s(-(-tokens // self.tile_tokens), 1) + self.row_s * rows, 0.0)

    def even_surplus_s(self, tiles: Array, active_experts: Array | int) -> Floats:
        """What tiles beyond the bends cost where they are spread evenly; surfaces have it in them."""
        costs = zip(self.bend_tiles, self.surplus_tile_s)
        none = np.zeros(np.shape(tiles))
        return sum((cost_s * np.maximum(0, tiles - bend * active_experts) for bend, cost_s in costs), start=none)


def load_rule_of(profile: Profile) -> LoadRule:
    return LoadRule(
        max(1, profile.tile_tokens),
        profile.last_tile_rows,
        profile.row_s,
        profile.bend_tiles,
        profile.surplus_tile_s,
    )


def regime_notes(profile: Profile) -> list[str]:
    """A sentence about what isn't shown of a profile whose kernel has several tiles; none for one tile."""
    if not len(profile.regime_tiles):
        return []
    tiles = ", ".join(str(tile) for tile in profile.regime_tiles)
    return [
        f"The kernel changes its tile with the rows of a device ({tiles}); shown is the tile of {profile.tile_tokens} "
        "alone, which most loads meet."
    ]


def surfaces_of(profile: Profile, equal_devices: bool = False) -> list[Surface]:
    """One surface a device; with `equal_devices` each has the mean latency."""
    latency_s = profile.median_s
    if equal_devices:
        latency_s = np.broadcast_to(latency_s.mean(axis=0), latency_s.shape)
    return [Surface(profile.tiles, profile.active_experts, row) for row in latency_s]


class Homes:
    """Where each expert's copies are: `copy` [layer, expert, device], the number of the copy there or -1."""

    def __init__(self, expert_to_device: Array, held: Bools | None = None) -> None:
        """Of first homes [layer, expert] and, where experts have several, who holds them [layer, expert, device]."""
        devices = expert_to_device.max() + 1 if held is None else held.shape[2]
        home = expert_to_device[..., None] == np.arange(devices)
        further = np.zeros_like(home) if held is None else held & ~home
        self.copy = np.where(home, 0, np.where(further, np.cumsum(further, axis=2), -1))
        self.copies = (self.copy >= 0).sum(axis=2)  # [layer, expert]

    def experts_of(self, layer: int, device: int) -> Integers:
        return np.flatnonzero(self.copy[layer, :, device] >= 0)

    def tokens_on(self, layer: int, device: int, counts: Array) -> Integers:
        """[step, expert] tokens that the device computes, of counts [step, expert]: copies share evenly, the first get the
        rest."""
        copy, copies = self.copy[layer, :, device], np.maximum(self.copies[layer], 1)
        return np.where(copy >= 0, counts // copies + (copy < counts % copies), 0)


def linear_homes(layer_count: int, expert_count: int, device_count: int, experts: Array | None = None) -> Homes:
    """Linear placement: the first experts on the first device, and so on; where they don't divide, one more each on the
    first devices. `experts` [layer], where layers have different numbers of them."""
    homes = np.full((layer_count, expert_count), -1)
    for layer in range(layer_count):
        own = expert_count if experts is None else int(experts[layer])
        held = own // device_count + (np.arange(device_count) < own % device_count)
        homes[layer, :own] = np.repeat(np.arange(device_count), held)
    return Homes(homes)


def homes_for(mapping: Mapping, trace: Trace) -> Homes | None:
    """Homes for each layer of the trace; None where the mapping does not fit it."""
    rows = {layer_id: row for row, layer_id in enumerate(mapping.layer_ids)}
    experts = trace.counts.shape[2]
    if mapping.expert_to_device.shape[1] != experts or any(i not in rows for i in trace.layer_ids):
        return None
    layers = [rows[layer_id] for layer_id in trace.layer_ids]
    if not np.array_equal((mapping.expert_to_device[layers] >= 0).sum(axis=1), trace.experts):
        return None
    held = np.any(mapping.slots[layers][:, None] == np.arange(experts)[None, :, None, None], axis=3)
    return Homes(mapping.expert_to_device[layers], held)


def predict(counts: Array, homes: Homes, surfaces: list[Surface], profile: Profile) -> Floats:
    """[step, layer, device] predicted seconds for counts [step, layer, expert]; of a kernel with one tile."""
    steps, layers, _ = counts.shape
    rule = load_rule_of(profile)
    predicted_s = np.empty((steps, layers, len(surfaces)))
    for layer in range(layers):
        for device, surface in enumerate(surfaces):
            tokens = homes.tokens_on(layer, device, counts[:, layer])
            tiles, active = (-(-tokens // rule.tile_tokens)).sum(axis=1), (tokens > 0).sum(axis=1)
            extra_s = rule.extra_s(tokens).sum(axis=1) - rule.even_surplus_s(tiles, active)
            predicted_s[:, layer, device] = np.maximum(0.0, surface.seconds(tiles, active) + extra_s)
    return predicted_s


def relative_speeds(profile: Profile) -> Floats:
    """[device] 1 for the fastest: geometric mean over the points with at least half of the most tiles, where a device's
    compute shows and not its memory (src/profile/summary.cpp)."""
    heavy = 2 * profile.tiles >= profile.tiles.max()
    logs = np.log(profile.median_s[:, heavy]).mean(axis=1)
    return np.asarray(np.exp(logs.min() - logs))


def most_from_speeds(speeds: ArrayLike) -> float:
    """The least that the slowest device's time can become, relative to equal loads on all devices, if time is load over
    speed and load can be cut anywhere: each device then gets load in proportion to its speed."""
    known = np.asarray(speeds, float)
    return float(known.min() / known.mean())


def noise(profile: Profile) -> Floats:
    """[device] median over points of the samples' relative median absolute deviation; NaN without samples."""
    if profile.samples_s.shape[2] == 0:
        return np.full(profile.device_count, np.nan)
    centre = profile.median_s[:, :, None]
    with np.errstate(invalid="ignore"):
        deviations = np.nanmedian(np.abs(profile.samples_s - centre) / centre, axis=2)
    return np.nanmedian(deviations, axis=1)


# NVML's clocksThrottleReasons that hold a clock down: software power cap, hardware slowdown, heat, power brake.
HELD_DOWN = 0x4 | 0x8 | 0x20 | 0x40 | 0x80


BY_HEAT = 0x8 | 0x20 | 0x40 | 0x80
BY_POWER = 0x4
CLOCK_DIFFERENCE = 0.03  # clocks come in steps of 15 MHz and waver by a few


def throttle_text(profile: Profile) -> str:
    """What "throttled" means in this profile, a sentence; empty where no point was."""
    points = profile.throttle_reasons.size
    if not throttled(profile).any():
        return ""
    if np.isfinite(profile.serving_clock_hz).any():
        return (
            f"At {int(throttled(profile).sum())} of {points} points the clock was more than {100 * CLOCK_DIFFERENCE:.0f} % "
            f"below that of serving ({np.nanmean(profile.serving_clock_hz) * 1e-9:.2f} GHz in the mean)."
        )
    by_heat, by_power = (
        int(np.count_nonzero(profile.throttle_reasons & np.uint64(bits))) for bits in (BY_HEAT, BY_POWER)
    )
    parts = []
    if by_power:
        parts.append(
            f"the power limit held the clock down at {by_power} of {points} points, which is the usual state of a GPU "
            "under full load and will be so when serving"
        )
    if by_heat:
        parts.append(
            f"heat or a hardware limit held it down at {by_heat} of {points} points: look to the cooling, since serving "
            "may run at another clock"
        )
    text = "; ".join(parts)
    return text[0].upper() + text[1:] + "."


def throttled(profile: Profile) -> Bools:
    """[device, point] whether power or heat held the clock down; of a profile at the pace of serving, whether it is below
    that of serving."""
    held_down = np.asarray((profile.throttle_reasons & np.uint64(HELD_DOWN)) != 0)
    if not profile.serving_clock_hz.size:
        return held_down
    clock_hz, serving_hz = profile.telemetry["sm_clock_hz"], profile.serving_clock_hz[:, None]
    known = np.isfinite(clock_hz) & np.isfinite(serving_hz)
    return np.where(known, clock_hz < (1 - CLOCK_DIFFERENCE) * serving_hz, held_down)
