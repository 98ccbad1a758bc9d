"""gem.routing and gem.trace: which experts tokens use."""

import numpy as np

from ..hdf5_file import Hdf5File
from ..nouns import Routing, Trace
from .common import read_header, read_layer_experts, read_layer_ids

UNUSED = 65535  # in topk_ids: a place that a token did not use


def read_routing(file: Hdf5File) -> Routing:
    topk_ids = file.numbers("/topk_ids", (None, None, None))
    if topk_ids.dtype.kind == "f":
        file.reject("/topk_ids holds floating-point numbers, but must hold experts; make the file again")
    experts = file.count_attribute("num_experts", 1)
    own = read_layer_experts(file, topk_ids.shape[1], experts)
    most = own[None, :, None] if len(own) else experts
    file.check("/topk_ids", topk_ids, (topk_ids < most) | (topk_ids == UNUSED), f"experts, 0 to {experts - 1}")
    offsets = file.numbers("/request_offsets", (None,)).astype(np.int64)
    rises = np.append(offsets[0] == 0, np.diff(offsets) > 0)
    file.check("/request_offsets", offsets, rises, "tokens that rise from 0")
    if offsets[-1] != len(topk_ids):
        file.reject(
            f"/request_offsets ends at {offsets[-1]}, but there are {len(topk_ids)} tokens; make the file again"
        )
    return Routing(
        read_header(file),
        file.text_attribute("task"),
        file.text_attribute("phase"),
        experts,
        topk_ids.shape[2],
        read_layer_ids(file, topk_ids.shape[1]),
        offsets,
        topk_ids,
        own,
    )


def read_trace(file: Hdf5File) -> Trace:
    counts = file.numbers("/counts", (None, None, None))
    if counts.dtype.kind == "f":
        file.reject("/counts holds floating-point numbers, but must hold whole tokens; make the file again")
    file.check("/counts", counts, (counts >= 0) & (counts <= 1 << 30), "0 or more tokens")
    own = read_layer_experts(file, *counts.shape[1:])
    if len(own):
        none = np.arange(counts.shape[2]) >= own[:, None]
        file.check("/counts", counts, (counts == 0) | ~none, "0 tokens behind a layer's own experts")
    part = file.text_attribute("part", "all")
    if part not in ("all", "train", "test"):
        file.reject(f"attribute 'part' is '{part}', but must be all, train or test")
    sequence = file.text_attribute("sequence", "consecutive")
    if sequence not in ("consecutive", "resampled"):
        file.reject(f"attribute 'sequence' is '{sequence}', but must be consecutive or resampled")
    groups = np.zeros(0, np.int64)
    if file.has("/request_groups"):
        groups = file.numbers("/request_groups", (counts.shape[0],))
        file.check("/request_groups", groups, groups >= 0, "0 or more")
    return Trace(
        read_header(file),
        file.text_attribute("task"),
        file.text_attribute("phase"),
        part,
        file.count_attribute("top_k", 1),
        file.count_attribute("tokens_per_step", 1),
        read_layer_ids(file, counts.shape[1]),
        counts.astype(np.int64),
        sequence,
        groups.astype(np.int64),
        own,
    )
