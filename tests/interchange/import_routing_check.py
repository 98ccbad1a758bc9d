#!/usr/bin/env python3
"""Imports routed experts as engines return them, whole and broken: what is no routing is left out or refused by name.

    import_routing_check.py GEM_TRACE
"""

import base64
import io
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

from import_cases import COUNTS, ROUTED, Cases, consistent_counts, routing


def check_routing(cases, rng):
    ids = routing(rng)
    whole = cases.accept(cases.npy(ids.astype(np.int16)), *ROUTED)
    assert np.array_equal(whole["topk_ids"], ids) and "left out" not in whole["told"]

    cases.refuse(
        cases.npy(np.zeros((546, 40, 8), np.uint8)), "no routing", 3, "--format", "vllm-routed", "--experts", "256"
    )
    cases.refuse(cases.npy(np.full((20, 3, 2), 5)), "no routing", 3, *ROUTED)
    broken = ids.copy()
    broken[5, 1] = 2
    found = cases.accept(cases.npy(broken), *ROUTED, notes=["1 of 40 tokens name an expert twice"])
    assert np.array_equal(found["topk_ids"], np.delete(ids, 5, axis=0))
    for blank in (-1, 0):  # prompts that were not recorded, padding
        broken = ids.copy()
        broken[10:20] = blank
        found = cases.accept(
            cases.npy(broken), *ROUTED, notes=["10 of 40 tokens hold no routing"] if blank < 0 else ["10 of 40 tokens"]
        )
        assert np.array_equal(found["topk_ids"], np.delete(ids, range(10, 20), axis=0))
    rewritten = routing(rng, k=4)
    rewritten[rewritten > 5] = 0  # zero experts, rewritten to 0
    cases.accept(cases.npy(rewritten), *ROUTED, notes=["name an expert twice", "more than half of the tokens"])
    every = np.zeros((3, 1, 2), int)
    cases.refuse(cases.npy(np.concatenate([every, every])), "no routing", 3, *ROUTED)

    # Dense layers are rows of zeros among all decoder layers; a token fails in a recorded layer only.
    dense = np.insert(ids, 0, 0, axis=1)
    found = cases.accept(
        cases.npy(dense.astype(np.uint8)), *ROUTED, notes=["recorded layer 0 holds no routing", "numbers of their rows"]
    )
    assert np.array_equal(found["topk_ids"], ids) and list(found["layer_ids"]) == [1, 2, 3]
    lite = np.concatenate([np.zeros((20, 1, 6), int), routing(rng, 20, 26, 64, 6)], axis=1)
    for rows, note in (
        (lite, "recorded layer 0"),
        (np.concatenate([lite, lite[:, 1:2]], axis=1), "1 of 28 recorded layers lie behind"),
    ):
        found = cases.accept(
            cases.npy(rows.astype(np.uint16)), "--format", "vllm-routed", "--model", "deepseek-v2-lite", notes=[note]
        )
        assert list(found["layer_ids"]) == list(range(1, 27)) and np.array_equal(found["topk_ids"], lite[:, 1:])
    cases.refuse(
        cases.npy(lite[:, :10]), "the data have 10 layers", 2, "--format", "vllm-routed", "--model", "deepseek-v2-lite"
    )

    for unsigned_type in (np.uint8, np.uint16, np.uint32):
        unsigned = ids.astype(unsigned_type)
        unsigned[7] = np.iinfo(unsigned_type).max  # -1 without a sign
        cases.accept(cases.npy(unsigned), *ROUTED, notes=["1 of 40 tokens hold no routing"])
    draft = routing(rng, 60, 6, 256, 8)
    draft[:, 0].sort(axis=1)
    cases.accept(
        cases.npy(draft), "--format", "vllm-routed", "--experts", "256", notes=["recorded layer 0 alone", "draft"]
    )
    single = rng.integers(0, 16, (30, 6, 1))
    single[3] = 0
    cases.accept(
        cases.npy(single), "--format", "vllm-routed", "--experts", "16", notes=["1 of 30 tokens hold no routing"]
    )


def check_other_experts(cases, rng):
    ids = routing(rng)
    for shared in (255, 8, 0):
        fused = np.concatenate([ids, np.full((40, 3, 1), shared)], axis=2)
        found = cases.accept(cases.npy(fused), *ROUTED, notes=[f"holds {shared}, a shared expert"])
        assert np.array_equal(found["topk_ids"], ids)
    found = cases.accept(cases.npy(fused), *ROUTED, "--fused-shared", "1")
    assert np.array_equal(found["topk_ids"], ids) and "shared expert" not in found["told"]

    zero = ids.copy()
    zero[::3, :, 1] += 8 * (zero[::3, :, 0] != zero[::3, :, 1])  # every third token chooses a zero expert
    cases.refuse(cases.npy(zero), "--zero-experts", 3, *ROUTED)
    for values, options in ((zero, ["--zero-experts", "8"]), (np.where(zero > 7, -1, zero), [])):
        found = cases.accept(cases.npy(values), *ROUTED, *options, notes=["different numbers of experts, 2 at most"])
        assert found["top_k"] == 2 and np.array_equal(found["topk_ids"], np.where(zero > 7, 65535, zero))
    output = cases.path("ragged.h5")
    done = subprocess.run(
        [cases.gem_trace, "import", "--input", cases.npy(np.where(zero > 7, -1, zero)), *ROUTED, "--output", output],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [cases.gem_trace, "batch", "--routing", output, "--batch-size", "40", "--steps", "1", "--output", cases.output],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with h5py.File(cases.output) as file:
        assert file["counts"][:].sum() == (zero < 8).sum()
    os.remove(cases.output)

    counts = consistent_counts(rng)
    with_shared = np.concatenate([counts, counts.sum(axis=2, keepdims=True) // 2], axis=2)
    found = cases.accept(cases.npy(with_shared), *COUNTS, notes=["expert 8 gets every token"])
    assert np.array_equal(found["counts"], counts)
    found = cases.accept(cases.npy(with_shared), *COUNTS, "--fused-shared", "1", "--experts", "8")
    assert np.array_equal(found["counts"], counts)


def check_json_routing(cases, rng):
    ids = routing(rng)
    raw = base64.b64encode(ids.astype("<i4").tobytes()).decode()
    buffer = io.BytesIO()
    np.save(buffer, ids.astype(np.uint8))
    npy = base64.b64encode(buffer.getvalue()).decode()
    answers = {
        "lists.json": ids.tolist(),
        "member.json": {"routed_experts": ids.tolist()},
        "requests.json": [ids[:9].tolist(), ids[9:].tolist()],
        "sglang.json": {"text": "x", "meta_info": {"id": 1, "routed_experts": raw}},
        "several.json": [
            {"meta_info": {"routed_experts": base64.b64encode(part.astype("<i4").tobytes()).decode()}}
            for part in (ids[:9], ids[9:])
        ],
        "vllm.json": {"choices": [{"index": 0, "routed_experts": npy}, {"index": 1, "routed_experts": None}]},
    }
    for name, answer in answers.items():
        found = cases.accept(cases.text(name, answer), "--top-k", "2", "--experts", "8", "--layer-ids", "3-5")
        assert np.array_equal(found["topk_ids"], ids) and list(found["layer_ids"]) == [3, 4, 5], name
        assert len(found["request_offsets"]) == (3 if name in ("requests.json", "several.json") else 2), name
    lines = "".join(json.dumps({"meta_info": {"routed_experts": raw}}) + "\n" for _ in range(2))
    found = cases.accept(
        cases.text("a.jsonl", lines + lines[:30]),
        "--top-k",
        "2",
        "--experts",
        "8",
        "--layer-ids",
        "3-5",
        notes=["last line (3) is cut", "1 of 2 requests hold the same"],
    )
    assert found["topk_ids"].shape == (80, 3, 2)
    found = cases.accept(
        cases.text("lists.json", ids.tolist()), "--top-k", "2", notes=["8 is taken from the largest number"]
    )
    assert found["num_experts"] == 8
    ragged = [[ids[t, layer, : 1 + (t + layer) % 2].tolist() for layer in range(3)] for t in range(40)]
    cases.accept(cases.text("ragged.json", {"routed_experts": ragged}), *ROUTED, notes=["different numbers of experts"])
    cases.refuse(cases.text("b.json", {"meta_info": {"routed_experts": "AAAAAA=="}}), "--layer-ids", 2, "--top-k", "2")
    cases.refuse(
        cases.text("b.json", {"meta_info": {"routed_experts": "AAAAAA=="}}),
        "holds 4 bytes",
        3,
        "--top-k",
        "2",
        "--layer-ids",
        "0-2",
    )
    cases.refuse(
        cases.text("b.json", {"meta_info": {"routed_experts": "not/base 64"}}),
        "not base64",
        3,
        "--top-k",
        "2",
        "--layer-ids",
        "0-2",
    )
    cases.refuse(cases.text("b.json", {"routed_experts": {"a": 1}}), "routed_experts: must be ids", 3, "--top-k", "2")


def main():
    rng = np.random.default_rng(3)
    with tempfile.TemporaryDirectory() as folder:
        cases = Cases(sys.argv[1], folder)
        for check in (check_routing, check_other_experts, check_json_routing):
            check(cases, rng)
    print("routed experts came out as recorded, what is no routing was left out or refused")


if __name__ == "__main__":
    main()
