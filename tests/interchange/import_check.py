#!/usr/bin/env python3
"""Imports recordings of every format with gem-trace and compares what comes out with what went in; damaged and hostile
files must be refused with one sentence.

    import_check.py GEM_TRACE
"""

import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

from tiny_checkpoints import write_safetensors

HERE = os.path.dirname(os.path.abspath(__file__))
RECORDINGS = os.path.join(HERE, "recordings")


class Importer:
    def __init__(self, gem_trace, folder):
        self.gem_trace, self.folder = gem_trace, folder
        self.output = os.path.join(folder, "out.h5")

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, inputs, *options):
        inputs = [inputs] if isinstance(inputs, str) else inputs
        command = [self.gem_trace, "import", *options, "--output", self.output]
        for path in inputs:
            command += ["--input", path]
        return subprocess.run(command, capture_output=True, text=True)

    def check(self, inputs, expected, layer_ids, *options, top_k=3, notes=()):
        done = self.run(inputs, *options)
        assert done.returncode == 0, f"{inputs}: {done.stderr}"
        for note in notes:
            assert note in done.stdout, done.stdout
        with h5py.File(self.output) as file:
            assert file.attrs["format"] == "gem.trace" and file.attrs["top_k"] == top_k
            assert np.array_equal(file["counts"][:], expected), f"{inputs}: other counts"
            assert list(file["layer_ids"][:]) == list(layer_ids), list(file["layer_ids"][:])
        os.remove(self.output)

    def refuse(self, inputs, words, code, *options):
        done = self.run(inputs, *options)
        assert done.returncode == code and words in done.stderr and done.stderr.count("\n") == 1, \
            f"{inputs} {options}: exit code {done.returncode}, {done.stderr}"
        assert "never be printed" not in done.stdout and not os.path.exists(self.output)


def check_sglang(importer, expected):
    recording = lambda name: os.path.join(RECORDINGS, name)
    importer.check(recording("sglang_stat.pt"), expected["stat"], [1, 2, 3], "--top-k", "3",
                   notes=["3 steps without tokens", "mode stat", "tokens a step vary"])
    for name, options in (("per_pass", ["--top-k", "3"]), ("per_token", [])):
        files = [recording(f"sglang_{name}_{rank}.pt") for rank in range(2)]
        importer.check(files, expected[name], [1, 2, 3], *options, notes=["summed over the 2 files"])
    importer.refuse(recording("sglang_stat.pt"), "--top-k or --model", 2)
    importer.refuse(recording("sglang_per_token_0.pt"), "data have 3 experts a token", 2, "--top-k", "4")
    importer.refuse(recording("hostile.pt"), "print", 3, "--format", "sglang", "--top-k", "3")
    importer.refuse([recording("sglang_stat.pt"), recording("sglang_per_pass_0.pt")], "do not go together", 3, "--top-k", "3")
    importer.check(recording("expert_load.pt"), expected["expert_load"], [0, 1, 2], "--top-k", "3",
                   notes=["NO TIME AXIS", "numbered from 0"])
    whole = open(recording("sglang_per_pass_0.pt"), "rb").read()
    for size in (0, 10, len(whole) // 2, len(whole) - 10):
        with open(importer.path("short.pt"), "wb") as file:
            file.write(whole[:size])
        importer.refuse(importer.path("short.pt"), "short.pt", 3, "--format", "sglang", "--top-k", "3")


def check_tensorrt_llm(importer, rng):
    folder = importer.path("expert_statistic")
    os.makedirs(folder)
    json.dump({"num_experts": 8, "num_experts_per_token": 2}, open(os.path.join(folder, "meta_info.json"), "w"))
    counts = rng.integers(0, 50, (2, 4, 2, 8)).astype(np.float64)  # rank, iteration, layer, expert
    layers = [3, 7]
    for rank in range(2):
        write_safetensors(os.path.join(folder, f"rank{rank}.safetensors"),
                          {f"{100 + i}_{layer}": counts[rank, i, l] for i in range(4) for l, layer in enumerate(layers)})
    importer.check(folder, counts.sum(axis=0), layers, top_k=2)
    importer.check(folder, counts.sum(axis=0), layers, "--layer-ids", "3-4", top_k=2, notes=["2 layers from 3 to 7, other"])
    importer.refuse(folder, "8 experts", 2, "--experts", "16")
    json.dump({"num_experts": 9, "num_experts_per_token": 2}, open(os.path.join(folder, "meta_info.json"), "w"))
    importer.refuse(folder, "meta_info.json says 9", 3)


def check_vllm(importer, rng):
    slots = np.stack([np.concatenate([rng.permutation(6), [0, 1]]) for _ in range(2)])
    load = rng.integers(0, 50, (4, 2, 8))
    logical = np.zeros((4, 2, 6), int)
    path = importer.path("load.jsonl")
    with open(path, "w") as file:
        file.write('{"record_type": "eplb_load_meta"}\n\n')
        for step in range(4):
            for layer in range(2):
                np.add.at(logical[step, layer], slots[layer], load[step, layer])
            file.write(json.dumps({"record_type": "eplb_load_stats", "version": 1, "step": 10 * (step % 3), "num_ranks": 2,
                                   "expert_load": load[step].tolist(), "p2l_map": slots.tolist()}) + "\n")
    importer.check(path, logical, [3, 4], "--top-k", "3", "--layer-ids", "3-4")
    importer.refuse(path, "--layer-ids names 3", 2, "--top-k", "3", "--layer-ids", "3-5")
    with open(path, "a") as file:
        file.write('{"record_type": "eplb_load_stats", "step": ')  # a server that was killed
    importer.check(path, logical, [0, 1], "--top-k", "3", notes=["the last line (7) is cut"])

    requests = [np.stack([rng.permutation(16)[:2] for _ in range(n * 4)]).reshape(n, 4, 2).astype(np.int16) for n in (5, 1, 9)]
    np.savez_compressed(importer.path("routed.npz"), *requests)
    np.save(importer.path("more.npy"), requests[1])
    options = ["--format", "vllm-routed", "--experts", "16", "--layer-ids", "2,4,6,8"]
    done = importer.run([importer.path("routed.npz"), importer.path("more.npy")], *options)
    assert done.returncode == 0, done.stderr
    with h5py.File(importer.output) as file:
        assert file.attrs["format"] == "gem.routing" and file.attrs["num_experts"] == 16 and file.attrs["top_k"] == 2
        assert np.array_equal(file["topk_ids"][:], np.concatenate(requests + [requests[1]]))
        assert list(file["request_offsets"][:]) == [0, 5, 6, 15, 16] and list(file["layer_ids"][:]) == [2, 4, 6, 8]
    os.remove(importer.output)
    importer.refuse(importer.path("routed.npz"), "--format counts or --format vllm-routed", 2)
    importer.refuse(importer.path("routed.npz"), "experts are 0 to 7", 3, "--format", "vllm-routed", "--experts", "8")


def check_plain(importer, rng):
    counts = rng.integers(0, 90, (3, 2, 10))
    both = ["--top-k", "3", "--format", "counts"]
    for kind in ("<i8", ">i4", "<u2", "|u1", "<f4", ">f8"):
        np.save(importer.path("counts.npy"), counts.astype(kind))
        importer.check(importer.path("counts.npy"), counts, [0, 1], *both)
    np.savez(importer.path("counts.npz"), counts=counts)
    importer.check(importer.path("counts.npz"), counts, [0, 1], *both)
    json.dump(counts.tolist(), open(importer.path("counts.json"), "w"))
    importer.check(importer.path("counts.json"), counts, [0, 1], *both)
    with open(importer.path("counts.csv"), "w") as file:
        file.write("# a comment\nstep,expert,layer,count\n")
        for step, layer, expert in np.ndindex(*counts.shape):
            if counts[step, layer, expert] or expert == 9:
                file.write(f"{step + 5}, {expert}, {layer + 3}, {counts[step, layer, expert]}\n")
    importer.check(importer.path("counts.csv"), counts, [3, 4], *both)

    np.savetxt(importer.path("matrix.csv"), counts[0], delimiter=",")
    importer.check(importer.path("matrix.csv"), counts[:1], [0, 1], *both)

    popularity = rng.random((2, 10))
    json.dump({"popularity": popularity.tolist()}, open(importer.path("popularity.json"), "w"))
    importer.refuse(importer.path("popularity.json"), "--tokens", 3, "--top-k", "3")
    done = importer.run(importer.path("popularity.json"), "--top-k", "3", "--tokens", "1000")
    assert done.returncode == 0 and "NO TIME AXIS" in done.stdout, done.stderr
    with h5py.File(importer.output) as file:
        scaled = file["counts"][0]
    os.remove(importer.output)
    assert (scaled.sum(axis=1) == 3000).all()
    assert np.abs(scaled - 3000 * popularity / popularity.sum(axis=1, keepdims=True)).max() < 1

    def refuse_text(name, text, words, code, *options):
        with open(importer.path(name), "w") as file:
            file.write(text)
        importer.refuse(importer.path(name), words, code, "--top-k", "1", *options)
    refuse_text("bad.json", "[[[1, 2], [3]], [[1, 2], [3, 4]]]", "layer 1 has 1 experts in one step and 2 in another", 3)
    refuse_text("bad.json", "[[1, -2]]", "no count", 3)
    refuse_text("bad.json", "[" * 100000, "nested deeper", 3)
    refuse_text("bad.json", "[[0, 0]]", "no expert got a token", 3)
    refuse_text("bad.csv", "layer,expert\n1,2\n", "lacks a column", 3)
    refuse_text("bad.csv", "layer,expert,count\n1,2,x\n", "line 2", 3)
    refuse_text("bad.csv", "1,2\n3\n", "line 2: has 1 numbers", 3)
    refuse_text("bad.csv", "1,2\n3,x\n", "line 2", 3)
    refuse_text("bad.csv", "1,-2\n", "bad.csv (counts [1, 2]): holds -2", 3)
    refuse_text("bad.csv", "step,layer,expert,count\n" + "".join(f"{i},{i},65535,1\n" for i in range(200)), "too few", 3)
    refuse_text("bad.npy", "\x93NUMPY", "bad.npy", 3)
    refuse_text("bad.log", "", "--format", 2)
    importer.refuse(importer.path("absent.npy"), "no such file", 3)
    np.save(importer.path("huge.npy"), np.zeros(4))
    text = open(importer.path("huge.npy"), "rb").read().replace(b"(4,)", b"(4000000000000,)", 1)
    open(importer.path("huge.npy"), "wb").write(text)
    importer.refuse(importer.path("huge.npy"), "huge.npy", 3, "--top-k", "1", "--format", "counts")
    np.save(importer.path("objects.npy"), np.array([[{}, {}]], dtype=object), allow_pickle=True)
    importer.refuse(importer.path("objects.npy"), "of type", 3, "--top-k", "1", "--format", "counts")


def main():
    rng = np.random.default_rng(5)
    expected = dict(np.load(os.path.join(RECORDINGS, "expected.npz")))
    with tempfile.TemporaryDirectory() as folder:
        importer = Importer(sys.argv[1], folder)
        check_sglang(importer, expected)
        check_tensorrt_llm(importer, rng)
        check_vllm(importer, rng)
        check_plain(importer, rng)
    print("every format came out as it went in")


if __name__ == "__main__":
    main()
