#!/usr/bin/env python3
"""Imports counts that engines and tools record in practice, whole and broken: what is no counts is refused or left out by
name, nothing is summed that not all ranks recorded.

    import_cases_check.py GEM_TRACE
"""

import json
import os
import shutil
import sys
import tempfile

import numpy as np

from import_cases import COUNTS, Cases, consistent_counts, routing
from tiny_checkpoints import write_safetensors


def check_no_counts(cases, rng):
    """Maps, ids and loads of ranks are not taken for counts."""
    identity = list(range(8))
    for key in ("physical_to_logical_map", "phy2log", "initial_global_assignments", "expert_map", "layer_list"):
        cases.refuse(cases.text("map.json", {key: [identity, identity]}), f"'{key}'", 3, "--top-k", "2")
    shuffled = np.stack([np.concatenate([rng.permutation(8), [1, 2]]) for _ in range(3)])
    for array in (shuffled, shuffled[:, :8]):
        cases.refuse(cases.npy(array), "a map from slots to experts", 3, *COUNTS)
        cases.refuse(cases.text("map.json", array.tolist()), "a map from slots to experts", 3, "--top-k", "2")
        np.savetxt(cases.path("map.csv"), array, fmt="%d", delimiter=",")
        cases.refuse(cases.path("map.csv"), "a map from slots to experts", 3, "--top-k", "2")
    np.savez(cases.path("map.npz"), phy2log=shuffled, log2phy=shuffled)
    cases.refuse(cases.path("map.npz"), "'phy2log'", 3, *COUNTS)
    cases.refuse(cases.text("lists.json", {"counts": routing(rng).tolist()}), "ids of experts", 3, "--top-k", "2")

    cases.refuse(cases.text("lists.json", routing(rng)[:, 0].tolist()), "[token, k]", 3, "--top-k", "2")
    by_layer = {str(layer): routing(rng)[:, 0].tolist() for layer in range(3)}
    cases.refuse(cases.text("layers.json", by_layer), "ids of experts", 3, "--top-k", "2")
    loads = rng.integers(1, 50, (5, 4, 2))
    cases.refuse(cases.npy(loads), "loads of ranks", 3, *COUNTS)
    cases.refuse(cases.npy(loads), "--format", 2, "--top-k", "2")
    found = cases.accept(cases.npy(loads), *COUNTS, "--axes", "layer,rank,slot", notes=["NO TIME AXIS"])
    assert np.array_equal(found["counts"][0], loads.reshape(5, 8))
    cases.refuse(cases.npy(loads), "--axes", 2, *COUNTS, "--axes", "layer,rank,expert")

    counts = consistent_counts(rng)
    found = cases.accept(cases.npy(counts), *COUNTS)
    assert "contradict" not in found["told"] and np.array_equal(found["counts"], counts)
    for order, axes in (
        ((1, 0, 2), "layer,step,expert"),
        ((0, 2, 1), "step,expert,layer"),
        ((2, 1, 0), "expert,layer,step"),
    ):
        turned = np.ascontiguousarray(counts.transpose(order))
        cases.refuse(cases.npy(turned), f"--axes {axes}", 3, *COUNTS)
        assert np.array_equal(cases.accept(cases.npy(turned), *COUNTS, "--axes", axes)["counts"], counts)
    total = counts.sum(axis=0)
    cases.refuse(cases.npy(total.T.copy()), "--axes expert,layer", 3, *COUNTS)
    cases.refuse(
        cases.npy(counts.transpose(0, 2, 1) + 1),
        "another axis",
        2,
        "--format",
        "counts",
        "--top-k",
        "1",
        "--experts",
        "8",
        "--axes",
        "step,layer,expert",
    )
    cases.accept(cases.npy(counts), "--format", "counts", "--top-k", "3", notes=["contradict 3 experts a token"])


def check_layer_experts(cases, rng):
    """Layers of different numbers of experts: lists of their own lengths, or arrays as wide as the longest."""
    counts = consistent_counts(rng, layers=2)
    counts[:, 1, :6] += counts[:, 1, [6, 7, 6, 7, 6, 7]] // 3  # the tokens of what layer 1 hasn't got
    counts[:, 1, 6:] = 0
    by_layer = {"0": counts[:, 0].tolist(), "4": counts[:, 1, :6].tolist()}
    known = cases.accept(cases.text("steps.json", by_layer), "--top-k", "2", notes=["(6 in layer 4, 8 in layer 0)"])
    assert np.array_equal(known["counts"], counts) and known["experts_of_layer"].tolist() == [8, 6]
    table = cases.npy(counts, "table.npy")
    assert "experts_of_layer" not in cases.accept(table, *COUNTS)  # the last ones may be idle
    for text in ("8,6", "1x8,6"):
        told = cases.accept(table, *COUNTS, "--layer-experts", text)
        assert np.array_equal(told["counts"], counts) and told["experts_of_layer"].tolist() == [8, 6]
    for text, why in (
        ("8,5", "says 5 experts for layer 1 of those with experts, but a later one has tokens"),
        ("8,6,6", "names 3 layers, but 2 have experts"),
        ("9,6", "says 9 experts, but the data have 8 at most"),
        ("8;6", "is not a whole number"),
        ("8,0", "must be numbers of experts"),
    ):
        cases.refuse(table, why, 2, *COUNTS, "--layer-experts", text)
    cases.refuse(table, "as many experts each", 2, *COUNTS, "--layer-experts", "8,6", "--fused-shared", "1")
    ids = routing(rng, layers=2)
    ids[:, 1] = np.stack([rng.permutation(6)[:2] for _ in ids])
    found = cases.accept(cases.npy(ids), "--format", "vllm-routed", "--layer-experts", "8,6")
    assert found["experts_of_layer"].tolist() == [8, 6] and np.array_equal(found["topk_ids"], ids)
    cases.refuse(cases.npy(ids), "says 3 experts there", 3, "--format", "vllm-routed", "--layer-experts", "8,3")
    ragged = {"layer_0": [[1, 2], [3, 4, 5]], "layer_1": [[1, 2], [3, 4]]}
    cases.refuse(cases.text("odd.json", ragged), "layer 0 has 2 experts in one step and 3 in another", 3, "--top-k", "1")


def check_plain(cases, rng):
    counts = consistent_counts(rng)
    found = cases.accept(cases.npy(np.asfortranarray(counts)), *COUNTS)
    assert np.array_equal(found["counts"], counts)
    by_layer = {str(layer + 3): counts[0, layer].tolist() for layer in range(3)}
    named = {
        f"model.layers.{layer + 3}.mlp": {str(e): int(n) for e, n in enumerate(counts[0, layer])} for layer in range(3)
    }
    for table in (by_layer, named, {"expert_load": by_layer}):
        found = cases.accept(cases.text("layers.json", table), "--top-k", "2", notes=["NO TIME AXIS"])
        assert np.array_equal(found["counts"][0], counts[0]) and list(found["layer_ids"]) == [3, 4, 5]
    steps = {str(layer): counts[:, layer].tolist() for layer in range(3)}
    assert np.array_equal(cases.accept(cases.text("layers.json", steps), "--top-k", "2")["counts"], counts)
    found = cases.accept(
        cases.text("sglang.json", {"logical_count": np.insert(counts, 0, 0, axis=1).tolist()}),
        "--top-k",
        "2",
        notes=["layer 0 got no token"],
    )
    assert np.array_equal(found["counts"], counts) and list(found["layer_ids"]) == [1, 2, 3]
    sparse = {"3": {"0": 4, "5": 6}, "4": {"1": 10}}  # idle experts have no member
    assert cases.accept(cases.text("sparse.json", sparse), "--top-k", "2")["counts"].shape == (1, 2, 6)
    shares = (counts[0] / counts[0].sum(axis=1, keepdims=True)).tolist()
    found = cases.accept(cases.text("shares.json", shares), "--top-k", "2", "--tokens", "100")
    assert found["counts"].shape == (1, 3, 8) and "shared expert" not in found["told"]
    huge = cases.text("huge.json", [[1e300, 2], [3, 4]])
    cases.refuse(huge, "more than a step of a trace", 3, "--top-k", "1")
    uneven = [[3, 1, 2, 4, 5, 6], [3, 4, 5, 6], [1, 2, 3, 4, 5, 6]]
    found = cases.accept(
        cases.text("uneven.json", uneven),
        "--top-k",
        "2",
        notes=["layers have different numbers of experts (4 in layer 1, 6 in layer 0, 2), and each keeps its own"],
    )
    assert found["counts"].tolist() == [[[3, 1, 2, 4, 5, 6], [3, 4, 5, 6, 0, 0], [1, 2, 3, 4, 5, 6]]]
    assert found["experts_of_layer"].tolist() == [6, 4, 6]
    found = cases.accept(
        cases.text("uneven.json", uneven), "--top-k", "2", "--experts", "6", notes=["other than 6 were left out"]
    )
    assert list(found["layer_ids"]) == [0, 2] and found["counts"].shape == (1, 2, 6)
    assert "experts_of_layer" not in found
    check_layer_experts(cases, rng)
    cases.refuse(
        cases.text("odd.json", {"counts": [[1, {"a": 2}], [3, 4]]}),
        "counts[0][1]: is an object with the members 'a', but must be a number",
        3,
        "--top-k",
        "1",
    )
    cases.refuse(cases.text("odd.json", {"a": [1], "b": [2]}), "has the members 'a', 'b'", 3, "--top-k", "1")

    mtp = "layer,expert,count\n" + "".join(f"{layer},{e},{3 + e % 2}\n" for layer in (1, 26, 27) for e in range(64))
    found = cases.accept(
        cases.text("mtp.csv", mtp), "--model", "deepseek-v2-lite", notes=["1 layers behind the model's 27"]
    )
    assert list(found["layer_ids"]) == [1, 26]

    idle = counts.copy()
    idle[:, 1] = 0
    found = cases.accept(cases.npy(idle), *COUNTS, notes=["layer 1 got no token"])
    assert list(found["layer_ids"]) == [0, 2] and "Skew" in found["told"]
    assert all(
        float(word) >= 1
        for word in found["told"].split("Skew")[1].split()
        if word.replace(".", "").isdigit() and "." in word
    )
    lite = consistent_counts(rng, 2, 27, 64, 6, 30)
    lite[:, [0, 7]] = 0
    cases.accept(cases.npy(lite), "--format", "counts", "--model", "deepseek-v2-lite", notes=["layers 7 got no token"])


def check_csv(cases, rng):
    counts = consistent_counts(rng)
    counts[:, :, 7] = 0  # an idle last expert

    def table(values, names, separator=",", step=True):
        lines = [separator.join(names)]
        for at in np.ndindex(values.shape):
            if values[at]:
                lines.append(
                    separator.join(str(n) for n in (*at, values[at]))
                    if step
                    else separator.join(str(n) for n in (*at[1:], values[at]))
                )
        return "\n".join(lines) + "\n"

    for names, separator in (
        (["step", "layer_id", "expert_id", "count"], ","),
        (["iter", "layer_idx", "expert_idx", "num_tokens"], ";"),
        (["Forward Pass ID", "Layer", "Expert", "Tokens"], "\t"),
    ):
        for mark in ("", "\ufeff"):
            found = cases.accept(
                cases.text("a.csv", mark + table(counts, names, separator)), "--top-k", "2", "--experts", "8"
            )
            assert np.array_equal(found["counts"], counts), names
    found = cases.accept(
        cases.text("a.csv", table(counts, ["step", "layer", "expert", "count"])),
        "--top-k",
        "2",
        notes=["7 experts, from the largest"],
    )
    assert found["counts"].shape[2] == 7
    wide = (
        "layer,"
        + ",".join(f"expert_{e}" for e in range(8))
        + "\n"
        + "".join(f"{layer + 3}," + ",".join(map(str, counts[0, layer])) + "\n" for layer in range(3))
    )
    found = cases.accept(cases.text("wide.csv", wide), "--top-k", "2")
    assert np.array_equal(found["counts"][0], counts[0]) and list(found["layer_ids"]) == [3, 4, 5]
    whole = table(counts, ["step", "layer", "expert", "count"])
    cases.accept(cases.text("cut.csv", whole + "9,1"), "--top-k", "2", notes=["the last line is cut"])
    cases.refuse(cases.text("cut.csv", whole + "9,1\n1,1,1,1\n"), "fewer columns", 3, "--top-k", "2")

    # One sparse table a rank.
    ranks = [rng.integers(1, 30, (1, 2, 8)) for _ in range(2)]
    ranks[1][:, :, 0] = 0
    for values in ranks:
        values[:, :, 7] = 0
    paths = [
        cases.text(f"rank{r}.csv", table(values, ["layer_id", "expert_id", "count"], step=False))
        for r, values in enumerate(ranks)
    ]
    found = cases.accept(paths, "--top-k", "2", "--experts", "8", notes=["summed over the 2 files"])
    assert np.array_equal(found["counts"], ranks[0] + ranks[1])
    shutil.copy(paths[0], cases.path("copy.csv"))
    found = cases.accept(
        [*paths, cases.path("copy.csv"), paths[0]],
        "--top-k",
        "2",
        "--experts",
        "8",
        notes=["copy.csv holds the same as", "given twice and is read once"],
    )
    assert np.array_equal(found["counts"], ranks[0] + ranks[1])


def check_ranks(cases, rng):
    counts = [consistent_counts(rng, steps=6, layers=2) for _ in range(3)]

    def record(name, parts, experts=8):
        folder = cases.path(name)
        os.makedirs(folder)
        cases.text(os.path.join(name, "meta_info.json"), {"num_experts": experts, "num_experts_per_token": 2})
        for rank, (values, first) in parts.items():
            write_safetensors(
                os.path.join(folder, f"rank{rank}.safetensors"),
                {
                    f"{first + s}_{3 + layer}": values[s, layer].astype(np.float64)
                    for s, layer in np.ndindex(values.shape[:2])
                },
            )
        return folder

    a, b, c = counts
    found = cases.accept(record("whole", {0: (a, 100), 1: (b, 100), 2: (c, 100)}), "--ranks", "3")
    assert np.array_equal(found["counts"], a + b + c) and "left out" not in found["told"]
    shifted = record("shifted", {0: (a, 100), 1: (b, 102)})
    found = cases.accept(shifted, notes=["4 of 8 steps (100-101, 106-107) were not recorded by all 2 ranks"])
    assert np.array_equal(found["counts"], a[2:] + b[:4])
    found = cases.accept(shifted, "--keep-partial", notes=["PARTIAL SUMS"])
    assert len(found["counts"]) == 8
    cases.refuse(record("apart", {0: (a, 100), 1: (b, 200)}), "--keep-partial", 3)
    found = cases.accept(record("fewer", {0: (a, 100), 1: (b[:4], 100)}), notes=["2 of 6 steps (104-105)"])
    assert np.array_equal(found["counts"], a[:4] + b[:4])
    gap = record("gap", {0: (a, 100), 2: (c, 100)})
    cases.refuse(gap, "of ranks 0 to 2, 1 is missing", 3)
    cases.accept(gap, "--keep-partial", notes=["PARTIAL SUMS"])
    alone = record("alone", {0: (a, 100)})
    cases.accept(alone, notes=["rank 0 alone"])
    cases.refuse(alone, "of ranks 0 to 7, 1-7 are missing", 3, "--ranks", "8")
    found = cases.accept(record("same", {0: (a, 100), 1: (a, 100)}), notes=["rank 1 holds the same counts as rank 0"])
    assert np.array_equal(found["counts"], a)
    raw = record("raw", {0: (a, 100)})
    shutil.copy(os.path.join(raw, "rank0.safetensors"), os.path.join(raw, "rank0_raw.safetensors"))
    found = cases.accept(raw, notes=["1 files that hold no counts of a rank were passed over (rank0_raw"])
    assert np.array_equal(found["counts"], a)
    cases.refuse(record("slots", {0: (a, 100)}, experts=6), "slots of a load balancer", 3)


def check_lines(cases, rng):
    """vLLM's load statistics: cut lines, main and draft model, empty slots."""
    counts = consistent_counts(rng, steps=4, layers=2)
    draft = consistent_counts(rng, steps=4, layers=1)
    slots = list(range(8))

    def line(load, **more):
        return (
            json.dumps(
                {
                    "record_type": "eplb_load_stats",
                    "step": 0,
                    "expert_load": load.tolist(),
                    "p2l_map": [slots] * len(load),
                    **more,
                }
            )
            + "\n"
        )

    main_lines = "".join(line(step) for step in counts)
    found = cases.accept(
        cases.text("a.jsonl", main_lines + line(counts[0])[:70]), "--top-k", "2", notes=["last line (5) is cut"]
    )
    assert np.array_equal(found["counts"], counts)
    cases.refuse(cases.text("a.jsonl", line(counts[0])[:70] + "\n" + main_lines), "line 1", 3, "--top-k", "2")
    cases.refuse(cases.text("a.jsonl", line(counts[0])[:70]), "line 1", 3, "--top-k", "2")
    for name in ({}, {"model": "draft"}):
        mixed = "".join(
            line(step, **({"model": "main"} if name else {})) + line(other, **name)
            for step, other in zip(counts, draft)
        )
        found = cases.accept(
            cases.text("mixed.jsonl", mixed),
            "--top-k",
            "2",
            notes=["two models are in one file", "4 lines of 1 layers left out"],
        )
        assert np.array_equal(found["counts"], counts)
    alike = "".join(line(step, model="a") + line(step, model="b") for step in counts)
    cases.refuse(cases.text("alike.jsonl", alike), "several models with as many layers", 3, "--top-k", "2")
    slots = list(range(8)) + [-1, -1]
    padded = np.concatenate([counts, np.zeros((4, 2, 2), int)], axis=2)
    found = cases.accept(cases.text("a.jsonl", "".join(line(step) for step in padded)), "--top-k", "2")
    assert np.array_equal(found["counts"], counts)
    slots = list(range(8))
    cases.refuse(cases.text("a.jsonl", line(counts[0] + 0.5)), "expert_load[0][0]: is", 3, "--top-k", "2")


def check_archives(cases, rng):
    """Damaged archives, and those made to exhaust memory."""
    np.savez(cases.path("whole.npz"), counts=consistent_counts(rng))
    text = bytearray(open(cases.path("whole.npz"), "rb").read())
    text[400] ^= 1
    open(cases.path("damaged.npz"), "wb").write(text)
    cases.refuse(cases.path("damaged.npz"), "checksum", 3, *COUNTS)
    np.savez_compressed(cases.path("bomb.npz"), counts=np.zeros((20, 1024, 1024), np.uint8))
    assert os.path.getsize(cases.path("bomb.npz")) < 60000
    cases.refuse(cases.path("bomb.npz"), "no recording packs so tightly", 3, *COUNTS)
    with open(cases.path("large.npy"), "wb") as file:  # mostly a hole
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (1025, 1024, 128)}
        )
        file.truncate(file.tell() + 1025 * 1024 * 128)
    cases.refuse(cases.path("large.npy"), "at most 134217728 are read at once", 3, *COUNTS)


def check_counted_by_every_rank(cases, rng):
    """SGLang's mode stat sums over ranks that may all have counted each token."""
    counts = consistent_counts(rng)

    def table(values):
        return cases.text("stat.json", {"logical_count": values.tolist()})

    found = cases.accept(table(8 * counts), "--top-k", "2", notes=["every count is a multiple of 8"])
    assert np.array_equal(found["counts"], counts)
    found = cases.accept(table(8 * counts), "--top-k", "2", "--counted-times", "1")
    assert np.array_equal(found["counts"], 8 * counts)
    assert np.array_equal(cases.accept(cases.npy(4 * counts), *COUNTS, "--counted-times", "4")["counts"], counts)
    cases.refuse(cases.npy(counts), "not all counts are multiples", 2, *COUNTS, "--counted-times", "5")


def main():
    rng = np.random.default_rng(3)
    with tempfile.TemporaryDirectory() as folder:
        cases = Cases(sys.argv[1], folder)
        for check in (
            check_no_counts,
            check_plain,
            check_csv,
            check_ranks,
            check_lines,
            check_archives,
            check_counted_by_every_rank,
        ):
            check(cases, rng)
    print("what is recorded came out, what isn't was left out or refused")


if __name__ == "__main__":
    main()
