"""gem.mapping."""

import numpy as np

from ..format_fields import FIELDS
from ..hdf5_file import Array, Hdf5File
from ..nouns import Arrays, Mapping, Other
from .common import read_header, read_layer_experts, read_layer_ids

# Fields of a mapping that no member has.
MAPPING_OTHERS = tuple(
    name
    for name, *_ in FIELDS["gem.mapping"]
    if name.startswith(("/devices/", "/moves/", "device_")) or name == "moved_from"
)


def read_mapping(file: Hdf5File) -> Mapping:
    slots = file.numbers("/slots", (None, None, None)).astype(np.int64)
    homes = file.numbers("/expert_to_device", (slots.shape[0], None)).astype(np.int64)
    layers, experts = homes.shape
    devices = slots.shape[1]
    own = read_layer_experts(file, layers, experts)
    none = np.arange(experts) >= own[:, None] if len(own) else np.zeros(homes.shape, bool)
    fits = np.where(none, homes == -1, (homes >= 0) & (homes < devices))
    file.check("/expert_to_device", homes, fits, f"devices, 0 to {devices - 1}, and -1 behind a layer's own experts")
    file.check("/slots", slots, (slots >= -1) & (slots < experts), f"experts, 0 to {experts - 1}, or -1 for none")
    missing = ~np.any(slots[np.arange(layers)[:, None], homes] == np.arange(experts)[None, :, None], axis=2)
    missing &= ~none
    if missing.any():
        layer, expert = np.argwhere(missing)[0]
        file.reject(
            f"/slots has no slot for expert {expert} of layer {layer} on device {homes[layer, expert]}, its home "
            "in /expert_to_device; make the file again"
        )

    def score(name: str) -> Array:
        if not file.has(f"/score/{name}"):
            return np.full(layers, np.nan)
        return file.times(f"/score/{name}", (layers,), unknown_allowed=True)

    method = file.text_attribute("method")
    return Mapping(
        read_header(file),
        method,
        file.count_attribute("train_steps"),
        file.text_attribute("train_task", ""),
        file.text_attribute("train_part", "all"),
        read_layer_ids(file, layers),
        homes,
        slots,
        score("predicted_s"),
        score("lower_bound_s"),
        method,
        _read_course(file, layers),
        {name: value for name in MAPPING_OTHERS if (value := _read_other(file, "gem.mapping", name)) is not None},
        own,
    )


def _read_other(file: Hdf5File, format_name: str, name: str) -> Other | None:
    """A field as it is, None where the file has none."""
    kind, _, axes = next(rest for found, *rest in FIELDS[format_name] if found == name)
    if not name.startswith("/"):
        return file.text_attribute(name, None) if kind == "text" else file.count_attribute(name, default=None)
    if not file.has(name):
        return None
    return file.texts(name, None) if kind == "text" else file.numbers(name, (None,) * len(axes.split(", ")))


def _read_course(file: Hdf5File, layers: int) -> Arrays:
    if not file.has("/search/layer"):
        return {}
    layer = file.numbers("/search/layer", (None,))
    file.check("/search/layer", layer, (layer >= 0) & (layer < layers), f"layers, 0 to {layers - 1}")
    return {
        "layer": layer,
        "start": file.numbers("/search/start", layer.shape),
        "elapsed_s": file.times("/search/elapsed_s", layer.shape),
        "predicted_s": file.times("/search/predicted_s", layer.shape),
    }
