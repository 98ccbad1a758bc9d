"""What a mapping did: which experts went to which devices, experts by load, devices by speed."""

import numpy as np

from ..arrays import Array
from ..errors import NotDrawn
from ..latency import Homes, homes_for, linear_homes, relative_speeds
from ..picture import Axis, Choice, Frames, Picture, Row, Span, Spans, evenly
from ..results import Results
from ..routing import CONSISTENT, KIND_NAMES, TEMPORAL, busy_shares, expert_kinds, skew

MOST_SPANS = 9000
MOST_DEVICES = 16


def draw(results: Results) -> Picture:
    trace, mapping = results.train or results.scored, results.best_mapping
    if trace is None or mapping is None:
        raise NotDrawn("needs a trace and a mapping of one run")
    homes = homes_for(mapping, trace)
    if homes is None:
        raise NotDrawn(f"{mapping.header.path} does not fit the layers and experts of {trace.header.path}")
    device_count = mapping.device_count
    profile = results.profile if results.profile and results.profile.device_count == device_count else None
    speeds = relative_speeds(profile) if profile else np.ones(device_count)
    order = np.argsort(-speeds, kind="stable")
    devices = order[evenly(device_count, MOST_DEVICES)]
    layer_count, expert_count = homes.copies.shape
    divides = not (trace.experts % device_count).any()
    linear = linear_homes(layer_count, expert_count, device_count, trace.experts) if divides else None
    shown_experts = expert_count * len(devices) / device_count
    layers = evenly(layer_count, max(2, int(MOST_SPANS / (2 * shown_experts))))
    busiest = int(np.argmax(skew(trace.counts, trace.experts)[layers]))

    loads = trace.counts.mean(axis=0)  # [layer, expert], tokens a step
    kinds, busy = expert_kinds(trace.counts, trace.experts), busy_shares(trace.counts, trace.experts)
    fair = speeds / speeds.sum()
    frames: Frames = {}
    for index, layer in enumerate(layers):
        groups = [
            (
                name,
                [
                    _row(
                        d,
                        speeds[d] if profile else None,
                        placed.experts_of(layer, d),
                        loads[layer] / np.maximum(placed.copies[layer], 1),
                        kinds[layer],
                        busy[layer],
                        fair[d] * loads[layer].sum(),
                    )
                    for d in devices
                ],
            )
            for name, placed in (("linear", linear), (mapping.name, homes))
            if placed is not None
        ]
        frames[(index,)] = Spans(groups, "share by speed" if profile else "even share")
    over = [
        (name, 100 * (max(_overload(placed, i, loads[i], fair) for i in range(layer_count)) - 1))
        for name, placed in (("linear", linear), (mapping.name, homes))
        if placed is not None
    ]
    sentence = (
        "Each block is an expert, as wide as its mean load; devices from the fastest to the slowest"
        + (" (speed in brackets)" if profile else "")
        + ". The largest load of a device above its "
        + ("share by speed" if profile else "even share")
        + ", of all layers: "
        + ", ".join(f"{value:.0f} % under {name}" for name, value in over)
        + "."
    )
    notes = [
        "Consistent experts are busy in at least 85 % of the steps; temporal ones in at most 17 %, then with 3 times "
        f"their mean load or more. {int((kinds == CONSISTENT).sum())} and {int((kinds == TEMPORAL).sum())} of "
        f"{trace.experts.sum()} experts of all layers."
    ]
    if len(devices) < device_count:
        notes.append(f"{len(devices)} of {device_count} devices, evenly by speed.")
    if len(layers) < layer_count:
        notes.append(f"{len(layers)} of {layer_count} layers.")
    return Picture(
        "What the mapping did",
        sentence,
        Axis("mean load", "tokens a step", zero=True),
        Axis(""),
        frames,
        [Choice("layer", [str(trace.layer_ids[i]) for i in layers], busiest, True)],
        notes,
        legend=[(f"{kind} expert", kind) for kind in ("consistent", "temporal", "other")],
    )


def _overload(homes: Homes, layer: int, loads: Array, fair: Array) -> float:
    """Largest load of a device over its fair share."""
    held = (homes.copy[layer] >= 0).T @ (loads / np.maximum(homes.copies[layer], 1))  # [device]
    return float((held / (fair * loads.sum())).max())


def _row(device: int, speed: float | None, experts: Array, loads: Array, kinds: Array, busy: Array, fair: float) -> Row:
    spans, begin = [], 0.0
    for expert in experts[np.argsort(-loads[experts], kind="stable")]:
        kind = KIND_NAMES[kinds[expert]]
        spans.append(
            Span(
                begin,
                begin + loads[expert],
                kind,
                f"expert {expert}: {loads[expert]:.1f} tokens a step, busy in {100 * busy[expert]:.0f} %",
            )
        )
        begin += loads[expert]
    label = f"device {device}" if speed is None else f"device {device} ({speed:.2f})"
    return Row(label, fair, spans)
