"""How long one must record: what mappings searched on more and more steps are worth on requests they never saw."""

import numpy as np

from ..errors import NotDrawn
from ..nouns import Mapping
from ..palette import mapping_role
from ..picture import Axis, Guide, Lines, Picture, Series, only, percent
from ..results import Results
from .held_out import ratios


def draw(results: Results) -> Picture:
    if results.profile is None or results.scored is None or not results.mappings:
        raise NotDrawn(
            "needs a profile, a trace of held-out requests and mappings of one method searched on differently "
            "many steps (gem-map --train-steps)"
        )
    by_method: dict[str, dict[int, Mapping]] = {}
    for mapping in results.mappings:
        by_method.setdefault(mapping.method, {})[mapping.train_steps] = mapping
    curves = {method: found for method, found in by_method.items() if len(found) > 1 and method != "linear"}
    if not curves:
        raise NotDrawn("needs mappings of one method searched on differently many steps (gem-map --train-steps)")
    if results.scored.part != "test":
        raise NotDrawn("needs a trace of held-out requests (gem-trace batch --part test)")
    worth = dict(ratios(results))
    series, sentences = [], []
    for method, found in curves.items():
        steps = np.array([n for n in sorted(found) if found[n].name in worth])
        # Of held_out.ratios: 1 is on held-out requests, 0 on the steps searched on.
        for place, role, name in ((1, mapping_role(method), "held-out requests"), (0, "other", "all recorded steps")):
            values = np.array([worth[found[n].name][place] for n in steps])
            if not np.isnan(values).all():
                series.append(
                    Series(f"{method}, {name}", role, steps, 100 * (values - 1), "line+dots", dashed=place == 0)
                )
        held = np.array([worth[found[n].name][1] for n in steps])
        if len(steps) > 1 and np.isfinite(held[-2:]).all():
            sentences.append(
                f"{method}: {percent(held[0])} with {steps[0]} steps, {percent(held[-1])} with {steps[-1]}; the last "
                f"{steps[-1] - steps[-2]} steps brought {100 * (held[-2] - held[-1]):.1f} points."
            )
    return Picture(
        "How long to record",
        "Predicted on requests that were never searched on. " + " ".join(sentences),
        Axis("steps searched on", log=True),
        Axis("predicted time against linear", "%"),
        only(Lines(series, [Guide("as linear", y=0.0)])),
        notes=["Predicted from the profile, not measured. Where the curve is flat, more recording brings nothing."],
    )
