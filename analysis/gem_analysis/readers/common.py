"""What several formats have."""

import numpy as np

from ..hdf5_file import Array, Hdf5File, Shape
from ..nouns import Header


def read_header(file: Hdf5File) -> Header:
    return Header(
        file.path,
        file.text_attribute("created", ""),
        file.text_attribute("software_version", ""),
        file.text_attribute("command_line", ""),
        file.text_attribute("model"),
        file.count_attribute("seed", default=0),
    )


def read_layer_ids(file: Hdf5File, count: int) -> Array:
    """[layer]"""
    layer_ids = file.numbers("/layer_ids", (count,))
    file.check("/layer_ids", layer_ids, layer_ids >= 0, "0 or more")
    if len(np.unique(layer_ids)) != count:
        file.reject("/layer_ids holds a layer twice, but each must be there once; make the file again")
    return layer_ids.astype(np.int64)


def read_layer_experts(file: Hdf5File, layers: int, most: int) -> Array:
    """[layer] each one's own number of experts; nothing where all have as many."""
    if not file.has("/experts_of_layer"):
        return np.zeros(0, np.int64)
    own = file.numbers("/experts_of_layer", (layers,)).astype(np.int64)
    file.check("/experts_of_layer", own, (own >= 1) & (own <= most), f"1 to {most}")
    return own


def read_loads(file: Hdf5File, name: str, shape: Shape) -> Array:
    """Whole numbers of tiles, experts or tokens."""
    loads = file.numbers(name, shape)
    file.check(name, loads, (loads >= 1) & (loads <= 1 << 30), "loads of 1 or more")
    return loads.astype(np.int64)


def read_latency(file: Hdf5File, name: str, shape: Shape) -> Array:
    """Seconds above 0."""
    latency_s = file.times(name, shape)
    file.check(name, latency_s, latency_s > 0.0, "positive seconds")
    return latency_s.astype(float)
