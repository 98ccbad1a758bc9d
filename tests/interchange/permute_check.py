#!/usr/bin/env python3
"""Permutes tiny checkpoints with gem-deploy: same outputs in NumPy, undone to the byte, in place, resumed after kills.

    permute_check.py GEM_DEPLOY
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

from mapping_writer import random_mapping, write_mapping
from tiny_checkpoints import (EXPERTS, GROUPS, HIDDEN, LAYERS, forward, load, make_fused, make_grouped, make_separate,
                              write_safetensors)

DEVICES = 3


def run(command, expected=0):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == expected, f"{command}\nexit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def content(directory):
    return {name: open(os.path.join(directory, name), "rb").read() for name in os.listdir(directory)}


def check_layout(gem_deploy, make, folder, rng, groups=1):
    source, permuted, undone = (os.path.join(folder, make.__name__ + end) for end in ("", ".permuted", ".undone"))
    make(source, rng)
    mapping = random_mapping(rng, len(LAYERS), EXPERTS, DEVICES, groups)
    mapping_file = source + ".h5"
    write_mapping(mapping_file, mapping, LAYERS)
    permute = [gem_deploy, "permute", "--mapping", mapping_file, "--checkpoint"]

    dry = run([*permute, source, "--output", permuted, "--dry-run"])
    assert not os.path.exists(permuted) and "Dry run" in dry.stdout
    done = run([*permute, source, "--output", permuted])
    assert "vllm serve" in done.stdout, done.stdout
    before, after = load(source), load(permuted)
    tokens = rng.normal(size=(20, HIDDEN))
    assert before.keys() == after.keys()
    assert np.allclose(forward(before, tokens), forward(after, tokens), rtol=1e-12, atol=1e-12)
    moved = [name for name in before if not np.array_equal(before[name], after[name])]
    assert len(moved) > len(LAYERS) and not any(".layers.0." in name for name in moved)
    record = json.load(open(os.path.join(permuted, "gem_mapping.json")))
    for row, layer in zip(mapping, LAYERS):
        old_of_new = record["layers"][str(layer)]
        assert (row[old_of_new] == np.arange(EXPERTS) // (EXPERTS // DEVICES)).all()
    index = json.load(open(os.path.join(permuted, "model.safetensors.index.json")))["weight_map"]
    for shard in set(index.values()):
        held = {name for name, file_name in index.items() if file_name == shard}
        assert held == set(load_one(permuted, shard)), shard

    run([gem_deploy, "permute", "--inverse", "--checkpoint", permuted, "--output", undone])
    assert content(undone) == content(source)

    in_place = source + ".in_place"
    shutil.copytree(source, in_place)
    refused = run([*permute, in_place, "--in-place"], expected=2)
    assert "--force" in refused.stderr and content(in_place) == content(source)
    run([*permute, in_place, "--in-place", "--force"])
    assert content(in_place) == content(permuted)
    assert "already" in run([*permute, in_place, "--output", undone + "2"], expected=2).stderr
    run([gem_deploy, "permute", "--inverse", "--checkpoint", in_place, "--in-place", "--force"])
    assert content(in_place) == content(source)
    return source, mapping_file, permuted


def check_groups(gem_deploy, folder, rng):
    """With routing limited to groups, groups that a mapping splits are refused, and it is said what helps."""
    source, mapping_file, _ = check_layout(gem_deploy, make_grouped, folder, rng, GROUPS)
    write_mapping(mapping_file, random_mapping(rng, len(LAYERS), EXPERTS, DEVICES), LAYERS)
    split = os.path.join(folder, "split")
    done = run([gem_deploy, "permute", "--mapping", mapping_file, "--checkpoint", source, "--output", split], 2)
    assert f"gem-map --expert-groups {GROUPS}" in done.stderr and not os.path.exists(split), done.stderr


def load_one(directory, shard):
    from tiny_checkpoints import read_safetensors
    return read_safetensors(os.path.join(directory, shard))


def check_resume(gem_deploy, folder, source, mapping_file, permuted, in_place):
    """Killed at many moments and resumed, the result is the same."""
    large = os.path.join(folder, "large")  # shards that take a while make kills hit in the middle
    if not os.path.exists(large):
        shutil.copytree(source, large)
        for i in range(4):
            write_safetensors(os.path.join(large, f"extra-{i}.safetensors"),
                              {f"model.embed_{i}.weight": np.zeros((1 << 20) + i)})
    target, whole = os.path.join(folder, "resumed"), os.path.join(folder, "whole")
    base = [gem_deploy, "permute", "--mapping", mapping_file]
    if not os.path.exists(whole):
        run([*base, "--checkpoint", large, "--output", whole])
    kills = 0
    for delay in np.linspace(0.004, 0.08, 8):
        shutil.rmtree(target, ignore_errors=True)
        options = ["--checkpoint", large, "--output", target]
        if in_place:
            shutil.copytree(large, target)
            options = ["--checkpoint", target, "--in-place", "--force"]
        process = subprocess.Popen([*base, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        unfinished = os.path.exists(os.path.join(target, "gem_mapping.json.partial"))
        kills += unfinished
        if unfinished:
            assert "--resume" in run([*base, *options], expected=2).stderr
        run([*base, *options, "--resume"])
        assert content(target) == content(whole), f"killed after {delay} s"
    # A kill between the last two steps of a run leaves the journal behind.
    open(os.path.join(target, "gem_mapping.json.journal"), "w").close()
    assert "finished" in run([*base, *options, "--resume"]).stdout
    assert content(target) == content(whole)
    print(f"resumed after {kills} kills in the middle{' in place' if in_place else ''}")


def check_refusals(gem_deploy, folder, source, mapping_file):
    rng = np.random.default_rng(1)
    output = os.path.join(folder, "refused")

    def expect(words, code, checkpoint=source, mapping=mapping_file):
        done = run([gem_deploy, "permute", "--mapping", mapping, "--checkpoint", checkpoint, "--output", output], code)
        assert words in done.stderr and done.stderr.count("\n") == 1, done.stderr
        assert not os.path.exists(output)

    def spoiled(name, change):
        directory = os.path.join(folder, "spoiled_" + name)
        shutil.copytree(source, directory)
        change(directory)
        return directory

    def edit(directory, name, old, new):
        path = os.path.join(directory, name)
        text = open(path, "rb").read()
        assert old in text
        open(path, "wb").write(text.replace(old, new, 1))

    done = run([gem_deploy, "permute", "--mapping", mapping_file, "--checkpoint", source, "--output", mapping_file], 2)
    assert "is no directory" in done.stderr and done.stderr.count("\n") == 1, done.stderr

    first = "model-00001-of-00003.safetensors"
    other = os.path.join(folder, "other.h5")
    write_mapping(other, random_mapping(rng, 1, 6, 3), [1])
    expect("12 experts", 3, mapping=other)
    write_mapping(other, random_mapping(rng, 1, 12, 3), [5])
    expect("no tensors of a router were found for layer 5", 3, mapping=other)
    expect("is not a directory", 3, checkpoint=os.path.join(folder, "absent"))
    expect("truncated", 3, spoiled("short", lambda d: os.truncate(os.path.join(d, first), 5000)))
    expect("is missing", 3, spoiled("lost", lambda d: os.remove(os.path.join(d, first))))
    expect("single experts", 3, spoiled("config", lambda d: edit(d, "config.json", b'"mixtral"', b'"x.experts.3.w1"')))
    expect("should be in", 3, spoiled("index", lambda d: edit(d, "model.safetensors.index.json", b"00002-of", b"00003-of")))
    expect("no layout that GEM knows", 3, spoiled("name", lambda d: [
        edit(d, name, b"layers.1.block_sparse_moe.gate.weight", b"layers.1.block_sparse_moe.gato.weight")
        for name in (first, "model.safetensors.index.json")]))
    # A tensor of an unknown name may go by expert whichever extent is the number of experts; one without it may not.
    for i, shape in enumerate([(EXPERTS,), (1, EXPERTS), (HIDDEN, 2, EXPERTS)]):
        expect("no layout that GEM knows", 3, spoiled(f"unknown_{i}", lambda d: write_safetensors(
            os.path.join(d, "more.safetensors"), {"model.layers.2.block_sparse_moe.scale": np.zeros(shape)})))
    expect("no layout that GEM knows", 3, spoiled("table", lambda d: write_safetensors(
        os.path.join(d, "more.safetensors"), {"model.layers.2.block_sparse_moe.gate.expert_of_token": np.zeros((7, 2))})))
    harmless = spoiled("harmless", lambda d: write_safetensors(
        os.path.join(d, "more.safetensors"), {"model.layers.2.block_sparse_moe.scale": np.zeros((HIDDEN, 1))}))
    os.symlink("nowhere", os.path.join(harmless, "lost.json"))  # a broken link, as an interrupted download leaves it
    done = run([gem_deploy, "permute", "--mapping", mapping_file, "--checkpoint", harmless, "--output", output])
    assert "Left out" in done.stdout and "lost.json" in done.stdout, done.stdout
    assert not os.path.lexists(os.path.join(output, "lost.json"))


def main():
    gem_deploy = sys.argv[1]
    rng = np.random.default_rng(3)
    with tempfile.TemporaryDirectory() as folder:
        check_layout(gem_deploy, make_fused, folder, rng)
        check_groups(gem_deploy, folder, rng)
        source, mapping_file, permuted = check_layout(gem_deploy, make_separate, folder, rng)
        check_refusals(gem_deploy, folder, source, mapping_file)
        for in_place in (False, True):
            check_resume(gem_deploy, folder, source, mapping_file, permuted, in_place)
    print("permuted checkpoints compute the same")


if __name__ == "__main__":
    main()
