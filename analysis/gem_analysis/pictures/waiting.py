"""Which device waits how long in which layer, under each mapping."""

import numpy as np

from ..arrays import Array, Floats
from ..errors import NotDrawn
from ..picture import Axis, Choice, Frames, Heat, Picture, evenly
from ..results import Results

MOST_DEVICES = 64
MOST_LAYERS = 64


def waiting_percent(times_s: Array) -> Floats:
    """[layer, device] of times [step, layer, device]: share of the layer's compute time, over all steps, that the device
    waits for the slowest one."""
    slowest_s = times_s.max(axis=2).sum(axis=0)  # [layer]
    return np.asarray(100 * (1 - times_s.sum(axis=0) / slowest_s[:, None]))


def draw(results: Results) -> Picture:
    report = results.report
    if report is None:
        raise NotDrawn("needs a report of gem-verify")
    _, _, layer_count, device_count = report.measured_s.shape
    devices, layers = evenly(device_count, MOST_DEVICES), evenly(layer_count, MOST_LAYERS)
    shares = [waiting_percent(times_s) for times_s in report.measured_s]
    high = max(1.0, float(max(share.max() for share in shares)))
    frames: Frames = {}
    for m, share in enumerate(shares):
        values = share[np.ix_(layers, devices)]
        frames[(m,)] = Heat(
            values, "sequential", 0.0, high, [str(report.layer_ids[i]) for i in layers], [str(d) for d in devices]
        )
    judged = report.judged_index
    means = [share.mean(axis=0) for share in shares]
    sentence = (
        f"How much of a layer's compute time each device waits for the slowest one. Under {report.names[0]} from "
        f"{means[0].min():.1f} % (device {means[0].argmin()}) to {means[0].max():.1f} % (device {means[0].argmax()}), "
        f"under {report.names[judged]} from {means[judged].min():.1f} % to {means[judged].max():.1f} %, mean over layers. "
        "Pale everywhere is good: then no device is always the one that others wait for."
    )
    notes = ["The exchange of tokens is left out; the step's shares have it."]
    if len(devices) < device_count:
        notes.append(f"{len(devices)} of {device_count} devices.")
    if len(layers) < layer_count:
        notes.append(f"{len(layers)} of {layer_count} layers.")
    return Picture(
        "How long each device waits",
        sentence,
        Axis("device"),
        Axis("layer"),
        frames,
        [Choice("mapping", list(report.names), judged)],
        notes,
        value=Axis("waiting", "%"),
        height=int(np.clip(16 * len(layers) + 90, 220, 460)),
    )
