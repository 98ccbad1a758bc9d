"""How far each layer's mapping is from a bound that no mapping can beat."""

import numpy as np

from ..errors import NotDrawn
from ..palette import mapping_styles
from ..picture import Axis, Lines, Picture, Series, only
from ..results import Results


def draw(results: Results) -> Picture:
    shown = [
        mapping
        for mapping in results.mappings
        if not np.isnan(mapping.predicted_s).all()
        and not np.isnan(mapping.lower_bound_s).all()
        and np.nansum(mapping.lower_bound_s) > 0
    ]
    if not shown:
        raise NotDrawn("needs a mapping file with predicted times and lower bounds")
    styles = mapping_styles([(mapping.name, mapping.method) for mapping in shown])
    series = []
    total: dict[str, float] = {}
    layer_ids = shown[0].layer_ids
    for mapping in shown:
        if not np.array_equal(mapping.layer_ids, layer_ids):
            continue
        gap = 100 * (mapping.predicted_s / mapping.lower_bound_s - 1)
        total[mapping.name] = mapping.predicted_s.sum() / mapping.lower_bound_s.sum()
        role, dashed = styles[mapping.name]
        series.append(Series(mapping.name, role, np.arange(len(gap)), gap, "line+dots", dashed=dashed))
    best = results.best_mapping
    name = best.name if best and best.name in total else series[-1].name
    sentence = (
        f"On the steps searched on, {name} is {100 * (total[name] - 1):.1f} % above the lower bound in sum over the "
        "layers: no mapping whatever can gain more than that. The bound itself may be out of reach."
    )
    return Picture(
        "Distance from the lower bound",
        sentence,
        Axis("layer", labels=[str(i) for i in layer_ids]),
        Axis("above the bound", "%", zero=True),
        only(Lines(series)),
        notes=["In-sample: predicted on the steps searched on."],
    )
