"""What GEM's files hold, as dataclasses of numpy arrays; shapes stand beside the arrays, times are in seconds."""

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from .arrays import Array, Bools, Floats, Integers

Arrays = dict[str, Array]  # by name
Other: TypeAlias = str | int | Array | list[str]  # a field as it is


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
    tiles: Integers  # [point]
    active_experts: Integers  # [point]
    tokens: Integers  # [point]
    median_s: Floats  # [device, point]
    p95_s: Floats  # [device, point]
    samples_s: Floats  # [device, point, sample], NaN where fewer; no sample: length 0
    settled: Bools  # [device, point]
    drift: Floats  # [device], NaN where unknown
    telemetry: Arrays  # name -> [device, point], NaN where unknown
    throttle_reasons: Integers  # [device, point], NVML bits
    names: list[str]  # [device]
    hostnames: list[str]  # [device]
    uuids: list[str]  # [device], empty where unknown
    ranks: Integers  # [device]
    slowdowns: Floats  # [device], 1 for a device as it is
    last_tile_rows: int  # each row of a last tile beyond these costs row_s
    row_s: float
    bend_tiles: Integers  # [bend] each tile of an expert beyond these costs surplus_tile_s
    surplus_tile_s: Floats  # [bend]
    exchange_transport: str  # empty: the exchange wasn't measured
    exchange_s: Floats  # [device, device] latency, NaN for a device with itself; empty
    exchange_bytes_per_s: Floats  # [device, device] each way, likewise
    topology_source: str = ""  # mpi, stated or measured; empty: nodes are unknown
    nodes: Integers = field(default_factory=lambda: np.empty(0, np.int32))  # [device]; empty where unknown
    link_latency_s: Floats = field(default_factory=lambda: np.empty(0))  # inside a node, across nodes; or empty
    link_bytes_per_s: Floats = field(default_factory=lambda: np.empty(0))  # into one device, likewise
    # Tile of each regime, ascending by the rows of a device, where the kernel has several; what is above is then of
    # tile_tokens alone, the regime that most loads meet.
    regime_tiles: Integers = field(default_factory=lambda: np.empty(0, np.int64))
    # What dispatch and combine of a layer take, a line over the rows of the device that gets most: tokens (of a step,
    # ascending), mean_s, fixed_s, row_s, explained (0 to 1), each [law]; empty: not measured.
    exchange_law: Arrays = field(default_factory=dict)
    pace: str = ""  # "serving": between samples devices did what they do in a step; else empty
    serving_clock_hz: Floats = field(default_factory=lambda: np.empty(0))  # [device] at that pace; empty without
    # What shared experts take for so many tokens of one device, ascending; empty: not measured.
    shared_tokens: Integers = field(default_factory=lambda: np.empty(0, np.int64))
    shared_s: Floats = field(default_factory=lambda: np.empty((0, 0)))  # [device, shared load]

    @property
    def device_count(self) -> int:
        return int(self.median_s.shape[0])


@dataclass
class Trace:
    """gem.trace: tokens per expert, step by step."""

    header: Header
    task: str
    phase: str
    part: str
    top_k: int
    tokens_per_step: int
    layer_ids: Integers  # [layer]
    counts: Integers  # [step, layer, expert]
    sequence: str = "consecutive"  # or "resampled": each step of requests drawn anew, for searching alone
    request_groups: Integers = field(default_factory=lambda: np.zeros(0, np.int64))  # [step], or none
    experts_of_layer: Integers = field(default_factory=lambda: np.zeros(0, np.int64))  # [layer], or none: all alike

    @property
    def label(self) -> str:
        return f"{self.task} ({self.part})"

    @property
    def experts(self) -> Integers:
        """[layer] experts of each layer; behind them along the axis of experts there is none."""
        return (
            self.experts_of_layer if len(self.experts_of_layer) else np.full(self.counts.shape[1], self.counts.shape[2])
        )


@dataclass
class Mapping:
    """gem.mapping: which device holds which expert."""

    header: Header
    method: str
    train_steps: int
    train_task: str
    train_part: str
    layer_ids: Integers  # [layer]
    expert_to_device: Integers  # [layer, expert], -1 behind a layer's own experts
    slots: Integers  # [layer, device, slot], -1 for none
    predicted_s: Floats  # [layer], NaN where unknown
    lower_bound_s: Floats  # [layer], NaN where unknown
    name: str  # the method, made unique among the mappings shown
    course: (
        Arrays  # of the search: layer (an index), start, elapsed_s, predicted_s, each [point]; empty if there was none
    )
    # By name what else the file has: devices, moves; written back as it is.
    others: dict[str, Other] = field(default_factory=dict)
    experts_of_layer: Integers = field(default_factory=lambda: np.zeros(0, np.int64))  # [layer], or none: all alike

    @property
    def device_count(self) -> int:
        return int(self.slots.shape[1])


@dataclass
class Routing:
    """gem.routing: which experts each token used; gem-trace makes traces of it."""

    header: Header
    task: str
    phase: str
    num_experts: int
    top_k: int
    layer_ids: Integers  # [layer]
    request_offsets: Integers  # [request + 1], where each request's tokens begin
    topk_ids: Integers  # [token, layer, k]; 65535 where a token used fewer experts
    experts_of_layer: Integers = field(default_factory=lambda: np.zeros(0, np.int64))  # [layer], or none: all alike


@dataclass
class WholeSteps:
    """Of a gem.report: whole decoder steps, attention, shared experts and head included. Arrays are [mapping], the
    force-balanced steps last."""

    names: list[str]
    context: int  # tokens in the cache of each sequence; 0: attention itself was not run
    output_tokens: int  # of a request; 0: not looked at
    moe_layers: int
    dense_layers: int
    rest: str  # where all but the experts comes from: "measured", "simulated" or a file
    exchange_law_s: Floats  # [2], of a layer and of a row where the exchange was not timed; NaN: not counted
    step_s: Floats  # [mapping, step]
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
    layer_ids: Integers  # [layer]
    names: list[str]  # [mapping], the first is what all are compared with
    measured_s: Floats  # [mapping, step, layer, device]
    predicted_s: Floats  # [mapping, step, layer, device]
    dispatch_s: Floats  # [mapping, step, layer, device], NaN where nothing was exchanged
    combine_s: Floats  # [mapping, step, layer, device], NaN likewise
    wrong_values: Integers  # [mapping]
    output_error: Floats  # [mapping], NaN if not checked
    moved_bytes: Integers  # [mapping]
    move_s: Floats  # [mapping], NaN if not measured
    device_speeds: Floats  # [device], fastest 1; empty if unknown
    summary: Arrays = field(default_factory=dict)  # name -> [mapping]; NaN for what older files don't have
    whole_steps: WholeSteps | None = None  # where whole steps were replayed

    @property
    def judged_index(self) -> int:
        """Of the mapping that the verdict is about: as gem-verify said, else gem, else the last."""
        named = [name for name in (self.judged, "gem") if name in self.names[1:]]
        return self.names.index(named[0]) if named else len(self.names) - 1

    @property
    def waiting_share(self) -> Floats:
        """[mapping] of the mean device's time until the slowest one's part ends, as gem-verify prints; of compute alone
        in older reports."""
        compute = 1 - self.measured_s.mean(axis=3).sum(axis=(1, 2)) / self.measured_s.max(axis=3).sum(axis=(1, 2))
        share = self.summary["waiting_share"]
        return np.where(np.isnan(share), compute, share)

    @property
    def straggler_s(self) -> Floats:
        """[mapping, step] sum over layers of the slowest device's time."""
        return np.asarray(self.measured_s.max(axis=3).sum(axis=2))


@dataclass
class Adaptation:
    """gem.adaptation: a run that drifts, under several policies of re-mapping."""

    header: Header
    tasks: str
    device_kind: str
    device_note: str  # what of the devices was emulated; empty for nothing
    moving: str  # "pause" or "during" where weights really moved; empty: moves are priced
    policies: list[str]  # [policy]
    step_s: Floats  # [policy, step], without moves
    pause_s: Floats  # [policy, step], of moves
    moved: Integers  # [policy, step], experts
    slowdown: Floats  # [step, device], what devices really took, relative to their profile
    believed_slowdown: Floats  # [step, device], what triggered gem took them for
    changes: Integers  # [change], steps at which a task or a speed changed

    @property
    def total_s(self) -> Floats:
        """[policy, step] with moves."""
        return np.asarray(self.step_s + self.pause_s)
