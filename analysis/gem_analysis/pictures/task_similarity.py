"""How alike the loads of different traces are."""

import numpy as np

from ..errors import NotDrawn
from ..picture import Axis, Heat, Picture, only
from ..results import Results
from ..routing import distance

MOST_TRACES = 24


def draw(results: Results) -> Picture:
    traces = results.traces[:MOST_TRACES]
    traces = [trace for trace in traces if trace.counts.shape[1:] == traces[0].counts.shape[1:]]
    if len(traces) < 2:
        raise NotDrawn("needs two traces of one model or more")
    means = [trace.counts.mean(axis=0) for trace in traces]
    alike = np.array([[100 * (1 - distance(a, b).mean()) for b in means] for a in means])
    labels = [trace.label for trace in traces]
    off = alike + np.where(np.eye(len(traces)) > 0, np.inf, 0)
    first, second = np.unravel_index(int(off.argmin()), off.shape)
    sentence = (
        f"Share of the tokens that go to the same experts, mean over layers. Least alike: {labels[first]} and "
        f"{labels[second]}, {alike[first, second]:.0f} %. A mapping made for one serves the other the better the more "
        "alike they are."
    )
    texts = [[f"{value:.0f}" for value in row] for row in alike]
    return Picture(
        "Similarity of traces",
        sentence,
        Axis("trace"),
        Axis("trace"),
        only(Heat(alike, "sequential", float(np.floor(alike.min() / 10) * 10), 100.0, labels, labels, texts)),
        value=Axis("tokens alike", "%"),
        height=60 + 44 * len(traces),
    )
