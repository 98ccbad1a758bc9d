"""Heat map of each layer's loads: expert x step."""

import numpy as np

from ..arrays import Integers
from ..errors import NotDrawn
from ..picture import Axis, Choice, Frames, Heat, Picture, evenly
from ..results import Results, trace_note
from ..routing import KIND_NAMES, expert_kinds, skew

MOST_CELLS = 600_000  # of all frames together
MOST_STEPS = 256
LEAST_STEPS = 32


def bins_of(count: int, most: int) -> Integers:
    """First step of each of at most `most` bins of steps of equal length."""
    return np.arange(0, count, -(-count // most))


def draw(results: Results) -> Picture:
    trace = results.train or results.scored
    if trace is None:
        raise NotDrawn("needs a trace of gem-trace")
    steps, layer_count, experts = trace.counts.shape
    layers = evenly(layer_count, max(2, MOST_CELLS // (experts * min(steps, LEAST_STEPS))))
    starts = bins_of(steps, min(MOST_STEPS, max(LEAST_STEPS, MOST_CELLS // (experts * len(layers)))))
    length = np.diff(np.append(starts, steps))
    loads = np.add.reduceat(trace.counts[:, layers], starts, axis=0) / length[:, None, None]
    kinds = expert_kinds(trace.counts, trace.experts)
    frames: Frames = {}
    for index, layer in enumerate(layers):
        values = loads[:, index, : trace.experts[layer]].T  # [expert, step]
        order = np.argsort(-values.mean(axis=1), kind="stable")
        frames[(index,)] = Heat(
            values[order],
            "sequential",
            0.0,
            max(1.0, float(np.quantile(values, 0.998))),
            [str(e) for e in order],
            [str(s) for s in starts],
            row_roles=[KIND_NAMES[kinds[layer, e]] for e in order],
        )
    layer_skew = skew(trace.counts, trace.experts)
    start = int(np.argmax(layer_skew[layers]))
    sentence = (
        f"Busiest experts on top. In layer {trace.layer_ids[layers[start]]}, the most skewed of those shown, the "
        f"busiest expert gets {layer_skew[layers[start]]:.1f} times the mean load. Steady rows are consistent experts; "
        "rows that flare up are temporal ones."
    )
    notes = [trace_note(trace)] if trace_note(trace) else []
    if len(starts) < steps:
        notes.append(f"Means over {length[0]} steps a column.")
    if len(layers) < layer_count:
        notes.append(f"{len(layers)} of {layer_count} layers.")
    return Picture(
        "Loads of the experts over time",
        sentence,
        Axis("step"),
        Axis("expert"),
        frames,
        [Choice("layer", [str(trace.layer_ids[i]) for i in layers], start, True)],
        [f"Trace {trace.label}, {trace.tokens_per_step} tokens a step, top-{trace.top_k}.", *notes],
        value=Axis("load", "tokens"),
        legend=[("consistent", "consistent"), ("temporal", "temporal"), ("other", "other")],
        height=int(np.clip(9 * experts + 60, 220, 520)),
    )
