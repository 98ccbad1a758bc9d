"""What files hold as long tables: columns of equal length, or a pandas data frame of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from . import files
from .errors import SystemFailure, UsageError

if TYPE_CHECKING:
    import pandas


def columns(noun: object) -> dict[str, np.ndarray]:
    """{name: values} of a table with a row for each

    - device and point of a Profile,
    - step, layer and expert of a Trace,
    - layer and slot of a Mapping that holds an expert,
    - mapping, step, layer and device of a Report.

    Seconds end in _s; `layer` is the model's own number."""
    if isinstance(noun, files.Profile):
        return _profile(noun)
    if isinstance(noun, files.Trace):
        return _trace(noun)
    if isinstance(noun, files.Mapping):
        return _mapping(noun)
    if isinstance(noun, files.Report):
        return _report(noun)
    raise UsageError(f"{type(noun).__name__} has no table; a profile, trace, mapping and report have")


def frame(noun: object) -> pandas.DataFrame:
    """columns() as a data frame. SystemFailure where pandas is missing."""
    try:
        import pandas
    except ImportError:
        raise SystemFailure("data frames need the Python package pandas; gem_analysis.columns() does without") from None
    return pandas.DataFrame(columns(noun))


def summary(report: files.Report) -> dict[str, np.ndarray]:
    """{name: [mapping]} of a report: the figures that gem-verify prints, ratios relative to the first mapping."""
    return {"mapping": np.array(report.names), **report.summary}


def _grid(shape: tuple[int, ...], **axes: ArrayLike) -> files.Arrays:
    """Each axis' values repeated over the shape, flat."""
    indices = np.indices(shape)
    return {name: np.asarray(values)[index.ravel()] for (name, values), index in zip(axes.items(), indices)}


def _profile(profile: files.Profile) -> files.Arrays:
    shape = profile.median_s.shape
    grid = _grid(shape, device=np.arange(shape[0]), tiles=np.arange(shape[1]))
    point = grid.pop("tiles")
    device = grid["device"]
    return {
        **grid,
        "hostname": np.array(profile.hostnames)[device],
        "name": np.array(profile.names)[device],
        "slowdown": profile.slowdowns[device],
        "tiles": profile.tiles[point],
        "active_experts": profile.active_experts[point],
        "tokens": profile.tokens[point],
        "median_s": profile.median_s.ravel(),
        "p95_s": profile.p95_s.ravel(),
        "settled": profile.settled.ravel(),
        **{name: values.ravel() for name, values in profile.telemetry.items()},
    }


def _trace(trace: files.Trace) -> files.Arrays:
    steps, _, experts = trace.counts.shape
    grid = _grid(trace.counts.shape, step=np.arange(steps), layer=trace.layer_ids, expert=np.arange(experts))
    own = np.broadcast_to(np.arange(experts) < trace.experts[:, None], trace.counts.shape).ravel()
    return {name: values[own] for name, values in {**grid, "tokens": trace.counts.ravel()}.items()}


def _mapping(mapping: files.Mapping) -> files.Arrays:
    _, devices, slots = mapping.slots.shape
    grid = _grid(mapping.slots.shape, layer=mapping.layer_ids, device=np.arange(devices), slot=np.arange(slots))
    expert = mapping.slots.ravel()
    return {name: values[expert >= 0] for name, values in {**grid, "expert": expert}.items()}


def _report(report: files.Report) -> files.Arrays:
    _, steps, _, devices = report.measured_s.shape
    grid = _grid(
        report.measured_s.shape,
        mapping=report.names,
        step=report.first_step + np.arange(steps),
        layer=report.layer_ids,
        device=np.arange(devices),
    )
    times = ("measured_s", "predicted_s", "dispatch_s", "combine_s")
    return {**grid, **{name: getattr(report, name).ravel() for name in times}}
