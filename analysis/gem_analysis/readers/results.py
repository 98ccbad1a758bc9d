"""gem.report and gem.adaptation: what programs measured."""

import numpy as np

from ..hdf5_file import Array, Hdf5File
from ..nouns import Adaptation, Report, WholeSteps
from .common import read_header, read_layer_ids

SUMMARY_FIELDS = (
    "straggler_s",
    "predicted_s",
    "relative",
    "relative_low",
    "relative_high",
    "raw_relative",
    "layer_relative",
    "layer_relative_low",
    "layer_relative_high",
    "p50_s",
    "p90_s",
    "p99_s",
    "imbalance",
    "median_error",
)

_TIMES_PER_TOKEN = ("mean_s", "p50_s", "p90_s", "p99_s", "relative", "relative_low", "relative_high")
WHOLE_STEP_FIELDS = (
    *_TIMES_PER_TOKEN,
    *(f"output_{name}" for name in _TIMES_PER_TOKEN),
    "predicted_s",
    "median_error",
    "above_balanced",
)
WHOLE_STEP_SHARES = ("attention", "experts", "shared", "exchange", "waiting", "tail")

NEWER_SUMMARY_FIELDS = ("dispatch_s", "compute_s", "waiting_s", "combine_s", "waiting_share")


def read_report(file: Hdf5File) -> Report:
    measured_s = file.times("/measured_s", (None, None, None, None))
    shape = measured_s.shape
    mappings = shape[:1]

    def exchange(name: str) -> Array:
        return file.times(name, shape, unknown_allowed=True) if file.has(name) else np.full(shape, np.nan)

    def per_mapping(name: str, fallback: float) -> Array:
        return file.numbers(name, mappings) if file.has(name) else np.full(mappings, fallback)

    return Report(
        read_header(file),
        file.text_attribute("task", ""),
        file.text_attribute("part", ""),
        file.text_attribute("weight_dtype", ""),
        file.text_attribute("device_kind", ""),
        file.text_attribute("device_note", ""),
        file.text_attribute("device_difference", ""),
        file.text_attribute("profile_doubts", ""),
        file.text_attribute("sample_note", ""),
        file.count_attribute("tokens_per_step", default=0),
        file.count_attribute("first_step", default=0),
        file.count_attribute("rounds", default=0),
        file.text_attribute("judged", ""),
        file.text_attribute("judged_by", "straggler"),
        read_layer_ids(file, shape[2]),
        file.texts("/mappings", shape[0]),
        measured_s,
        file.times("/predicted_s", shape),
        exchange("/dispatch_s"),
        exchange("/combine_s"),
        per_mapping("/checks/wrong_values", 0),
        per_mapping("/checks/output_error", np.nan),
        per_mapping("/moved_bytes", 0),
        per_mapping("/move_s", np.nan),
        _read_speeds(file, shape[3]),
        {name: file.numbers(f"/summary/{name}", mappings) for name in SUMMARY_FIELDS}
        | {name: per_mapping(f"/summary/{name}", np.nan) for name in NEWER_SUMMARY_FIELDS},
        _read_whole_steps(file, shape) if file.has("/whole_step/step_s") else None,
    )


def _read_whole_steps(file: Hdf5File, shape: tuple[int, ...]) -> WholeSteps:
    cases = (shape[0] + 1,)

    def shares(name: str) -> Array:
        return file.times(f"/whole_step/shares/{name}_s", cases)

    return WholeSteps(
        file.texts("/whole_step/names", cases[0]),
        file.count_attribute("whole_step_context", default=0),
        file.count_attribute("whole_step_output_tokens", default=0),
        file.count_attribute("whole_step_moe_layers", default=0),
        file.count_attribute("whole_step_dense_layers", default=0),
        file.text_attribute("whole_step_rest", ""),
        file.times("/whole_step/exchange_law", (2,), unknown_allowed=True),
        file.times("/whole_step/step_s", (cases[0], shape[1])),
        {name: file.numbers(f"/whole_step/{name}", cases) for name in WHOLE_STEP_FIELDS},
        {name: shares(name) for name in WHOLE_STEP_SHARES},
    )


def _read_speeds(file: Hdf5File, devices: int) -> Array:
    if not file.has("/devices/relative_speed"):
        return np.empty(0)
    speeds = file.numbers("/devices/relative_speed", (devices,))
    file.check("/devices/relative_speed", speeds, (speeds > 0) & (speeds <= 1), "speeds above 0, at most 1")
    return speeds.astype(float)


def read_adaptation(file: Hdf5File) -> Adaptation:
    step_s = file.times("/step_s", (None, None))
    policies, steps = step_s.shape
    slowdown = file.numbers("/slowdown", (steps, None))
    changes = file.numbers("/changes", (None,)) if file.has("/changes") else np.zeros(0, np.int64)
    file.check("/changes", changes, (changes >= 0) & (changes < steps), "steps of the run")
    return Adaptation(
        read_header(file),
        file.text_attribute("tasks", ""),
        file.text_attribute("device_kind", ""),
        file.text_attribute("device_note", ""),
        file.text_attribute("moving", ""),
        file.texts("/policies", policies),
        step_s,
        file.times("/pause_s", step_s.shape),
        file.numbers("/moved", step_s.shape),
        slowdown,
        file.numbers("/believed_slowdown", slowdown.shape),
        changes,
    )
