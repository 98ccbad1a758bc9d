"""Writes gem.mapping files for the checks that run gem-deploy."""

import h5py
import numpy as np


def random_mapping(rng, layer_count, expert_count, device_count, group_count=1):
    """[layer, expert] devices, equal counts. With groups, a device holds whole groups or a part of one."""
    mapping = np.empty((layer_count, expert_count), np.int32)
    per_group = expert_count // group_count
    for layer in mapping:
        experts = np.concatenate([group * per_group + rng.permutation(per_group)
                                  for group in rng.permutation(group_count)])
        layer[experts] = np.arange(expert_count) // (expert_count // device_count)
    return mapping


def write_mapping(path, expert_to_device, layer_ids, model="test"):
    device_count = int(expert_to_device.max()) + 1
    slots = np.stack([[np.flatnonzero(layer == device) for device in range(device_count)]
                      for layer in expert_to_device]).astype(np.int32)
    with h5py.File(path, "w") as file:
        for name, value in {"format": "gem.mapping", "format_version": "1.0", "created": "2026-01-01T00:00:00Z",
                            "software_version": "test", "command_line": "test", "model": model, "seed": np.uint64(0),
                            "method": "random", "train_steps": np.uint64(0)}.items():
            file.attrs[name] = value
        for name, values in {"expert_to_device": expert_to_device, "slots": slots,
                             "layer_ids": np.asarray(layer_ids, np.int32)}.items():
            file[name] = values
            file[name].attrs["units"] = "1"
