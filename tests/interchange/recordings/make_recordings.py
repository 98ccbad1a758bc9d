#!/usr/bin/env python3
"""Writes the .pt files in this folder with PyTorch (2.11), as SGLang's expert distribution recorder dumps them, and
expected.npz, the counts that must come out. Kept as files so that the tests need no PyTorch.

    make_recordings.py FOLDER
"""

import os
import sys

import numpy as np
import torch

LAYERS, EXPERTS, SLOTS, TOP_K, RANKS, PASSES = 4, 12, 16, 3, 2, 5  # layer 0 is dense
folder = sys.argv[1]
rng = np.random.default_rng(11)
expected = {}

counts = rng.integers(0, 40, (PASSES + 3, LAYERS, EXPERTS), dtype=np.int32)
counts[:, 0] = 0
counts[PASSES:] = 0  # steps of the ring that were not used
torch.save({"rank": 0, "logical_count": torch.from_numpy(counts), "average_utilization_rate_over_window": 0.75},
           os.path.join(folder, "sglang_stat.pt"))
expected["stat"] = counts[:PASSES, 1:]

slots = np.stack([np.concatenate([rng.permutation(EXPERTS), rng.choice(EXPERTS, SLOTS - EXPERTS, replace=False)])
                  for _ in range(LAYERS)])
expected["per_pass"] = np.zeros((PASSES, LAYERS - 1, EXPERTS), np.int64)
expected["per_token"] = np.zeros((PASSES, LAYERS - 1, EXPERTS), np.int64)
for rank in range(RANKS):
    passes, tokens = [], []
    for number in range(PASSES):
        physical = rng.integers(0, 9, (LAYERS, SLOTS), dtype=np.int32)
        physical[0] = 0
        passes.append({"forward_pass_id": 100 + number, "rank": rank, "gatherer_key": "primary",
                       "global_physical_count": torch.from_numpy(physical)})
        token_count = int(rng.integers(4, 9))
        topk = np.full((LAYERS, token_count, 8), -1, np.int32)
        for layer in range(1, LAYERS):
            for token in range(token_count):
                topk[layer, token, :TOP_K] = rng.choice(SLOTS, TOP_K, replace=False)
        per_token = np.zeros((LAYERS, SLOTS), np.int32)
        for layer in range(1, LAYERS):
            np.add.at(per_token[layer], topk[layer, :, :TOP_K].ravel(), 1)
            np.add.at(expected["per_pass"][number, layer - 1], slots[layer], physical[layer])
            np.add.at(expected["per_token"][number, layer - 1], slots[layer], per_token[layer])
        record = {"forward_pass_id": 100 + number, "rank": rank, "gatherer_key": "primary",
                  "input_ids": rng.integers(0, 1000, token_count).tolist(), "positions": list(range(token_count)),
                  "extend_seq_lens": None, "forward_mode": 2, "topk_ids_of_layer": torch.from_numpy(topk),
                  "misc_objects": []}
        if rank == 0:  # older recorders leave the counts out
            record["global_physical_count"] = torch.from_numpy(per_token)
        tokens.append(record)
    for name, records in (("per_pass", passes), ("per_token", tokens)):
        torch.save({"records": records, "last_physical_to_logical_map": torch.from_numpy(slots)},
                   os.path.join(folder, f"sglang_{name}_{rank}.pt"))

load = rng.integers(0, 1000, (3, EXPERTS))
torch.save(torch.from_numpy(np.ascontiguousarray(load.T)).T, os.path.join(folder, "expert_load.pt"))  # strides reversed
expected["expert_load"] = load[None]


class Command:
    def __reduce__(self):
        return print, ("this must never be printed by reading the file",)


torch.save({"logical_count": Command()}, os.path.join(folder, "hostile.pt"))
np.savez(os.path.join(folder, "expected.npz"), **expected)
