#!/usr/bin/env python3
"""Permutes small random checkpoints of each architecture with gem-deploy and compares the logits of transformers before
and after; then undoes the permutation and compares every byte. Exit code 77 (skipped) without torch and transformers.

    permuted_logits_check.py GEM_DEPLOY [--device cuda] [--only NAME]
"""

import argparse
import filecmp
import json
import os
import shutil
import subprocess
import sys
import tempfile

try:
    import torch
    import transformers
    from safetensors.torch import load_file, save_file
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)
import numpy as np

from mapping_writer import random_mapping, write_mapping
from small_models import configurations, make_model, make_mxfp4_checkpoint

DEVICE_COUNT = 4


def run(command, expected=0):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != expected:
        sys.exit(f"{' '.join(command)}\nexit code {done.returncode}, expected {expected}\n{done.stdout}{done.stderr}")
    return done


def logits_of(directory, tokens, device):
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32,
                                                              attn_implementation="eager").to(device).eval()
    with torch.no_grad():
        return model(tokens.to(device)).logits.float().cpu()


def expert_count_of(configuration):
    for name in ("n_routed_experts", "num_local_experts", "num_experts"):
        if getattr(configuration, name, None):
            return getattr(configuration, name)
    raise ValueError(f"{configuration.model_type} says no number of experts")


def spoil_routers(source, permuted):
    """Gives the permuted checkpoint the old rows of its routers back, in memory: a model that must compute something
    else. Shows that the comparison would notice."""
    def load(directory):
        tensors = {}
        for name in sorted(os.listdir(directory)):
            if name.endswith(".safetensors"):
                tensors |= load_file(os.path.join(directory, name))
        return tensors
    old, new = load(source), load(permuted)
    new |= {name: tensor for name, tensor in old.items() if name.endswith(("gate.weight", "router.weight"))}
    spoiled = permuted + ".spoiled"
    os.makedirs(spoiled)
    save_file(new, os.path.join(spoiled, "model.safetensors"), metadata={"format": "pt"})
    shutil.copy(os.path.join(source, "config.json"), spoiled)
    return spoiled


def check_same_bytes(first, second):
    names = sorted(os.listdir(first))
    if names != sorted(os.listdir(second)):
        sys.exit(f"{second} holds other files than {first}")
    _, different, failed = filecmp.cmpfiles(first, second, names, shallow=False)
    if different or failed:
        sys.exit(f"{different + failed} differ between {first} and {second}")


def check(name, source, configuration, layers, options, folder, rng):
    groups = getattr(configuration, "n_group", None) or 1
    groups = groups if (getattr(configuration, "topk_group", None) or groups) < groups else 1
    experts = expert_count_of(configuration)
    mapping = random_mapping(rng, len(layers), experts, DEVICE_COUNT, groups)
    mapping_file, permuted, undone = (os.path.join(folder, name + end) for end in (".h5", ".permuted", ".undone"))
    write_mapping(mapping_file, mapping, layers)
    run([options.gem_deploy, "permute", "--mapping", mapping_file, "--checkpoint", source, "--output", permuted])
    run([options.gem_deploy, "permute", "--inverse", "--checkpoint", permuted, "--output", undone])
    check_same_bytes(source, undone)
    record = json.load(open(os.path.join(permuted, "gem_mapping.json")))
    for row, layer in zip(mapping, layers):  # linear placement of the new numbers is the mapping
        assert (row[record["layers"][str(layer)]] == np.arange(experts) // (experts // DEVICE_COUNT)).all()

    tokens = torch.from_numpy(rng.integers(3, 128, (3, 40)))
    before, after = logits_of(source, tokens, options.device), logits_of(permuted, tokens, options.device)
    error = ((before - after).abs().max() / before.abs().max()).item()
    spoiled = logits_of(spoil_routers(source, permuted), tokens, options.device)
    seen = ((before - spoiled).abs().max() / before.abs().max()).item()
    moved = float(np.mean([np.mean(np.array(ids) != np.arange(experts)) for ids in record["layers"].values()]))
    print(f"{name:18} {experts:3} experts, {groups} groups, {moved:4.0%} renumbered; logits "
          f"{'bit-equal' if torch.equal(before, after) else f'differ by {error:.1e} of the largest'} "
          f"(with the old routers: {seen:.1e})", flush=True)
    if not error < 2e-6 or not seen > 1e-4 or moved < 0.3:
        sys.exit(f"{name}: the permuted model computes something else")
    if groups > 1:
        write_mapping(mapping_file, random_mapping(rng, len(layers), experts, DEVICE_COUNT), layers)
        refused = run([options.gem_deploy, "permute", "--mapping", mapping_file, "--checkpoint", source, "--output",
                       permuted + "2"], expected=2)
        assert "groups" in refused.stderr, refused.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gem_deploy")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    rng = np.random.default_rng(7)
    with tempfile.TemporaryDirectory() as folder:
        for name, (configuration, layers) in configurations().items():
            if options.only not in name:
                continue
            source = os.path.join(folder, name)
            make_model(configuration).save_pretrained(source, max_shard_size="100KB")
            check(name, source, configuration, layers, options, folder, rng)
        if options.only in "gpt_oss_mxfp4":
            source = os.path.join(folder, "gpt_oss_mxfp4")
            configuration, layers = make_mxfp4_checkpoint(source)
            check("gpt_oss_mxfp4", source, configuration, layers, options, folder, rng)


if __name__ == "__main__":
    main()
