"""Makes profiles, traces, mappings and routing from arrays, and writes them as GEM's programs read them."""

from __future__ import annotations

import datetime
import os
import shlex
import sys
from collections.abc import Sequence

import h5py
import numpy as np
from numpy.typing import ArrayLike

from . import files
from .errors import SystemFailure, UsageError
from .format_fields import FIELDS
from .whole_file import temporary_name

Noun = files.Noun
Datasets = dict[str, tuple[np.ndarray | list[str], str]]  # values and units
Contents = tuple[str, dict[str, object], Datasets]  # format, attributes, datasets


def read(path: str | os.PathLike[str]) -> Noun:
    """The file of any of GEM's formats as a Profile, Trace, Mapping, Report, Routing or Adaptation. DataError for anything
    else."""
    noun = files.read_file(path)
    assert noun is not None, "all kinds were asked for"
    return noun


def _header(model: str, seed: int = 0) -> files.Header:
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    command = shlex.join([os.path.basename(sys.argv[0] or "python"), *sys.argv[1:]])
    return files.Header("", now, "gem_analysis", command, model, seed)


def _expect(good: bool, sentence: str) -> None:
    if not good:
        raise UsageError(sentence)


def make_profile(
    latency_s: ArrayLike,
    tiles: ArrayLike,
    active_experts: ArrayLike,
    *,
    tile_tokens: int,
    model: str,
    hidden_size: int,
    intermediate_size: int,
    tokens: ArrayLike | None = None,
    device_kind: str = "cuda",
    weight_dtype: str = "bf16",
    names: Sequence[str] | None = None,
    hostnames: Sequence[str] | None = None,
    uuids: Sequence[str] | None = None,
    slowdowns: ArrayLike | None = None,
) -> files.Profile:
    """A profile of latencies that you measured: `latency_s` [device, point] seconds, or [device, point, sample], of which
    medians are taken; `tiles` and `active_experts` [point] say the load; `hidden_size` and
    `intermediate_size` are an expert's. `slowdowns` [device] are emulated; 1 is a device
    as it is. It knows nothing of skew: experts' tiles count alike however they are spread."""
    latency = np.asarray(latency_s, float)
    _expect(latency.ndim in (2, 3), "latency_s: must be [device, point] or [device, point, sample]")
    samples = latency if latency.ndim == 3 else np.empty((*latency.shape, 0))
    median = np.nanmedian(latency, axis=2) if latency.ndim == 3 else latency
    devices, points = median.shape
    tiles, active_experts = np.asarray(tiles, np.int64), np.asarray(active_experts, np.int64)
    for name, load in (("tiles", tiles), ("active_experts", active_experts)):
        _expect(load.shape == (points,), f"{name}: must have one value for each of {points} points, not {load.shape}")
        _expect(bool((load >= 1).all()), f"{name}: must be 1 or more")
    _expect(bool(np.all(np.isfinite(median) & (median > 0))), "latency_s: must be positive seconds")
    _expect(bool((tiles >= active_experts).all()), "tiles: an active expert has one tile or more")
    unknown = np.full((devices, points), np.nan)
    return files.Profile(
        _header(model),
        device_kind,
        weight_dtype,
        hidden_size,
        intermediate_size,
        tile_tokens,
        tiles,
        active_experts,
        tiles * tile_tokens if tokens is None else np.asarray(tokens, np.int64),
        median,
        np.nanquantile(latency, 0.95, axis=2) if latency.ndim == 3 else median,
        samples.astype(np.float32),
        np.ones((devices, points), bool),
        np.full(devices, np.nan),
        {name: unknown.copy() for name in ("sm_clock_hz", "power_w", "temperature_c")},
        np.zeros((devices, points), np.uint64),
        list(names or [device_kind] * devices),
        list(hostnames or [""] * devices),
        list(uuids or [""] * devices),
        np.arange(devices, dtype=np.int32),
        np.ones(devices) if slowdowns is None else np.asarray(slowdowns, float),
        tile_tokens,
        0.0,
        np.empty(0, np.int64),
        np.empty(0),
        "",
        np.empty((0, 0)),
        np.empty((0, 0)),
    )


def make_trace(
    counts: ArrayLike,
    *,
    model: str,
    top_k: int,
    task: str,
    phase: str = "decode",
    part: str = "all",
    layer_ids: ArrayLike | None = None,
    tokens_per_step: int | None = None,
    experts_of_layer: ArrayLike | None = None,
) -> files.Trace:
    """A trace of `counts` [step, layer, expert] tokens. `tokens_per_step`: by default the mean of counts over top_k.
    `experts_of_layer` [layer] where layers have different numbers of experts: counts behind them are 0."""
    counts = np.asarray(counts)
    _expect(counts.ndim == 3 and counts.size > 0, "counts: must be [step, layer, expert]")
    _expect(counts.dtype.kind in "iu" and bool((counts >= 0).all()), "counts: must be whole tokens, 0 or more")
    mean = counts.sum(axis=2).mean() / top_k
    layers = np.arange(counts.shape[1]) if layer_ids is None else np.asarray(layer_ids)
    tokens = max(1, round(float(mean))) if tokens_per_step is None else tokens_per_step
    own = _layer_experts(experts_of_layer, *counts.shape[1:])
    if len(own):
        _expect(
            not counts[:, np.arange(counts.shape[2]) >= own[:, None]].any(), "counts: tokens behind a layer's experts"
        )
    trace = files.Trace(
        _header(model), task, phase, part, top_k, tokens, layers.astype(np.int32), counts.astype(np.uint32)
    )
    trace.experts_of_layer = own
    return trace


def _layer_experts(own: ArrayLike | None, layer_count: int, expert_count: int) -> np.ndarray:
    """Nothing where all layers have as many experts."""
    counts = np.full(layer_count, expert_count) if own is None else np.asarray(own, np.int64)
    fits = counts.shape == (layer_count,) and bool((counts >= 1).all()) and counts.max() == expert_count
    _expect(fits, f"experts_of_layer: must be {layer_count} numbers from 1 on, and {expert_count} the greatest")
    return counts if bool((counts < expert_count).any()) else np.zeros(0, np.int64)


def make_mapping(
    expert_to_device: ArrayLike,
    device_count: int,
    *,
    model: str,
    method: str,
    layer_ids: ArrayLike | None = None,
    train_steps: int = 0,
    train_task: str = "",
    train_part: str = "all",
) -> files.Mapping:
    """A mapping without copies: `expert_to_device` [layer, expert]; all devices hold as many experts, and the first one
    more each where they don't divide. Where layers have different numbers of experts, -1 is behind a layer's own."""
    homes = np.asarray(expert_to_device, np.int32)
    _expect(homes.ndim == 2, "expert_to_device: must be [layer, expert]")
    layer_count, expert_count = homes.shape
    own = _layer_experts((homes != -1).sum(axis=1), layer_count, expert_count)
    slots = np.full((layer_count, device_count, -(-expert_count // device_count) if device_count else 0), -1)
    for layer, row in enumerate(homes):
        count = int((row != -1).sum())
        _expect(0 < device_count <= count, f"{count} experts cannot be on {device_count} devices")
        wanted = count // device_count + (np.arange(device_count) < count % device_count)
        fits = bool((row[:count] >= 0).all()) and np.array_equal(np.bincount(row[:count]), wanted)
        _expect(
            fits,
            f"expert_to_device: each of devices 0 to {device_count - 1} must hold {wanted[-1]} experts of every layer"
            + (f", the first {count % device_count} one more" if wanted[0] > wanted[-1] else ""),
        )
        filled = np.arange(slots.shape[2]) < wanted[:, None]
        slots[layer][filled] = np.argsort(row[:count], kind="stable")
    layers = np.arange(layer_count) if layer_ids is None else np.asarray(layer_ids)
    unknown = np.full(layer_count, np.nan)
    return files.Mapping(
        _header(model),
        method,
        train_steps,
        train_task,
        train_part,
        layers.astype(np.int32),
        homes,
        slots.astype(np.int32),
        unknown,
        unknown.copy(),
        method,
        {},
        experts_of_layer=own,
    )


def make_routing(
    topk_ids: ArrayLike,
    request_offsets: ArrayLike,
    *,
    model: str,
    task: str,
    num_experts: int,
    phase: str = "decode",
    layer_ids: ArrayLike | None = None,
) -> files.Routing:
    """Token-level routing: `topk_ids` [token, layer, k]; `request_offsets` [request + 1], where each request begins."""
    ids, offsets = np.asarray(topk_ids), np.asarray(request_offsets, np.int64)
    _expect(ids.ndim == 3 and ids.size > 0, "topk_ids: must be [token, layer, k]")
    _expect(bool((ids >= 0).all() and (ids < num_experts).all()), f"topk_ids: must be experts, 0 to {num_experts - 1}")
    ordered = offsets.ndim == 1 and len(offsets) > 1 and offsets[0] == 0 and bool((np.diff(offsets) > 0).all())
    _expect(ordered and offsets[-1] == len(ids), f"request_offsets: must rise from 0 to the {len(ids)} tokens")
    layers = np.arange(ids.shape[1]) if layer_ids is None else np.asarray(layer_ids)
    return files.Routing(
        _header(model),
        task,
        phase,
        num_experts,
        ids.shape[2],
        layers.astype(np.int32),
        offsets,
        ids.astype(np.uint8 if num_experts <= 256 else np.uint16),
    )


def write(path: str | os.PathLike[str], noun: Noun) -> None:
    """Writes a Profile, Trace, Mapping or Routing under a temporary name, renamed when whole. UsageError for a Report,
    which only gem-verify measures, and for a Profile of a kernel with several tiles, which only gem-profile does."""
    format_name, attributes, datasets = _contents_of(noun)
    header = noun.header
    attributes = {
        "format": format_name,
        "format_version": "1.1",
        "created": header.created,
        "software_version": header.software_version,
        "command_line": header.command_line,
        "model": header.model,
        "seed": np.uint64(header.seed),
        **{name: np.uint64(value) if isinstance(value, int) else value for name, value in attributes.items()},
    }
    target = os.fspath(path)
    try:
        with temporary_name(target, locked=False) as temporary, h5py.File(temporary, "w") as file:
            for name, value in attributes.items():
                file.attrs[name] = str(value) if isinstance(value, str) else value  # numpy has strings of its own
            for name, (values, units) in datasets.items():
                texts = isinstance(values, list)
                file.create_dataset(name, data=[text.encode() for text in values] if texts else values)
                file[name].attrs["units"] = units
    except OSError as error:
        raise SystemFailure(f"cannot write {target}: {error.strerror or error}; choose another path") from None


def _profile_contents(profile: files.Profile) -> Contents:
    _expect(
        not len(profile.regime_tiles),
        "a profile of a kernel with several tiles cannot be written, since only its main tile was read; copy the file",
    )
    attributes: dict[str, object] = {
        name: getattr(profile, name)
        for name in ("device_kind", "weight_dtype", "hidden_size", "intermediate_size", "tile_tokens", "last_tile_rows")
    }
    attributes["experts_per_device"] = int(profile.active_experts.max())
    datasets: Datasets = {
        "points/tiles": (profile.tiles, "tile"),
        "points/active_experts": (profile.active_experts, "expert"),
        "points/tokens": (profile.tokens, "token"),
        "latency/median": (profile.median_s, "s"),
        "latency/p95": (profile.p95_s, "s"),
        "latency/settled": (profile.settled.astype(np.uint8), "1"),
        "latency/drift": (profile.drift, "1"),
        "telemetry/sm_clock_hz": (profile.telemetry["sm_clock_hz"], "Hz"),
        "telemetry/power_w": (profile.telemetry["power_w"], "W"),
        "telemetry/temperature_c": (profile.telemetry["temperature_c"], "degC"),
        "telemetry/throttle_reasons": (profile.throttle_reasons, "1"),
        "devices/name": (profile.names, "1"),
        "devices/hostname": (profile.hostnames, "1"),
        "devices/uuid": (profile.uuids, "1"),
        "devices/rank": (np.asarray(profile.ranks, np.int32), "1"),
        "devices/emulated_slowdown": (np.asarray(profile.slowdowns, float), "1"),
        "rule/row": (np.array([profile.row_s]), "s"),
    }
    if profile.samples_s.shape[2]:
        datasets["latency/samples"] = (profile.samples_s, "s")
    if len(profile.bend_tiles):
        datasets["rule/bend_tiles"] = (profile.bend_tiles, "tile")
        datasets["rule/surplus_tile"] = (profile.surplus_tile_s, "s")
    if profile.exchange_s.size:
        attributes["exchange_transport"] = profile.exchange_transport
        datasets["exchange/latency"] = (profile.exchange_s, "s")
        datasets["exchange/bandwidth"] = (profile.exchange_bytes_per_s, "byte/s")
    if profile.exchange_law:
        datasets["exchange/law/tokens"] = (profile.exchange_law["tokens"], "token")
        datasets["exchange/law/explained"] = (profile.exchange_law["explained"], "1")
        for name in ("mean", "fixed", "row"):
            datasets[f"exchange/law/{name}"] = (profile.exchange_law[f"{name}_s"], "s")
    if profile.pace:
        attributes["pace"] = profile.pace
    if profile.serving_clock_hz.size:
        datasets["telemetry/serving_clock_hz"] = (profile.serving_clock_hz, "Hz")
    if profile.shared_tokens.size:
        datasets["shared_experts/tokens"] = (profile.shared_tokens, "token")
        datasets["shared_experts/median"] = (profile.shared_s, "s")
    if profile.nodes.size:
        attributes["topology_source"] = profile.topology_source
        datasets["topology/node"] = (profile.nodes.astype(np.int32), "1")
    if profile.link_bytes_per_s.size:
        datasets["topology/latency"] = (profile.link_latency_s, "s")
        datasets["topology/bandwidth"] = (profile.link_bytes_per_s, "byte/s")
    return "gem.profile", attributes, datasets


def _trace_contents(trace: files.Trace) -> Contents:
    attributes: dict[str, object] = {
        name: getattr(trace, name) for name in ("task", "phase", "part", "sequence", "top_k", "tokens_per_step")
    }
    datasets: Datasets = {
        "counts": (np.asarray(trace.counts, np.uint32), "token"),
        "layer_ids": (np.asarray(trace.layer_ids, np.int32), "1"),
    }
    if len(trace.request_groups):
        datasets["request_groups"] = (np.asarray(trace.request_groups, np.int32), "1")
    return "gem.trace", attributes, datasets | _layer_experts_of(trace)


def _layer_experts_of(noun: files.Trace | files.Mapping | files.Routing) -> Datasets:
    own = noun.experts_of_layer
    return {"experts_of_layer": (np.asarray(own, np.int32), "1")} if len(own) else {}


def _mapping_contents(mapping: files.Mapping) -> Contents:
    attributes: dict[str, object] = {
        name: getattr(mapping, name) for name in ("method", "train_steps", "train_task", "train_part")
    }
    attributes |= {name: value for name, value in mapping.others.items() if not name.startswith("/")}
    units = {name: unit for name, _, unit, _ in FIELDS["gem.mapping"]}
    datasets: Datasets = {
        "expert_to_device": (np.asarray(mapping.expert_to_device, np.int32), "1"),
        "slots": (np.asarray(mapping.slots, np.int32), "1"),
        "layer_ids": (np.asarray(mapping.layer_ids, np.int32), "1"),
        "score/predicted_s": (mapping.predicted_s, "s"),
        "score/lower_bound_s": (mapping.lower_bound_s, "s"),
        **{
            name[1:]: (value, units[name])
            for name, value in mapping.others.items()
            if isinstance(value, (np.ndarray, list))
        },
        **{f"search/{name}": (value, units[f"/search/{name}"]) for name, value in mapping.course.items()},
    }
    return "gem.mapping", attributes, datasets | _layer_experts_of(mapping)


def _routing_contents(routing: files.Routing) -> Contents:
    attributes: dict[str, object] = {name: getattr(routing, name) for name in ("task", "phase", "num_experts", "top_k")}
    datasets: Datasets = {
        "topk_ids": (routing.topk_ids, "1"),
        "request_offsets": (routing.request_offsets, "token"),
        "layer_ids": (np.asarray(routing.layer_ids, np.int32), "1"),
    }
    return "gem.routing", attributes, datasets | _layer_experts_of(routing)


def _contents_of(noun: Noun) -> Contents:
    if isinstance(noun, files.Profile):
        return _profile_contents(noun)
    if isinstance(noun, files.Trace):
        return _trace_contents(noun)
    if isinstance(noun, files.Mapping):
        return _mapping_contents(noun)
    if isinstance(noun, files.Routing):
        return _routing_contents(noun)
    raise UsageError(f"a {type(noun).__name__} cannot be written; profiles, traces, mappings and routing can")
