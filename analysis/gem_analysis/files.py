"""The one reader of GEM's file formats (written by src/files/): profile, trace, mapping, report, adaptation.

Each reader checks format, version and all that is indexed with, and raises DataError with one sentence otherwise.
"""

from dataclasses import dataclass, field

import numpy as np

from .format_fields import FIELDS
from .hdf5_file import Hdf5File

Arrays = dict[str, np.ndarray]  # by name


@dataclass
class Header:
    """The root attributes of every file."""

    path: str
    created: str
    software_version: str
    command_line: str
    model: str
    seed: int


@dataclass
class Profile:
    """gem.profile: latency of each device over load."""

    header: Header
    device_kind: str
    weight_dtype: str
    hidden_size: int
    intermediate_size: int
    tile_tokens: int
    tiles: np.ndarray  # [point]
    active_experts: np.ndarray  # [point]
    tokens: np.ndarray  # [point]
    median_s: np.ndarray  # [device, point]
    p95_s: np.ndarray  # [device, point]
    samples_s: np.ndarray  # [device, point, sample], NaN where fewer; no sample: length 0
    settled: np.ndarray  # [device, point], bool
    drift: np.ndarray  # [device], NaN where unknown
    telemetry: Arrays  # name -> [device, point], NaN where unknown
    throttle_reasons: np.ndarray  # [device, point], NVML bits
    names: list[str]  # [device]
    hostnames: list[str]  # [device]
    uuids: list[str]  # [device], empty where unknown
    ranks: np.ndarray  # [device]
    slowdowns: np.ndarray  # [device], 1 for a device as it is
    last_tile_rows: int  # each row of a last tile beyond these costs row_s
    row_s: float
    bend_tiles: np.ndarray  # [bend] each tile of an expert beyond these costs surplus_tile_s
    surplus_tile_s: np.ndarray  # [bend]
    exchange_transport: str  # empty: the exchange wasn't measured
    exchange_s: np.ndarray  # [device, device] latency, NaN for a device with itself; empty
    exchange_bytes_per_s: np.ndarray  # [device, device] each way, likewise
    topology_source: str = ""  # mpi, stated or measured; empty: nodes are unknown
    nodes: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))  # [device]; empty where unknown
    link_latency_s: np.ndarray = field(default_factory=lambda: np.empty(0))  # inside a node, across nodes; or empty
    link_bytes_per_s: np.ndarray = field(default_factory=lambda: np.empty(0))  # into one device, likewise
    # Tile of each regime, ascending by the rows of a device, where the kernel has several; what is above is then of
    # tile_tokens alone, the regime that most loads meet.
    regime_tiles: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    # What dispatch and combine of a layer take, a line over the rows of the device that gets most: tokens (of a step,
    # ascending), mean_s, fixed_s, row_s, explained (0 to 1), each [law]; empty: not measured.
    exchange_law: Arrays = field(default_factory=dict)
    pace: str = ""  # "serving": between samples devices did what they do in a step; else empty
    serving_clock_hz: np.ndarray = field(default_factory=lambda: np.empty(0))  # [device] at that pace; empty without
    # What shared experts take for so many tokens of one device, ascending; empty: not measured.
    shared_tokens: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    shared_s: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))  # [device, shared load]

    @property
    def device_count(self) -> int:
        return self.median_s.shape[0]


@dataclass
class Trace:
    """gem.trace: tokens per expert, step by step."""

    header: Header
    task: str
    phase: str
    part: str
    top_k: int
    tokens_per_step: int
    layer_ids: np.ndarray  # [layer]
    counts: np.ndarray  # [step, layer, expert]
    sequence: str = "consecutive"  # or "resampled": each step of requests drawn anew, for searching alone
    request_groups: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # [step], or none
    experts_of_layer: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # [layer], or none: all alike

    @property
    def label(self) -> str:
        return f"{self.task} ({self.part})"

    @property
    def experts(self) -> np.ndarray:
        """[layer] experts of each layer; behind them along the axis of experts there is none."""
        return self.experts_of_layer if len(self.experts_of_layer) else np.full(*self.counts.shape[1:])


@dataclass
class Mapping:
    """gem.mapping: which device holds which expert."""

    header: Header
    method: str
    train_steps: int
    train_task: str
    train_part: str
    layer_ids: np.ndarray  # [layer]
    expert_to_device: np.ndarray  # [layer, expert], -1 behind a layer's own experts
    slots: np.ndarray  # [layer, device, slot], -1 for none
    predicted_s: np.ndarray  # [layer], NaN where unknown
    lower_bound_s: np.ndarray  # [layer], NaN where unknown
    name: str  # the method, made unique among the mappings shown
    course: (
        Arrays  # of the search: layer (an index), start, elapsed_s, predicted_s, each [point]; empty if there was none
    )
    # By name what else the file has: devices, moves; written back as it is.
    others: dict[str, object] = field(default_factory=dict)
    experts_of_layer: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # [layer], or none: all alike

    @property
    def device_count(self) -> int:
        return self.slots.shape[1]


@dataclass
class Routing:
    """gem.routing: which experts each token used; gem-trace makes traces of it."""

    header: Header
    task: str
    phase: str
    num_experts: int
    top_k: int
    layer_ids: np.ndarray  # [layer]
    request_offsets: np.ndarray  # [request + 1], where each request's tokens begin
    topk_ids: np.ndarray  # [token, layer, k]; 65535 where a token used fewer experts
    experts_of_layer: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # [layer], or none: all alike


@dataclass
class WholeSteps:
    """Of a gem.report: whole decoder steps, attention, shared experts and head included. Arrays are [mapping], the
    force-balanced steps last."""

    names: list
    context: int  # tokens in the cache of each sequence; 0: attention itself was not run
    output_tokens: int  # of a request; 0: not looked at
    moe_layers: int
    dense_layers: int
    rest: str  # where all but the experts comes from: "measured", "simulated" or a file
    exchange_law_s: np.ndarray  # [2], of a layer and of a row where the exchange was not timed; NaN: not counted
    step_s: np.ndarray  # [mapping, step]
    summary: Arrays  # name -> [mapping]: mean_s, relative, ..., and the same of requests as output_mean_s, ...
    shares_s: Arrays  # name -> [mapping], seconds of a mean step: attention, experts, shared, exchange, waiting, tail


@dataclass
class Report:
    """gem.report: what a replay measured."""

    header: Header
    task: str
    part: str
    weight_dtype: str
    device_kind: str
    device_note: str
    device_difference: str  # how a device differs from the profile's; empty if none does
    profile_doubts: str  # what makes the profile doubtful; empty for a good one
    sample_note: str
    tokens_per_step: int
    first_step: int
    rounds: int
    judged: str
    judged_by: str  # "straggler", "layer" or "step": the time that the verdict is about
    layer_ids: np.ndarray  # [layer]
    names: list[str]  # [mapping], the first is what all are compared with
    measured_s: np.ndarray  # [mapping, step, layer, device]
    predicted_s: np.ndarray  # [mapping, step, layer, device]
    dispatch_s: np.ndarray  # [mapping, step, layer, device], NaN where nothing was exchanged
    combine_s: np.ndarray  # [mapping, step, layer, device], NaN likewise
    wrong_values: np.ndarray  # [mapping]
    output_error: np.ndarray  # [mapping], NaN if not checked
    moved_bytes: np.ndarray  # [mapping]
    move_s: np.ndarray  # [mapping], NaN if not measured
    device_speeds: np.ndarray  # [device], fastest 1; empty if unknown
    summary: Arrays = field(default_factory=dict)  # name -> [mapping]; NaN for what older files don't have
    whole_steps: WholeSteps | None = None  # where whole steps were replayed

    @property
    def judged_index(self) -> int:
        """Of the mapping that the verdict is about: as gem-verify said, else gem, else the last."""
        named = [name for name in (self.judged, "gem") if name in self.names[1:]]
        return self.names.index(named[0]) if named else len(self.names) - 1

    @property
    def waiting_share(self) -> np.ndarray:
        """[mapping] of the mean device's time until the slowest one's part ends, as gem-verify prints; of compute alone
        in older reports."""
        compute = 1 - self.measured_s.mean(axis=3).sum(axis=(1, 2)) / self.measured_s.max(axis=3).sum(axis=(1, 2))
        share = self.summary["waiting_share"]
        return np.where(np.isnan(share), compute, share)

    @property
    def straggler_s(self) -> np.ndarray:
        """[mapping, step] sum over layers of the slowest device's time."""
        return self.measured_s.max(axis=3).sum(axis=2)


@dataclass
class Adaptation:
    """gem.adaptation: a run that drifts, under several policies of re-mapping."""

    header: Header
    tasks: str
    device_kind: str
    device_note: str  # what of the devices was emulated; empty for nothing
    moving: str  # "pause" or "during" where weights really moved; empty: moves are priced
    policies: list[str]  # [policy]
    step_s: np.ndarray  # [policy, step], without moves
    pause_s: np.ndarray  # [policy, step], of moves
    moved: np.ndarray  # [policy, step], experts
    slowdown: np.ndarray  # [step, device], what devices really took, relative to their profile
    believed_slowdown: np.ndarray  # [step, device], what triggered gem took them for
    changes: np.ndarray  # [change], steps at which a task or a speed changed

    @property
    def total_s(self) -> np.ndarray:
        """[policy, step] with moves."""
        return self.step_s + self.pause_s


SUMMARY_FIELDS = (
    "straggler_s",
    "predicted_s",
    "relative",
    "relative_low",
    "relative_high",
    "raw_relative",
    "layer_relative",
    "layer_relative_low",
    "layer_relative_high",
    "p50_s",
    "p90_s",
    "p99_s",
    "imbalance",
    "median_error",
)

_TIMES_PER_TOKEN = ("mean_s", "p50_s", "p90_s", "p99_s", "relative", "relative_low", "relative_high")
WHOLE_STEP_FIELDS = (
    *_TIMES_PER_TOKEN,
    *(f"output_{name}" for name in _TIMES_PER_TOKEN),
    "predicted_s",
    "median_error",
    "above_balanced",
)
WHOLE_STEP_SHARES = ("attention", "experts", "shared", "exchange", "waiting", "tail")

UNUSED = 65535  # in topk_ids: a place that a token did not use

NEWER_SUMMARY_FIELDS = ("dispatch_s", "compute_s", "waiting_s", "combine_s", "waiting_share")


def _read_header(file):
    return Header(
        file.path,
        file.text_attribute("created", ""),
        file.text_attribute("software_version", ""),
        file.text_attribute("command_line", ""),
        file.text_attribute("model"),
        file.count_attribute("seed", default=0),
    )


def _read_layer_ids(file, count):
    layer_ids = file.numbers("/layer_ids", (count,))
    file.check("/layer_ids", layer_ids, layer_ids >= 0, "0 or more")
    if len(np.unique(layer_ids)) != count:
        file.reject("/layer_ids holds a layer twice, but each must be there once; make the file again")
    return layer_ids.astype(np.int64)


def _read_loads(file, name, shape):
    loads = file.numbers(name, shape)
    file.check(name, loads, (loads >= 1) & (loads <= 1 << 30), "loads of 1 or more")
    return loads.astype(np.int64)


def _read_latency(file, name, shape):
    latency_s = file.times(name, shape)
    file.check(name, latency_s, latency_s > 0.0, "positive seconds")
    return latency_s.astype(float)


def _read_profile(file):
    devices = len(file.numbers("/latency/median", (None, None)))
    tiles = _read_loads(file, "/points/tiles", (None,))
    points = len(tiles)
    shape = (devices, points)

    def optional(name, fallback, shape=shape):
        return file.numbers(name, shape) if file.has(name) else np.full(shape, fallback)

    samples_s = np.empty((*shape, 0), np.float32)
    if file.has("/latency/samples"):
        samples_s = file.times("/latency/samples", (*shape, None), unknown_allowed=True)
    slowdowns = optional("/devices/emulated_slowdown", 1.0, (devices,))
    file.check("/devices/emulated_slowdown", slowdowns, np.isfinite(slowdowns) & (slowdowns > 0.0), "positive factors")
    early_bend = file.count_attribute("bend_tiles", default=0)  # early profiles have at most one
    bend_tiles = np.full(1 if early_bend else 0, early_bend)
    if file.has("/rule/bend_tiles"):
        bend_tiles = _read_loads(file, "/rule/bend_tiles", (None,))
    surplus_tile_s = file.times("/rule/surplus_tile", bend_tiles.shape) if len(bend_tiles) else np.empty(0)
    return Profile(
        _read_header(file),
        file.text_attribute("device_kind", "unknown"),
        file.text_attribute("weight_dtype", ""),
        file.count_attribute("hidden_size", default=0),
        file.count_attribute("intermediate_size", default=0),
        file.count_attribute("tile_tokens", 1),
        tiles,
        _read_loads(file, "/points/active_experts", (points,)),
        _read_loads(file, "/points/tokens", (points,)),
        _read_latency(file, "/latency/median", shape),
        _read_latency(file, "/latency/p95", shape),
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
        *_read_exchange(file, devices),
        *_read_topology(file, devices),
        _read_loads(file, "/regimes/tile_tokens", (None,))
        if file.has("/regimes/tile_tokens")
        else np.empty(0, np.int64),
        exchange_law=_read_exchange_law(file),
        pace=file.text_attribute("pace", ""),
        serving_clock_hz=optional("/telemetry/serving_clock_hz", np.nan, (devices,)).astype(float)
        if file.has("/telemetry/serving_clock_hz")
        else np.empty(0),
        **_read_shared_experts(file, devices),
    )


def _read_exchange(file, devices):
    """Transport, latency and bandwidth."""
    if devices < 2 or not file.has("/exchange/latency"):
        return "", np.empty((0, 0)), np.empty((0, 0))
    latency_s = file.times("/exchange/latency", (devices, devices), unknown_allowed=True)
    bytes_per_s = file.numbers("/exchange/bandwidth", (devices, devices)).astype(float)
    known = bytes_per_s[~np.isnan(bytes_per_s)]
    file.check("/exchange/bandwidth", known, known > 0, "positive bytes per second")
    return file.text_attribute("exchange_transport"), latency_s, bytes_per_s


def _read_shared_experts(file, devices):
    if not file.has("/shared_experts/tokens"):
        return {}
    tokens = _read_loads(file, "/shared_experts/tokens", (None,))
    file.check("/shared_experts/tokens", tokens[1:], np.diff(tokens) > 0, "ascending tokens")
    return {
        "shared_tokens": tokens,
        "shared_s": _read_latency(file, "/shared_experts/median", (devices, len(tokens))),
    }


def _read_exchange_law(file):
    if not file.has("/exchange/law/tokens"):
        return {}
    tokens = _read_loads(file, "/exchange/law/tokens", (None,))
    file.check("/exchange/law/tokens", tokens[1:], np.diff(tokens) > 0, "ascending tokens")
    law = {"tokens": tokens}
    for name in ("mean", "fixed", "row"):
        law[f"{name}_s"] = file.numbers(f"/exchange/law/{name}", tokens.shape).astype(float)
    explained = file.numbers("/exchange/law/explained", tokens.shape).astype(float)
    file.check("/exchange/law/explained", explained, (explained >= 0) & (explained <= 1), "parts, 0 to 1")
    return law | {"explained": explained}


def _read_topology(file, devices):
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


def _read_routing(file):
    topk_ids = file.numbers("/topk_ids", (None, None, None))
    if topk_ids.dtype.kind == "f":
        file.reject("/topk_ids holds floating-point numbers, but must hold experts; make the file again")
    experts = file.count_attribute("num_experts", 1)
    own = _read_layer_experts(file, topk_ids.shape[1], experts)
    most = own[None, :, None] if len(own) else experts
    file.check("/topk_ids", topk_ids, (topk_ids < most) | (topk_ids == UNUSED), f"experts, 0 to {experts - 1}")
    offsets = file.numbers("/request_offsets", (None,)).astype(np.int64)
    rises = np.append(offsets[0] == 0, np.diff(offsets) > 0)
    file.check("/request_offsets", offsets, rises, "tokens that rise from 0")
    if offsets[-1] != len(topk_ids):
        file.reject(
            f"/request_offsets ends at {offsets[-1]}, but there are {len(topk_ids)} tokens; make the file again"
        )
    return Routing(
        _read_header(file),
        file.text_attribute("task"),
        file.text_attribute("phase"),
        experts,
        topk_ids.shape[2],
        _read_layer_ids(file, topk_ids.shape[1]),
        offsets,
        topk_ids,
        own,
    )


def _read_trace(file):
    counts = file.numbers("/counts", (None, None, None))
    if counts.dtype.kind == "f":
        file.reject("/counts holds floating-point numbers, but must hold whole tokens; make the file again")
    file.check("/counts", counts, (counts >= 0) & (counts <= 1 << 30), "0 or more tokens")
    own = _read_layer_experts(file, *counts.shape[1:])
    if len(own):
        none = np.arange(counts.shape[2]) >= own[:, None]
        file.check("/counts", counts, (counts == 0) | ~none, "0 tokens behind a layer's own experts")
    part = file.text_attribute("part", "all")
    if part not in ("all", "train", "test"):
        file.reject(f"attribute 'part' is '{part}', but must be all, train or test")
    sequence = file.text_attribute("sequence", "consecutive")
    if sequence not in ("consecutive", "resampled"):
        file.reject(f"attribute 'sequence' is '{sequence}', but must be consecutive or resampled")
    groups = np.zeros(0, np.int64)
    if file.has("/request_groups"):
        groups = file.numbers("/request_groups", (counts.shape[0],))
        file.check("/request_groups", groups, groups >= 0, "0 or more")
    return Trace(
        _read_header(file),
        file.text_attribute("task"),
        file.text_attribute("phase"),
        part,
        file.count_attribute("top_k", 1),
        file.count_attribute("tokens_per_step", 1),
        _read_layer_ids(file, counts.shape[1]),
        counts.astype(np.int64),
        sequence,
        groups.astype(np.int64),
        own,
    )


def _read_layer_experts(file, layers, most):
    """[layer] each one's own number of experts; nothing where all have as many."""
    if not file.has("/experts_of_layer"):
        return np.zeros(0, np.int64)
    own = file.numbers("/experts_of_layer", (layers,)).astype(np.int64)
    file.check("/experts_of_layer", own, (own >= 1) & (own <= most), f"1 to {most}")
    return own


def _read_mapping(file):
    slots = file.numbers("/slots", (None, None, None)).astype(np.int64)
    homes = file.numbers("/expert_to_device", (slots.shape[0], None)).astype(np.int64)
    layers, experts = homes.shape
    devices = slots.shape[1]
    own = _read_layer_experts(file, layers, experts)
    none = np.arange(experts) >= own[:, None] if len(own) else np.zeros(homes.shape, bool)
    fits = np.where(none, homes == -1, (homes >= 0) & (homes < devices))
    file.check("/expert_to_device", homes, fits, f"devices, 0 to {devices - 1}, and -1 behind a layer's own experts")
    file.check("/slots", slots, (slots >= -1) & (slots < experts), f"experts, 0 to {experts - 1}, or -1 for none")
    missing = ~np.any(slots[np.arange(layers)[:, None], homes] == np.arange(experts)[None, :, None], axis=2)
    missing &= ~none
    if missing.any():
        layer, expert = np.argwhere(missing)[0]
        file.reject(
            f"/slots has no slot for expert {expert} of layer {layer} on device {homes[layer, expert]}, its home "
            "in /expert_to_device; make the file again"
        )

    def score(name):
        if not file.has(f"/score/{name}"):
            return np.full(layers, np.nan)
        return file.times(f"/score/{name}", (layers,), unknown_allowed=True)

    method = file.text_attribute("method")
    return Mapping(
        _read_header(file),
        method,
        file.count_attribute("train_steps"),
        file.text_attribute("train_task", ""),
        file.text_attribute("train_part", "all"),
        _read_layer_ids(file, layers),
        homes,
        slots,
        score("predicted_s"),
        score("lower_bound_s"),
        method,
        _read_course(file, layers),
        {name: value for name in MAPPING_OTHERS if (value := _read_other(file, "gem.mapping", name)) is not None},
        own,
    )


# Fields of a mapping that no member has.
MAPPING_OTHERS = tuple(
    name
    for name, *_ in FIELDS["gem.mapping"]
    if name.startswith(("/devices/", "/moves/", "device_")) or name == "moved_from"
)


def _read_other(file, format_name, name):
    """A field as it is, None where the file has none."""
    kind, _, axes = next(rest for found, *rest in FIELDS[format_name] if found == name)
    if not name.startswith("/"):
        return file.text_attribute(name, None) if kind == "text" else file.count_attribute(name, default=None)
    if not file.has(name):
        return None
    return file.texts(name, None) if kind == "text" else file.numbers(name, (None,) * len(axes.split(", ")))


def _read_course(file, layers):
    if not file.has("/search/layer"):
        return {}
    layer = file.numbers("/search/layer", (None,))
    file.check("/search/layer", layer, (layer >= 0) & (layer < layers), f"layers, 0 to {layers - 1}")
    return {
        "layer": layer,
        "start": file.numbers("/search/start", layer.shape),
        "elapsed_s": file.times("/search/elapsed_s", layer.shape),
        "predicted_s": file.times("/search/predicted_s", layer.shape),
    }


def _read_report(file):
    measured_s = file.times("/measured_s", (None, None, None, None))
    shape = measured_s.shape
    mappings = shape[:1]

    def exchange(name):
        return file.times(name, shape, unknown_allowed=True) if file.has(name) else np.full(shape, np.nan)

    def per_mapping(name, fallback):
        return file.numbers(name, mappings) if file.has(name) else np.full(mappings, fallback)

    return Report(
        _read_header(file),
        file.text_attribute("task", ""),
        file.text_attribute("part", ""),
        file.text_attribute("weight_dtype", ""),
        file.text_attribute("device_kind", ""),
        file.text_attribute("device_note", ""),
        file.text_attribute("device_difference", ""),
        file.text_attribute("profile_doubts", ""),
        file.text_attribute("sample_note", ""),
        file.count_attribute("tokens_per_step", default=0),
        file.count_attribute("first_step", default=0),
        file.count_attribute("rounds", default=0),
        file.text_attribute("judged", ""),
        file.text_attribute("judged_by", "straggler"),
        _read_layer_ids(file, shape[2]),
        file.texts("/mappings", shape[0]),
        measured_s,
        file.times("/predicted_s", shape),
        exchange("/dispatch_s"),
        exchange("/combine_s"),
        per_mapping("/checks/wrong_values", 0),
        per_mapping("/checks/output_error", np.nan),
        per_mapping("/moved_bytes", 0),
        per_mapping("/move_s", np.nan),
        _read_speeds(file, shape[3]),
        {name: file.numbers(f"/summary/{name}", mappings) for name in SUMMARY_FIELDS}
        | {name: per_mapping(f"/summary/{name}", np.nan) for name in NEWER_SUMMARY_FIELDS},
        _read_whole_steps(file, shape) if file.has("/whole_step/step_s") else None,
    )


def _read_whole_steps(file, shape):
    cases = (shape[0] + 1,)

    def shares(name):
        return file.times(f"/whole_step/shares/{name}_s", cases)

    return WholeSteps(
        file.texts("/whole_step/names", cases[0]),
        file.count_attribute("whole_step_context", default=0),
        file.count_attribute("whole_step_output_tokens", default=0),
        file.count_attribute("whole_step_moe_layers", default=0),
        file.count_attribute("whole_step_dense_layers", default=0),
        file.text_attribute("whole_step_rest", ""),
        file.times("/whole_step/exchange_law", (2,), unknown_allowed=True),
        file.times("/whole_step/step_s", (cases[0], shape[1])),
        {name: file.numbers(f"/whole_step/{name}", cases) for name in WHOLE_STEP_FIELDS},
        {name: shares(name) for name in WHOLE_STEP_SHARES},
    )


def _read_speeds(file, devices):
    if not file.has("/devices/relative_speed"):
        return np.empty(0)
    speeds = file.numbers("/devices/relative_speed", (devices,))
    file.check("/devices/relative_speed", speeds, (speeds > 0) & (speeds <= 1), "speeds above 0, at most 1")
    return speeds.astype(float)


def _read_adaptation(file):
    step_s = file.times("/step_s", (None, None))
    policies, steps = step_s.shape
    slowdown = file.numbers("/slowdown", (steps, None))
    changes = file.numbers("/changes", (None,)) if file.has("/changes") else np.zeros(0, np.int64)
    file.check("/changes", changes, (changes >= 0) & (changes < steps), "steps of the run")
    return Adaptation(
        _read_header(file),
        file.text_attribute("tasks", ""),
        file.text_attribute("device_kind", ""),
        file.text_attribute("device_note", ""),
        file.text_attribute("moving", ""),
        file.texts("/policies", policies),
        step_s,
        file.times("/pause_s", step_s.shape),
        file.numbers("/moved", step_s.shape),
        slowdown,
        file.numbers("/believed_slowdown", slowdown.shape),
        changes,
    )


READERS = {
    "gem.profile": _read_profile,
    "gem.trace": _read_trace,
    "gem.mapping": _read_mapping,
    "gem.report": _read_report,
    "gem.routing": _read_routing,
    "gem.adaptation": _read_adaptation,
}


def read_file(path, kinds=READERS):
    """Reads a file of any format of GEM; None if it is not one of `kinds`."""
    with Hdf5File(path) as file:
        found = file.text_attribute("format", default="")
        if not found:
            file.reject("attribute 'format' is missing, so this is no file of GEM; give a file that GEM wrote")
        if found not in READERS:
            file.reject(f"attribute 'format' is {found!r}, so this is no file of GEM; give one of {', '.join(READERS)}")
        version = file.text_or_number_attribute("format_version")
        if version.split(".")[0] != "1":
            file.reject(
                f"attribute 'format_version' is '{version}', but this program reads 1.x; make the file again or "
                "use the GEM that wrote it"
            )
        return READERS[found](file) if found in kinds else None
