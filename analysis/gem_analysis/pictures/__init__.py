"""One module a picture. Each has `draw(results) -> Picture`, which raises NotDrawn with the reason if it cannot."""

from types import ModuleType

from . import (
    adaptation_moves,
    adaptation_speeds,
    adaptation_steps,
    all_replays,
    batch_matrix,
    device_speed,
    expert_correlation,
    expert_loads,
    gain_over_spread,
    gain_over_steps,
    held_out,
    latency_over_experts,
    latency_over_tiles,
    latency_surface,
    layer_gain,
    layer_skew,
    layer_timeline,
    load_drift,
    mapping_ratio,
    pair_exchange,
    placement,
    predicted_measured,
    search_gap,
    search_progress,
    step_shares,
    step_times,
    task_similarity,
    telemetry,
    waiting,
    whole_step_shares,
)

# section title -> pictures in the order of the page
SECTIONS: dict[str, tuple[ModuleType, ...]] = {
    "Batch": (all_replays, batch_matrix),
    "Verification": (
        mapping_ratio,
        whole_step_shares,
        step_times,
        step_shares,
        layer_timeline,
        waiting,
        layer_gain,
        predicted_measured,
    ),
    "Adaptation": (adaptation_steps, adaptation_moves, adaptation_speeds),
    "Mapping": (held_out, gain_over_spread, gain_over_steps, search_gap, placement, search_progress),
    "Devices": (device_speed, latency_over_tiles, latency_over_experts, latency_surface, telemetry, pair_exchange),
    "Routing": (expert_loads, layer_skew, expert_correlation, load_drift, task_similarity),
}


def name_of(module: ModuleType) -> str:
    """Name of a picture, for files and anchors: "step-times"."""
    return module.__name__.rsplit(".", 1)[-1].replace("_", "-")
