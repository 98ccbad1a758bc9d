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


def check_resume(gem_deploy, folder, source, mapping_file, in_place, inverse):
    """Killed at many moments and resumed, the result is the same; nothing else reads what a kill has left."""
    large = os.path.join(folder, "large")  # shards that take a while make kills hit in the middle
    target, whole = os.path.join(folder, "resumed"), os.path.join(folder, "whole")
    forward, back = [gem_deploy, "permute", "--mapping", mapping_file], [gem_deploy, "permute", "--inverse"]
    if not os.path.exists(large):
        shutil.copytree(source, large)
        for i in range(4):
            write_safetensors(os.path.join(large, f"extra-{i}.safetensors"),
                              {f"model.embed_{i}.weight": np.zeros((1 << 20) + i)})
        run([*forward, "--checkpoint", large, "--output", whole])
    begin, end, base = (whole, large, back) if inverse else (large, whole, forward)
    kills = 0
    for delay in np.linspace(0.004, 0.08, 8):
        shutil.rmtree(target, ignore_errors=True)
        options = ["--checkpoint", begin, "--output", target]
        if in_place:
            shutil.copytree(begin, target)
            options = ["--checkpoint", target, "--in-place", "--force"]
        process = subprocess.Popen([*base, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        unfinished = os.path.exists(os.path.join(target, "gem_mapping.json.partial"))
        kills += unfinished
        if unfinished:
            assert "--resume" in run([*base, *options], expected=2).stderr
            for reader in (forward, back):
                done = run([*reader, "--checkpoint", target, "--output", os.path.join(folder, "of_killed")], 2)
                assert "unfinished" in done.stderr, done.stderr
        run([*base, *options, "--resume"])
        assert content(target) == content(end), f"killed after {delay} s"
    # A kill between the last two steps of a run leaves the journal behind.
    for trace in ["journal", "undone"] if inverse else ["journal"]:
        with open(os.path.join(target, "gem_mapping.json." + trace), "w") as file:
            file.write("".join(name + "\n" for name in os.listdir(target)))
    done = run([*base, *options, "--resume"])
    assert "finished" in done.stdout or "nothing is left to undo" in done.stdout
    assert content(target) == content(end)
    print(f"{'undoing ' if inverse else ''}resumed after {kills} kills in the middle{' in place' if in_place else ''}")


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
    expect("no tensors of a router and experts were found for layer 5", 3, mapping=other)
    expect("is not a directory", 3, checkpoint=os.path.join(folder, "absent"))
    expect("truncated", 3, spoiled("short", lambda d: os.truncate(os.path.join(d, first), 5000)))
    expect("is missing", 3, spoiled("lost", lambda d: os.remove(os.path.join(d, first))))
    expect("should be in", 3, spoiled("index", lambda d: edit(d, "model.safetensors.index.json", b"00002-of", b"00003-of")))
    expect("no router under a name that GEM knows", 3, spoiled("name", lambda d: [
        edit(d, name, b"layers.1.block_sparse_moe.gate.weight", b"layers.1.block_sparse_moe.gato.weight")
        for name in (first, "model.safetensors.index.json")]))
    # Where experts stand, only known names are let through, whatever the shape.
    for i, (tensor, shape) in enumerate([("scale", (EXPERTS,)), ("scale", (1, EXPERTS)), ("scale", (HIDDEN, 1)),
                                         ("gate.expert_of_token", (7, 2)), ("w1.weight", (EXPERTS, HIDDEN, 2)),
                                         ("chunk_experts.0.w1.weight", (2, HIDDEN)), ("gate.norm.weight", (EXPERTS,))]):
        expect("GEM knows no layout with that name", 3, spoiled(f"unknown_{i}", lambda d: write_safetensors(
            os.path.join(d, "more.safetensors"), {f"model.layers.2.block_sparse_moe.{tensor}": np.zeros(shape)})))
    expect("GEM knows no layout with that name", 3, spoiled("elsewhere", lambda d: write_safetensors(
        os.path.join(d, "more.safetensors"), {"model.layers.2.expert_table.weight": np.zeros((3, 2))})))
    harmless = spoiled("harmless", lambda d: write_safetensors(
        os.path.join(d, "more.safetensors"), {"model.layers.2.block_sparse_moe.routed_expert_norm.weight": np.zeros(5)}))
    os.symlink("nowhere", os.path.join(harmless, "lost.json"))  # a broken link, as an interrupted download leaves it
    done = run([gem_deploy, "permute", "--mapping", mapping_file, "--checkpoint", harmless, "--output", output])
    assert "Left out" in done.stdout and "lost.json" in done.stdout, done.stdout
    assert "No index names more.safetensors" in done.stdout, done.stdout
    # Sentences are left to the terminal; what is laid out is not.
    laid_out = [line for line in done.stdout.splitlines() if line.startswith(" ")]
    assert all(len(line) <= 80 or folder in line for line in laid_out), done.stdout
    assert not os.path.lexists(os.path.join(output, "lost.json"))


def check_links(gem_deploy, folder, source, mapping_file):
    """In place nothing takes the place of a link, and nothing that a link leads to is changed."""
    cached, linked = os.path.join(folder, "blobs"), os.path.join(folder, "linked")
    shutil.copytree(source, cached)
    os.mkdir(linked)
    for name in os.listdir(cached):
        os.symlink(os.path.join("..", "blobs", name), os.path.join(linked, name))
    done = run([gem_deploy, "permute", "--mapping", mapping_file, "--checkpoint", linked, "--in-place", "--force"], 2)
    assert "is a link to ../blobs/" in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert content(cached) == content(source) and all(os.path.islink(os.path.join(linked, n)) for n in os.listdir(linked))
    run([gem_deploy, "permute", "--mapping", mapping_file, "--checkpoint", linked, "--output", linked + ".new"])


def check_half_permuted(gem_deploy, folder, source, mapping_file, permuted):
    """Of a checkpoint of which a part is renumbered nothing is read but by the run that goes on with it."""
    half = os.path.join(folder, "half")
    output = os.path.join(folder, "of_half")
    forward = [gem_deploy, "permute", "--mapping", mapping_file, "--checkpoint", half]
    inverse = [gem_deploy, "permute", "--inverse", "--checkpoint", half]

    def refused(command, words, code=2):
        before = content(half)
        done = run(command, code)
        assert words in done.stderr and done.stderr.count("\n") == 1, done.stderr
        assert content(half) == before and not os.path.exists(output)

    def as_if_killed(begin, end, names):
        """`begin` with files of `end`, as a run in place leaves it that was killed after `names`."""
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(begin, half)
        for name in names:
            shutil.copy(os.path.join(end, name), half)
        shutil.copy(os.path.join(permuted, "gem_mapping.json"), os.path.join(half, "gem_mapping.json.partial"))
        if end == source:
            record = json.load(open(os.path.join(permuted, "gem_mapping.json")))
            record["undoing"] = True
            record["layers"] = {layer: np.argsort(numbers).tolist() for layer, numbers in record["layers"].items()}
            json.dump(record, open(os.path.join(half, "gem_mapping.json.partial"), "w"))
        open(os.path.join(half, "gem_mapping.json.journal"), "w").write("".join(name + "\n" for name in names))

    first = "model-00001-of-00003.safetensors"
    as_if_killed(source, permuted, [first])
    for options in (["--output", output], ["--output", output, "--dry-run"], ["--output", output, "--resume"],
                    ["--in-place", "--force"]):
        refused([*forward, *options], "unfinished permutation")
        refused([*inverse, *options], "unfinished permutation")
    refused([*inverse, "--in-place", "--force", "--resume"], "by its --mapping with --resume")
    run([*forward, "--in-place", "--force", "--resume"])
    assert content(half) == content(permuted)

    as_if_killed(permuted, source, [first])
    refused([*inverse, "--output", output], "unfinished permutation")
    refused([*forward, "--in-place", "--force", "--resume"], "holds an unfinished --inverse")
    run([*inverse, "--in-place", "--force", "--resume"])
    assert content(half) == content(source)

    # Without the record of the run, nobody knows which files are which.
    as_if_killed(source, permuted, [first])
    os.remove(os.path.join(half, "gem_mapping.json.partial"))
    for options in (["--output", output], ["--in-place", "--force"], ["--in-place", "--force", "--resume"]):
        refused([*forward, *options], "not its record", 3)
        refused([*inverse, *options], "not its record", 3)

    # A record of the whole, put in its place, makes nothing of it whole.
    for left in ("gem_mapping.json.journal", "model-00002-of-00003.safetensors.permuted"):
        as_if_killed(source, permuted, [first])
        os.rename(os.path.join(half, "gem_mapping.json.partial"), os.path.join(half, "gem_mapping.json"))
        os.remove(os.path.join(half, "gem_mapping.json.journal"))
        with open(os.path.join(half, left), "w") as file:
            file.write(first + "\n")
        refused([*inverse, "--output", output], "not its record", 3)
        refused([*inverse, "--in-place", "--force"], "not its record", 3)

    # A copy that was killed near its end is no source either.
    shutil.rmtree(half)
    shutil.copytree(permuted, half)
    os.rename(os.path.join(half, "gem_mapping.json"), os.path.join(half, "gem_mapping.json.partial"))
    refused([*inverse, "--output", output], "unfinished permutation")
    refused([*forward, "--output", output], "unfinished permutation")

    # What is undone says so, in place and as a copy.
    shutil.rmtree(half)
    shutil.copytree(permuted, half)
    run([*inverse, "--output", output])
    assert "finished" in run([*inverse, "--output", output, "--resume"]).stdout
    os.truncate(os.path.join(output, first), 10)
    assert "not empty" in run([*inverse, "--output", output, "--resume"], 2).stderr
    shutil.rmtree(output)
    run([*inverse, "--in-place", "--force"])
    for _ in range(2):
        assert "nothing is left to undo" in run([*inverse, "--in-place", "--force", "--resume"]).stdout
        assert content(half) == content(source)
        for name in ("undone", "journal"):  # killed between its last steps
            open(os.path.join(half, "gem_mapping.json." + name), "w").close()
    assert "not permuted by GEM" in run([*inverse, "--output", output], 3).stderr

    # Records that say nothing, or of a version to come.
    for words, change in (("names no layer", {"layers": {}}), ("format_version", {"format_version": "2.0"}),
                          ("being undone", {"undoing": True}),
                          ("must hold each", {"layers": {"1": [0] * EXPERTS, "2": list(range(EXPERTS))}})):
        shutil.rmtree(half)
        shutil.copytree(permuted, half)
        record = json.load(open(os.path.join(half, "gem_mapping.json"))) | change
        json.dump(record, open(os.path.join(half, "gem_mapping.json"), "w"))
        refused([*inverse, "--output", output], words, 3)

    # Another checkpoint than the one that a copy was begun from.
    shutil.rmtree(half)
    shutil.copytree(permuted, output)
    os.rename(os.path.join(output, "gem_mapping.json"), os.path.join(output, "gem_mapping.json.partial"))
    shutil.copytree(source, half)
    more = os.path.join(half, "model-00002-of-00003.safetensors")
    write_safetensors(more, load_one(half, os.path.basename(more)) | {"model.norm.weight": np.zeros(3)})
    assert "begun from" in run([*forward, "--output", output, "--resume"], 2).stderr
    shutil.rmtree(output)


def check_false_record(gem_deploy, folder, source, permuted):
    """A record of the whole beside files of which one is as it was before makes nothing of it whole, though no trace
    of an interrupted run is left."""
    half, output = os.path.join(folder, "false"), os.path.join(folder, "of_false")
    shards = sorted(name for name in os.listdir(source) if name.endswith(".safetensors"))
    refused = 0
    for name in shards:
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(permuted, half)
        shutil.copy(os.path.join(source, name), half)
        if content(half) == content(permuted):
            continue
        for options in (["--output", output], ["--output", output, "--dry-run"], ["--in-place", "--force"]):
            before = content(half)
            done = run([gem_deploy, "permute", "--inverse", "--checkpoint", half, *options], 3)
            # Where experts have their numbers in tensors' names, the index tells it first.
            assert f"{name}: is not renumbered, though" in done.stderr or "weight_map: tensor" in done.stderr, done.stderr
            assert content(half) == before and not os.path.exists(output)
        refused += 1
    assert refused > 0
    # A record of an earlier version says less, and is believed.
    shutil.rmtree(half)
    shutil.copytree(permuted, half)
    path = os.path.join(half, "gem_mapping.json")
    record = json.load(open(path))
    for shard in record["shards"].values():
        del shard["fingerprint"]
    json.dump(record, open(path, "w"))
    run([gem_deploy, "permute", "--inverse", "--checkpoint", half, "--output", output])
    assert content(output) == content(source)


def check_lock(gem_deploy, folder, source, mapping_file):
    """Two runs do not write into one directory."""
    import fcntl
    locked = os.path.join(folder, "locked")
    shutil.copytree(source, locked)
    command = [gem_deploy, "permute", "--mapping", mapping_file, "--checkpoint", locked, "--in-place", "--force"]
    path = os.path.join(locked, "gem_mapping.json.lock")
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = run(command, 2)
        assert "in use" in done.stderr and done.stderr.count("\n") == 1, done.stderr
    run(command)
    assert not os.path.exists(path)
    check_lock_of_the_dead(gem_deploy, folder, source, mapping_file)


def check_lock_of_the_dead(gem_deploy, folder, source, mapping_file):
    """A lock whose holder was killed once all was written goes with the run that finds nothing left to do."""
    for name, words in (("locked-new", ["--mapping", mapping_file, "--checkpoint", source]),
                        ("locked-old", ["--inverse", "--checkpoint", os.path.join(folder, "locked-new")])):
        output = os.path.join(folder, name)
        command = [gem_deploy, "permute", *words, "--output", output]
        run(command)
        path = os.path.join(output, "gem_mapping.json.lock")
        with open(path, "w") as file:
            file.write("process 1 on nowhere\n")
        assert "finished" in run([*command, "--resume"]).stdout
        assert not os.path.exists(path)


def main():
    gem_deploy = sys.argv[1]
    rng = np.random.default_rng(3)
    with tempfile.TemporaryDirectory() as folder:
        source, _, permuted = check_layout(gem_deploy, make_fused, folder, rng)
        check_false_record(gem_deploy, os.path.dirname(source), source, permuted)
        check_groups(gem_deploy, folder, rng)
        source, mapping_file, permuted = check_layout(gem_deploy, make_separate, folder, rng)
        check_refusals(gem_deploy, folder, source, mapping_file)
        check_links(gem_deploy, folder, source, mapping_file)
        check_half_permuted(gem_deploy, folder, source, mapping_file, permuted)
        shutil.rmtree(os.path.join(folder, "of_false"))
        check_false_record(gem_deploy, folder, source, permuted)
        check_lock(gem_deploy, folder, source, mapping_file)
        for in_place in (False, True):
            for inverse in (False, True):
                check_resume(gem_deploy, folder, source, mapping_file, in_place, inverse)
    print("permuted checkpoints compute the same")


if __name__ == "__main__":
    main()
