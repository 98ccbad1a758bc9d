"""What a step trace is like: skew, kinds of experts, correlation. The definitions are those of `gem-trace describe`
(src/workload/description.hpp)."""

import numpy as np

from .arrays import Array, Bools, Floats, Integers

BUSY_FACTOR = 1.0  # busy in a step: load above this many mean loads
CONSISTENT_SHARE = 0.85  # consistent: busy in at least this share of the steps
TEMPORAL_SHARE = 0.17  # temporal: busy in at most this share of the steps ...
TEMPORAL_BURST = 3.0  # ... and then with at least so many times its own mean

OTHER, CONSISTENT, TEMPORAL = 0, 1, 2
KIND_NAMES = ("other", "consistent", "temporal")


# `experts` [layer]: where layers have different numbers of them, as Trace.experts.


def busy_shares(counts: Array, experts: Array | None = None) -> Floats:
    """[layer, expert] share of the steps in which an expert is busy."""
    return np.asarray(_busy(counts, experts).mean(axis=0))


def _busy(counts: Array, experts: Array | None) -> Bools:
    mean_load = counts.sum(axis=2).mean(axis=0) / (counts.shape[2] if experts is None else experts)
    return np.asarray(counts > BUSY_FACTOR * mean_load[None, :, None])


def expert_kinds(counts: Array, experts: Array | None = None) -> Integers:
    """[layer, expert] OTHER, CONSISTENT or TEMPORAL."""
    busy = _busy(counts, experts)
    share = busy.mean(axis=0)
    mean_load = counts.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        burst = np.where(busy, counts, 0).sum(axis=0) / busy.sum(axis=0) / mean_load
    temporal = (share > 0) & (share <= TEMPORAL_SHARE) & (burst >= TEMPORAL_BURST)
    return np.where(share >= CONSISTENT_SHARE, CONSISTENT, np.where(temporal, TEMPORAL, OTHER))


def skew(counts: Array, experts: Array | None = None) -> Floats:
    """[layer] busiest over mean expert, loads summed over all steps; 1 is even."""
    return _over_mean(counts.mean(axis=0), experts)


def step_skew(counts: Array, experts: Array | None = None) -> Floats:
    """[step, layer] busiest over mean expert within the step."""
    return _over_mean(counts, experts)


def _over_mean(loads: Array, experts: Array | None) -> Floats:
    mean_load = loads.sum(axis=-1) / (loads.shape[-1] if experts is None else experts)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(mean_load > 0, loads.max(axis=-1) / mean_load, 0.0))


def correlations(loads: Array) -> Floats:
    """[expert, expert] correlation over steps of loads [step, expert]; 0 where a load never varies."""
    series = loads - loads.mean(axis=0)
    length = np.sqrt((series * series).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        series = np.where(length > 0, series / length, 0.0)
    return np.asarray(series.T @ series)


def shares(loads: Array) -> Floats:
    """Loads [..., expert] as shares of their sum."""
    total = loads.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(loads, total, out=np.zeros(loads.shape), where=total > 0))


def distance(first: Array, second: Array) -> Floats:
    """Share of the tokens that would have to go to other experts to turn one load into the other, 0 to 1 (total
    variation distance)."""
    return np.asarray(0.5 * np.abs(shares(first) - shares(second)).sum(axis=-1))
