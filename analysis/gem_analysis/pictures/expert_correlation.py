"""Which experts of a layer are busy together."""

import numpy as np

from ..errors import NotDrawn
from ..picture import Axis, Choice, Frames, Heat, Picture, evenly
from ..results import Results
from ..routing import CONSISTENT, KIND_NAMES, TEMPORAL, correlations, expert_kinds

MOST_CELLS = 200_000
MOST_EXPERTS = 128


def draw(results: Results) -> Picture:
    trace = results.train or results.scored
    if trace is None:
        raise NotDrawn("needs a trace of gem-trace")
    steps, layer_count, expert_count = trace.counts.shape
    if steps < 3:
        raise NotDrawn("needs a trace of three steps or more")
    kinds = expert_kinds(trace.counts, trace.experts)
    shown = min(expert_count, MOST_EXPERTS)
    layers = evenly(layer_count, max(2, MOST_CELLS // shown**2))
    frames: Frames = {}
    strongest = []
    for index, layer in enumerate(layers):
        counts = trace.counts[:, layer, : trace.experts[layer]].astype(float)
        matrix, loads = correlations(counts), counts.mean(axis=0)
        pairs = matrix - np.eye(len(loads))
        strongest.append(np.unravel_index(int(pairs.argmax()), pairs.shape) + (pairs.max(),))
        # Kinds side by side, within a kind by load; of many experts those with the highest loads.
        busiest = np.sort(np.argsort(-loads, kind="stable")[:shown])
        rank = {CONSISTENT: 0, TEMPORAL: 1}
        order = np.array(sorted(busiest, key=lambda e: (rank.get(int(kinds[layer, e]), 2), -loads[e])))
        labels = [str(e) for e in order]
        roles = [KIND_NAMES[kinds[layer, e]] for e in order]
        values = matrix[np.ix_(order, order)]
        np.fill_diagonal(values, np.nan)
        frames[(index,)] = Heat(values, "diverging", -1.0, 1.0, labels, labels, row_roles=roles, column_roles=roles)
    start = int(np.argmax([pair[2] for pair in strongest]))
    first, second, value = strongest[start]
    sentence = (
        f"Experts that flare up together should sit on different devices. The strongest pair: experts {first} and "
        f"{second} of layer {trace.layer_ids[layers[start]]}, correlation {value:.2f} over {steps} steps."
    )
    notes = [f"Trace {trace.label}. Ordered: consistent, temporal, other experts, each by load."]
    if shown < expert_count:
        notes.append(f"The {shown} busiest of {expert_count} experts.")
    if len(layers) < layer_count:
        notes.append(f"{len(layers)} of {layer_count} layers.")
    return Picture(
        "Experts that are busy together",
        sentence,
        Axis("expert"),
        Axis("expert"),
        frames,
        [Choice("layer", [str(trace.layer_ids[i]) for i in layers], start, True)],
        notes,
        value=Axis("correlation"),
        legend=[("consistent", "consistent"), ("temporal", "temporal"), ("other", "other")],
        height=int(np.clip(9 * shown + 60, 300, 460)),
    )
