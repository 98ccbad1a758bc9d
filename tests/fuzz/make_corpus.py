#!/usr/bin/env python3
"""Writes seeds of the fuzz corpus: small valid files of every format, from which libFuzzer starts. Files that a fuzzer
found to be wrong are kept beside them, named found_*; hdf5/profile and hdf5/report are the programs' own, of two simulated
devices.

    make_corpus.py FOLDER
"""

import glob
import json
import os
import shutil
import struct
import sys

import h5py
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "interchange"))
from mapping_writer import write_mapping  # noqa: E402
from tiny_checkpoints import write_safetensors  # noqa: E402

folder = sys.argv[1]


def path(target, name):
    os.makedirs(os.path.join(folder, target), exist_ok=True)
    return os.path.join(folder, target, name)


def text(target, name, content):
    with open(path(target, name), "w") as file:
        file.write(content)


def hdf5(name, attributes, datasets):
    with h5py.File(path("hdf5", name), "w", libver="latest") as file:
        for key, value in {"format_version": "1.0", "created": "", "software_version": "", "command_line": "",
                           "model": "m", "seed": np.uint64(1), "task": "t", "phase": "decode", **attributes}.items():
            file.attrs[key] = value
        for key, values in datasets.items():
            file[key] = values


ids = np.arange(12, dtype=np.uint8).reshape(3, 2, 2) % 4
rows = [[0, 1, 2, 3], [3, 1, 0, 2]]
np.save(path("array", "counts.npy"), np.ones((2, 2, 4), np.int32))
np.save(path("array", "popularity.npy"), np.full((2, 4), 0.5))
np.savez(path("array", "routed.npz"), ids, ids[:1])
np.savez_compressed(path("array", "packed.npz"), np.ones((2, 2, 4)))

text("csv", "counts", "step,layer,expert,count\n0,1,0,5\n0,1,1,2\n1,3,0,7\n")
text("csv", "aggregate", "# a\nlayer,expert,count\n1,0,5\n")
text("csv", "runtimes", "gpu,relative_runtime\na,1.0\nb,1.2\n")
header = open(os.path.join(HERE, "..", "..", "jobs", "data", "models.csv")).read().splitlines()
text("csv", "models", "\n".join(header[:4]) + "\n")

hdf5("routing", {"format": "gem.routing", "num_experts": np.uint64(4), "top_k": np.uint64(2)},
     {"topk_ids": ids, "request_offsets": np.array([0, 3]), "layer_ids": np.array([0, 1], np.int32)})
hdf5("trace", {"format": "gem.trace", "top_k": np.uint64(1), "tokens_per_step": np.uint64(4), "part": "all"},
     {"counts": np.ones((2, 2, 4), np.uint32), "layer_ids": np.array([0, 1], np.int32)})
write_mapping(path("hdf5", "mapping"), np.array([[0, 1, 0, 1], [1, 1, 0, 0]], np.int32), [0, 1])

text("json", "named_experts", json.dumps({"ignore": ["model.layers.1.mlp.experts.3.up_proj", "lm_head",
                                                     "re:.*layers\\.0\\.mlp\\.experts\\.(0|1)\\..*"],
                                          "model.layers.0.mlp.experts.2": {"bits": 8}, "experts.[0-3]": "*experts*"}))
text("json", "sglang", json.dumps({"physical_to_logical_map": rows}))
text("json", "tensorrt_llm", "num_slots: 4\nlayer_updates_per_iter: 0\ninitial_global_assignments:\n  0: [0, 1, 2, 3]\n"
                             "  1: [3, 1, 0, 2]\n")
text("json", "vllm_ascend", json.dumps({"moe_layer_count": 1, "layer_list": [{"layer_id": 0, "device_count": 2, "device_list": [
    {"device_id": 0, "device_expert": [0, 1]}, {"device_id": 1, "device_expert": [3, 2]}]}]}))
text("json", "vllm", json.dumps({"record_type": "eplb_initial_mapping", "version": 1, "num_redundant_experts": 0,
                                 "num_slots": 4, "initial_global_assignments": {"0": rows[0], "1": rows[1]}}))
text("json", "load", json.dumps({"record_type": "eplb_load_stats", "step": 1, "expert_load": [[1, 2, 3]],
                                 "p2l_map": [[0, 1, 0]]}) + "\n")
text("json", "counts", json.dumps([[[1, 2], [3, 4]]]))
text("json", "record", json.dumps({"format": "gem.permutation", "model": "m", "method": "gem", "undoing": False,
                                   "device_count": 2, "expert_count": 2, "layers": {"1": [1, 0]},
                                   "shards": {"a.safetensors": {"bytes": 9, "header_bytes": 8}}}))
text("json", "index", json.dumps({"metadata": {}, "weight_map": {"model.layers.1.mlp.experts.3.w": "a\\u0041\"\\\""}}))

tensors = {"model.layers.0.mlp.gate.weight": np.zeros((4, 2)), "model.layers.0.mlp.experts.2.w": np.zeros(1),
           "model.layers.1.mlp.experts.down_proj": np.zeros((4, 1), np.uint8), "7_3": np.zeros(0)}
write_safetensors(path("safetensors", "model"), tensors)
with open(path("safetensors", "counts"), "wb") as file:
    content = b'{"1_2":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}}'
    file.write(struct.pack("<Q", len(content)) + content + bytes(16))

for recording in glob.glob(os.path.join(HERE, "..", "interchange", "recordings", "*.pt")):
    shutil.copy(recording, path("torch", os.path.basename(recording)))
