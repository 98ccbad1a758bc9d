"""Writes gem.routing files: which experts each token of each request used, layer by layer."""

import datetime
import os
import shlex
import sys

import h5py
import numpy as np


def write_routing(path, topk_ids, request_offsets, layer_ids, num_experts, **attributes):
    """topk_ids [token, layer, k]; request_offsets [request + 1] in tokens; layer_ids [layer], the model's own
    decoder-layer numbers. Attributes must name model, task and phase. The file is renamed into place when whole."""
    topk_ids = np.asarray(topk_ids, np.uint8 if num_experts <= 256 else np.uint16)
    request_offsets = np.asarray(request_offsets, np.int64)
    assert topk_ids.ndim == 3 and request_offsets[-1] == len(topk_ids) and topk_ids.shape[1] == len(layer_ids)
    attributes = {"format": "gem.routing", "format_version": "1.0", "software_version": "record_routing",
                  "created": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                  "command_line": shlex.join([os.path.basename(sys.argv[0]), *sys.argv[1:]]), "seed": np.uint64(0),
                  "num_experts": np.uint64(num_experts), "top_k": np.uint64(topk_ids.shape[2]), **attributes}
    partial = path + ".partial"
    with h5py.File(partial, "w") as file:
        for name, value in attributes.items():
            file.attrs[name] = value
        file["layer_ids"] = np.asarray(layer_ids, np.int32)
        file["request_offsets"] = request_offsets
        # One layer a chunk compresses better than tokens with all layers.
        file.create_dataset("topk_ids", data=topk_ids, chunks=(min(len(topk_ids), 65536), 1, topk_ids.shape[2]),
                            shuffle=True, compression="gzip", compression_opts=9)
        for name, units in {"layer_ids": "1", "request_offsets": "token", "topk_ids": "1"}.items():
            file[name].attrs["units"] = units
    os.replace(partial, path)
