"""gem.profile."""

import numpy as np

from ..hdf5_file import Array, Hdf5File
from ..nouns import Arrays, Profile
from .common import read_header, read_latency, read_loads


def read_profile(file: Hdf5File) -> Profile:
    devices = len(file.numbers("/latency/median", (None, None)))
    tiles = read_loads(file, "/points/tiles", (None,))
    points = len(tiles)
    shape = (devices, points)

    def optional(name: str, fallback: float, shape: tuple[int, ...] = shape) -> Array:
        return file.numbers(name, shape) if file.has(name) else np.full(shape, fallback)

    samples_s = np.empty((*shape, 0), np.float32)
    if file.has("/latency/samples"):
        samples_s = file.times("/latency/samples", (*shape, None), unknown_allowed=True)
    slowdowns = optional("/devices/emulated_slowdown", 1.0, (devices,))
    file.check("/devices/emulated_slowdown", slowdowns, np.isfinite(slowdowns) & (slowdowns > 0.0), "positive factors")
    early_bend = file.count_attribute("bend_tiles", default=0)  # early profiles have at most one
    bend_tiles = np.full(1 if early_bend else 0, early_bend)
    if file.has("/rule/bend_tiles"):
        bend_tiles = read_loads(file, "/rule/bend_tiles", (None,))
    surplus_tile_s = file.times("/rule/surplus_tile", bend_tiles.shape) if len(bend_tiles) else np.empty(0)
    transport, exchange_s, exchange_bytes_per_s = _read_exchange(file, devices)
    topology_source, nodes, link_latency_s, link_bytes_per_s = _read_topology(file, devices)
    shared_tokens, shared_s = _read_shared_experts(file, devices)
    return Profile(
        read_header(file),
        file.text_attribute("device_kind", "unknown"),
        file.text_attribute("weight_dtype", ""),
        file.count_attribute("hidden_size", default=0),
        file.count_attribute("intermediate_size", default=0),
        file.count_attribute("tile_tokens", 1),
        tiles,
        read_loads(file, "/points/active_experts", (points,)),
        read_loads(file, "/points/tokens", (points,)),
        read_latency(file, "/latency/median", shape),
        read_latency(file, "/latency/p95", shape),
        samples_s,
        optional("/latency/settled", 1) != 0,
        optional("/latency/drift", np.nan, (devices,)),
        {
            name: optional(f"/telemetry/{name}", np.nan).astype(float)
            for name in ("sm_clock_hz", "power_w", "temperature_c")
        },
        optional("/telemetry/throttle_reasons", 0).astype(np.uint64),
        file.texts("/devices/name", devices),
        file.texts("/devices/hostname", devices) if file.has("/devices/hostname") else [""] * devices,
        file.texts("/devices/uuid", devices) if file.has("/devices/uuid") else [""] * devices,
        optional("/devices/rank", 0, (devices,)) if file.has("/devices/rank") else np.arange(devices),
        slowdowns,
        file.count_attribute("last_tile_rows", default=0),
        float(optional("/rule/row", 0.0, (1,))[0]),
        bend_tiles,
        surplus_tile_s,
        transport,
        exchange_s,
        exchange_bytes_per_s,
        topology_source,
        nodes,
        link_latency_s,
        link_bytes_per_s,
        read_loads(file, "/regimes/tile_tokens", (None,))
        if file.has("/regimes/tile_tokens")
        else np.empty(0, np.int64),
        exchange_law=_read_exchange_law(file),
        pace=file.text_attribute("pace", ""),
        serving_clock_hz=optional("/telemetry/serving_clock_hz", np.nan, (devices,)).astype(float)
        if file.has("/telemetry/serving_clock_hz")
        else np.empty(0),
        shared_tokens=shared_tokens,
        shared_s=shared_s,
    )


def _read_exchange(file: Hdf5File, devices: int) -> tuple[str, Array, Array]:
    """Transport, latency and bandwidth."""
    if devices < 2 or not file.has("/exchange/latency"):
        return "", np.empty((0, 0)), np.empty((0, 0))
    latency_s = file.times("/exchange/latency", (devices, devices), unknown_allowed=True)
    bytes_per_s = file.numbers("/exchange/bandwidth", (devices, devices)).astype(float)
    known = bytes_per_s[~np.isnan(bytes_per_s)]
    file.check("/exchange/bandwidth", known, known > 0, "positive bytes per second")
    return file.text_attribute("exchange_transport"), latency_s, bytes_per_s


def _read_shared_experts(file: Hdf5File, devices: int) -> tuple[Array, Array]:
    """Tokens of a device, and what they take."""
    if not file.has("/shared_experts/tokens"):
        return np.empty(0, np.int64), np.empty((0, 0))
    tokens = read_loads(file, "/shared_experts/tokens", (None,))
    file.check("/shared_experts/tokens", tokens[1:], np.diff(tokens) > 0, "ascending tokens")
    return tokens, read_latency(file, "/shared_experts/median", (devices, len(tokens)))


def _read_exchange_law(file: Hdf5File) -> Arrays:
    if not file.has("/exchange/law/tokens"):
        return {}
    tokens = read_loads(file, "/exchange/law/tokens", (None,))
    file.check("/exchange/law/tokens", tokens[1:], np.diff(tokens) > 0, "ascending tokens")
    law = {"tokens": tokens}
    for name in ("mean", "fixed", "row"):
        law[f"{name}_s"] = file.numbers(f"/exchange/law/{name}", tokens.shape).astype(float)
    explained = file.numbers("/exchange/law/explained", tokens.shape).astype(float)
    file.check("/exchange/law/explained", explained, (explained >= 0) & (explained <= 1), "parts, 0 to 1")
    return law | {"explained": explained}


def _read_topology(file: Hdf5File, devices: int) -> tuple[str, Array, Array, Array]:
    """Source, nodes, and latency and bandwidth of the links."""
    if not file.has("/topology/node"):
        return "", np.empty(0, np.int32), np.empty(0), np.empty(0)
    nodes = file.numbers("/topology/node", (devices,))
    file.check("/topology/node", nodes, (nodes >= 0) & (nodes < devices), f"nodes, 0 to {devices - 1}")
    source = file.text_attribute("topology_source")
    if not file.has("/topology/bandwidth"):
        return source, nodes, np.empty(0), np.empty(0)
    latency_s = file.numbers("/topology/latency", (2,)).astype(float)
    bytes_per_s = file.numbers("/topology/bandwidth", (2,)).astype(float)
    file.check("/topology/bandwidth", bytes_per_s, bytes_per_s > 0, "positive bytes per second")
    return source, nodes, latency_s, bytes_per_s
