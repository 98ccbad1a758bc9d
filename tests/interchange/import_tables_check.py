#!/usr/bin/env python3
"""Tables of counts as people write them: columns and members under other names, nested in any order, by rank, by file;
and what looks like counts and isn't, each kind refused by name.

    import_tables_check.py GEM_TRACE
"""

import datetime
import json
import sys
import tempfile

import numpy as np

from import_cases import COUNTS, Cases, consistent_counts, routing

K = ["--top-k", "2"]


def lines_of(header, rows, separator=","):
    return separator.join(header) + "\n" + "".join(separator.join(map(str, row)) + "\n" for row in rows)


def long_rows(counts, step=str, layer=int, expert=int, count=int):
    return [(step(t), layer(l), expert(e), count(counts[t, l, e])) for t, l, e in np.ndindex(counts.shape)]


def equal(found, counts, layers=None):
    assert np.array_equal(found["counts"], counts), found["counts"]
    if layers is not None:
        assert list(found["layer_ids"]) == list(layers), list(found["layer_ids"])


def check_column_names(cases, counts):
    start = datetime.datetime(2026, 3, 1)
    stamps = {
        "step": str,
        "iteration": str,
        "step_id": str,
        "Forward Pass": str,
        "forwardPassId": str,
        "batch_idx": str,
        "decode_step": str,
        "timestamp": lambda t: f"{1.7e9 + 0.25 * t:.2f}",
        "time": lambda t: (start + datetime.timedelta(seconds=t)).isoformat(),
        "window": lambda t: f"w{t}",
    }
    for name, write in stamps.items():
        text = lines_of([name, "layer", "expert", "count"], long_rows(counts, step=write))
        equal(cases.accept(cases.text("a.csv", text), *K), counts, range(3))
    for header in (
        ["step", "layer_id", "expert_id", "num_tokens"],
        ["Step", "Layer", "Expert", "Tokens"],
        ["stepId", "layerId", "expertId", "tokenCount"],
        ["step id", "Layer ID", "Expert ID", "Token Count"],
        ["stepid", "layeridx", "expertindex", "numtokens"],
        ["step", "decoder_layer", "logical_expert", "hits"],
        ['"step"', '"layer"', '"expert"', '"count"'],
        ["step", "block", "routed_expert", "activation_count"],
    ):
        for separator in (",", ";", "\t", "|"):
            text = lines_of(header, long_rows(counts), separator)
            equal(cases.accept(cases.text("a.csv", text), *K), counts, range(3))
    text = lines_of(["step", "layer", "expert", "count"], long_rows(counts), " ")
    equal(cases.accept(cases.text("a.txt", text), *K), counts)
    text = lines_of(["step", "layer", "expert", "count"], long_rows(counts, count=float, expert=float))
    equal(cases.accept(cases.text("floats.csv", text), *K), counts)
    text = lines_of(["step", "layer", "expert", "count"], long_rows(counts, count=lambda n: f'"{n}"'))
    equal(cases.accept(cases.text("quoted.csv", text), *K), counts)
    names = long_rows(counts, layer=lambda n: f"model.layers.{n + 3}.mlp", expert=lambda n: f"expert_{n}")
    equal(cases.accept(cases.text("names.csv", lines_of(["step", "layer", "expert", "n"], names)), *K), counts, [3, 4, 5])

    odd = lines_of(["tick_of_day", "where", "who", "much"], long_rows(counts))
    cases.refuse(cases.text("odd.csv", odd), "--columns", 3, *K)
    equal(cases.accept(cases.text("odd.csv", odd), *K, "--columns", "step=tick_of_day,layer=where,expert=who,count=much"), counts)
    cases.refuse(cases.text("odd.csv", odd), "names the column 'x'", 2, *K, "--columns", "step=x")
    cases.refuse(cases.text("odd.csv", odd), "must say what columns hold", 2, *K, "--columns", "foo=x")


def check_time_that_is_none(cases, counts):
    """A column that may be the time axis is never summed over in silence."""
    total = counts.sum(axis=0)
    for name in ("tick_of_day", "note", "request_id", "epoch_ns_of_day"):
        text = lines_of([name, "layer", "expert", "count"], long_rows(counts))
        cases.refuse(cases.text("a.csv", text), f"'{name}' may tell the two apart", 3, *K)
        equal(cases.accept(cases.text("a.csv", text), *K, "--columns", f"step={name}"), counts)
        found = cases.accept(cases.text("a.csv", text), *K, "--columns", f"ignore={name}", notes=["NO TIME AXIS"])
        equal(found, total[None])
    text = lines_of(["step", "phase", "layer", "expert", "count"], [("0", t, *rest) for t, *rest in long_rows(counts)])
    cases.refuse(cases.text("a.csv", text), "'phase' may tell", 3, *K)
    every = [(i, l, e, n) for i, (t, l, e, n) in enumerate(long_rows(counts))]
    cases.refuse(cases.text("a.csv", lines_of(["timestamp", "layer", "expert", "count"], every)), "what was taken for the step is none", 3, *K)
    twice = lines_of(["layer", "expert", "count"], [row[1:] for row in long_rows(counts)])
    cases.refuse(cases.text("a.csv", twice), "names step 0, layer 0, expert 0 again", 3, *K)
    equal(cases.accept(cases.text("a.csv", twice), *K, "--add-repeated"), total[None])
    records = [{"when": t, "layer": l, "counts": counts[int(t), l].tolist()} for t, l in np.ndindex(counts.shape[:2])]
    cases.refuse(cases.text("a.json", [{**r, "when": f"x{r['when']}"} for r in records]), "'when' may tell", 3, *K)
    equal(cases.accept(cases.text("a.json", records), *K, "--columns", "step=when"), counts)


def check_rank_columns(cases, rng, counts):
    other = consistent_counts(rng)
    both = [(rank, *row) for rank, values in enumerate((counts, other)) for row in long_rows(values)]
    for name in ("rank", "ep_rank", "device", "gpu_id", "worker", "rankId"):
        found = cases.accept(cases.text("a.csv", lines_of([name, "step", "layer", "expert", "count"], both)), *K)
        equal(found, counts + other)
    header = ["rank", "step", "layer", "expert", "count"]
    missing = [row for row in both if not (row[0] == 1 and row[1] == "2")]
    found = cases.accept(cases.text("a.csv", lines_of(header, missing)), *K, notes=["1 of 4 steps (2) were not recorded by all 2 ranks"])
    equal(found, (counts + other)[[0, 1, 3]])
    cases.accept(cases.text("a.csv", lines_of(header, missing)), *K, "--keep-partial", notes=["PARTIAL SUMS"])
    gap = [(2 * rank, *row) for rank, *row in both]
    cases.refuse(cases.text("a.csv", lines_of(header, gap)), "of ranks 0 to 2, 1 is missing", 3, *K)
    cases.refuse(cases.text("a.csv", lines_of(header, both)), "of ranks 0 to 3, 2-3 are missing", 3, *K, "--ranks", "4")
    local = lines_of(["rank", "step", "layer", "local_expert", "count"], both)
    cases.refuse(cases.text("a.csv", local), "experts within a rank", 3, *K)
    cases.refuse(cases.text("a.csv", lines_of(header, both)), "numbers within a rank", 3, *K, "--experts", "16")
    slots = lines_of(["step", "layer", "physical_expert_id", "count"], long_rows(counts))
    cases.refuse(cases.text("a.csv", slots), "numbers of slots", 3, *K)
    equal(cases.accept(cases.text("a.csv", slots), *K, "--columns", "expert=physical_expert_id"), counts)
    records = [{"rank": rank, "step": int(t), "layer": l, "expert": e, "count": n} for rank, t, l, e, n in both]
    equal(cases.accept(cases.text("a.json", records), *K), counts + other)
    kept = [r for r in records if not (r["rank"] == 0 and r["step"] == 1)]
    cases.accept(cases.text("a.json", kept), *K, notes=["1 of 4 steps (1) were not recorded by all 2 ranks"])


def check_matrices(cases, counts):
    one = counts[0]
    body = "".join(",".join(map(str, row)) + "\n" for row in one)
    header = ",".join(map(str, range(8))) + "\n"
    found = cases.accept(cases.text("a.csv", header + body), *K, notes=["taken for a header of experts"])
    equal(found, one[None])
    found = cases.accept(cases.text("a.csv", header + body), *K, "--columns", "none")
    equal(found, np.concatenate([[range(8)], one])[None])
    indexed = "," + header + "".join(f"{i + 3}," + ",".join(map(str, row)) + "\n" for i, row in enumerate(one))
    equal(cases.accept(cases.text("a.csv", indexed), *K, notes=["no name, is taken for the layer"]), one[None], [3, 4, 5])
    named = ",".join(f"expert_{e}" for e in range(8)) + "\n" + body
    equal(cases.accept(cases.text("a.csv", named), *K, notes=["lines are layers in their order"]), one[None])
    counted = ",".join(map(str, range(1, 9))) + "\n" + body
    cases.refuse(cases.text("a.csv", counted), "counts from 1 to 8", 3, *K)
    numbered = "".join(f"{i}," + ",".join(map(str, row)) + "\n" for i, row in enumerate(one))
    cases.refuse(cases.text("a.csv", numbered), "its first column counts the lines", 3, *K)
    equal(cases.accept(cases.text("a.csv", numbered), *K, "--columns", "layer=1"), one[None])
    bare = "".join(",".join(map(str, row)) + "\n" for row in long_rows(counts))
    cases.refuse(cases.text("a.csv", bare), "only count up", 3, *K)
    equal(cases.accept(cases.text("a.csv", bare), *K, "--columns", "step=1,layer=2,expert=3,count=4"), counts)
    table = np.array([[int(t), l, e, n] for t, l, e, n in long_rows(counts)])
    cases.refuse(cases.npy(table), "only count up", 3, *COUNTS)
    wide = lines_of(["step", "layer"] + [f"E{e}" for e in range(8)], [(t, l, *counts[t, l]) for t, l in np.ndindex(counts.shape[:2])])
    equal(cases.accept(cases.text("a.csv", wide), *K), counts)
    by_layer = lines_of(["step", "expert"] + [f"layer_{l}" for l in range(3)], [(t, e, *counts[t, :, e]) for t in range(4) for e in range(8)])
    equal(cases.accept(cases.text("a.csv", by_layer), *K), counts)
    pairs = lines_of(["iter"] + [f"layer{l}_expert{e}" for l in range(3) for e in range(8)], [(t, *counts[t].ravel()) for t in range(4)])
    equal(cases.accept(cases.text("a.csv", pairs), *K), counts)
    cut = lines_of(["step", "layer", "expert", "count"], long_rows(counts)[: -8 - 3])
    found = cases.accept(cases.text("a.csv", cut), *K, notes=["1 step (3) was not recorded whole"])
    equal(found, counts[:3])


def check_nesting(cases, rng, counts):
    """JSON, JSON lines and NPZ by layer and step in any order."""
    listed, total = counts.tolist(), counts[0]
    by_layer = [{"layer_id": l + 3, "counts": total[l].tolist()} for l in range(3)]
    for table in (
        by_layer,
        {"layers": by_layer},
        {"model": "x", "layers": [{"id": l + 3, "experts": total[l].tolist()} for l in range(3)]},
        {f"layer_{l + 3}": total[l].tolist() for l in range(3)},
        {"layers": {str(l + 3): total[l].tolist() for l in range(3)}},
        {str(l + 3): [str(n) for n in total[l]] for l in range(3)},
        {f"model.layers.{l + 3}.mlp.experts.{e}": float(total[l, e]) for l, e in np.ndindex(total.shape)},
        {"layer_ids": [3, 4, 5], "num_experts": 8, "counts": total.tolist()},
        [{"layerId": l + 3, "expertId": e, "tokenCount": int(total[l, e])} for l, e in np.ndindex(total.shape)],
        {"layer": [l + 3 for l in range(3) for e in range(8)], "expert": list(range(8)) * 3, "count": total.ravel().tolist()},
        [{"layer": l + 3, "expert_ids": list(range(8)), "counts": total[l].tolist()} for l in range(3)],
        {f"layer_{l + 3}": {f"expert_{e}": int(total[l, e]) for e in range(8)} for l in range(3)},
    ):
        found = cases.accept(cases.text("a.json", table), *K, notes=["NO TIME AXIS"])
        equal(found, total[None], [3, 4, 5])
    equal(cases.accept(cases.text("a.json", {"layers": total.tolist()}), *K), total[None])

    steps = [
        {"steps": {str(t): {str(l): counts[t, l].tolist() for l in range(3)} for t in range(4)}},
        {"steps": [{"step": t, "layers": [{"layer": l, "counts": counts[t, l].tolist()} for l in range(3)]} for t in range(4)]},
        {"steps": listed},
        {"layers": {str(l): {f"step_{t}": counts[t, l].tolist() for t in range(4)} for l in range(3)}},
        {"layers": [counts[:, l].tolist() for l in range(3)]},
        {f"step_{t}": counts[t].tolist() for t in range(4)},
        {f"iter{t}": {str(l): counts[t, l].tolist() for l in range(3)} for t in range(4)},
        {str(t): {str(l): counts[t, l].tolist() for l in range(3)} for t in range(4)},
        [{"step": t, "counts": listed[t]} for t in range(4)],
        [{"counts": listed[t]} for t in range(4)],
        [{f"layer_{l}": counts[t, l].tolist() for l in range(3)} for t in range(4)],
        [{"step": t, "layer": l, "counts": counts[t, l].tolist()} for t, l in np.ndindex(4, 3)],
        [{"step": float(t), "layer": str(l), "expert": e, "count": f"{counts[t, l, e]}.0"} for t, l, e in np.ndindex(4, 3, 8)],
        {"data": {"history": listed}, "top_k": 2},
    ]
    for table in steps:
        equal(cases.accept(cases.text("a.json", table), *K), counts)
        if isinstance(table, list):
            lines = "".join(json.dumps(line) + "\n" for line in table)
            equal(cases.accept(cases.text("a.jsonl", lines), *K), counts)
            found = cases.accept(cases.text("a.jsonl", lines + '{"step": 9, "la'), *K, notes=["is cut"])
            equal(found, counts)
    equal(cases.accept(cases.text("a.json", {"counts": listed, "top_k": 2})), counts)
    np.savez(cases.path("a.npz"), **{f"layer_{l + 3}": counts[:, l] for l in range(3)})
    equal(cases.accept(cases.path("a.npz"), *COUNTS), counts, [3, 4, 5])
    np.savez(cases.path("a.npz"), **{f"step{t}": counts[t] for t in range(4)}, model="x")
    equal(cases.accept(cases.path("a.npz"), *COUNTS), counts)
    np.savez(cases.path("a.npz"), counts, )
    equal(cases.accept(cases.path("a.npz"), *COUNTS), counts)

    same = consistent_counts(rng, steps=3)
    same = np.stack([same[0]] * 3)
    unclear = {str(i): same[i].tolist() for i in range(3)}
    cases.refuse(cases.text("a.json", unclear), "whether its outer level is the step or the layer", 3, *K)
    equal(cases.accept(cases.text("a.json", unclear), *K, "--axes", "step,layer,expert"), same)
    cases.refuse(cases.text("a.json", {"a": listed, "b": listed}), "has the members 'a', 'b'", 3, *K)
    cases.refuse(cases.text("a.json", [1, 2, 3]), "doesn't say", 3, *K)


def check_files(cases, rng, counts):
    other = consistent_counts(rng)
    for names in (["load_rank0.npy", "load_rank1.npy"], ["a.rank-0.npy", "a.rank-1.npy"], ["ep0_load.npy", "ep1_load.npy"]):
        paths = [cases.npy(values, name) for name, values in zip(names, (counts, other))]
        equal(cases.accept(paths, *COUNTS), counts + other)
        cases.refuse(paths, "of ranks 0 to 3, 2-3 are missing", 3, *COUNTS, "--ranks", "4")
    lone = cases.npy(counts, "load_rank3.npy")
    cases.refuse(lone, "of ranks 0 to 3, 0-2 are missing", 3, *COUNTS)
    equal(cases.accept(lone, *COUNTS, "--keep-partial", notes=["PARTIAL SUMS"]), counts)
    cases.accept(cases.npy(counts, "load_rank0.npy"), *COUNTS, notes=["rank 0 alone"])
    equal(cases.accept(cases.npy(counts, "load_tp8.npy"), *COUNTS), counts)
    cases.refuse(cases.npy(counts), "counts of 4 ranks are wanted (--ranks)", 3, *COUNTS, "--ranks", "4")
    equal(cases.accept([cases.npy(counts, "x.npy"), cases.npy(other, "y.npy")], *COUNTS, "--ranks", "2"), counts + other)
    cases.refuse([cases.npy(counts, "x.npy"), cases.npy(other, "y.npy")], "there are files of 2", 3, *COUNTS, "--ranks", "3")
    again = [cases.npy(counts, "rank0_a.npy"), cases.npy(other, "rank0_b.npy"), cases.npy(other + 1, "rank1_b.npy")]
    cases.refuse(again, "files of several recordings", 3, *COUNTS)
    steps = [cases.npy(counts[t], f"step_{t}.npy") for t in range(4)]
    equal(cases.accept(steps, *COUNTS), counts)
    layers = [cases.npy(counts[:, l], f"layer{l + 3}.npy") for l in range(3)]
    equal(cases.accept(layers, *COUNTS), counts, [3, 4, 5])


def check_counts_that_look_like_ids(cases):
    """Never the same twice in a row, and yet counts: they add up to tokens of top-k experts each."""
    counts = np.array([[[2 * ((e * 7 + s * 3 + l) % 11) for e in range(8)] for l in range(3)] for s in range(8)])
    equal(cases.accept(cases.npy(counts), *COUNTS), counts)
    rows = lines_of(("step", "layer", "expert", "count"), long_rows(counts))
    equal(cases.accept(cases.text("a.csv", rows), *K), counts)


def check_other_than_counts(cases, rng, counts):
    """Maps, ids, copies and running totals in every form."""
    experts = np.stack([rng.permutation(16) for _ in range(3)])
    copies = np.stack([np.concatenate([rng.permutation(16), rng.permutation(16)[:4]]) for _ in range(3)])
    maps = {
        "[layer, slot]": experts,
        "[layer, rank, slot]": experts.reshape(3, 4, 4),
        "[layer, rank, slot] with copies": copies.reshape(3, 4, 5),
        "[rank, layer, slot]": experts.reshape(3, 4, 4).transpose(1, 0, 2),
        "[slot, layer]": experts.T,
        "[layer, expert] to device": np.stack([rng.permutation(np.repeat(np.arange(4), 4)) for _ in range(3)]),
        "each twice": np.stack([rng.permutation(np.repeat(np.arange(16), 2)) for _ in range(3)]),
        "one layer [rank, slot]": rng.permutation(16).reshape(4, 4),
        "[layer, expert, copy] to slot": np.stack([experts, np.full((3, 16), -1)], axis=2),
    }
    for what, array in maps.items():
        cases.refuse(cases.npy(np.ascontiguousarray(array)), "a map", 3, *COUNTS)
        if array.ndim == 2 and "slot, layer" not in what and "one layer" not in what:
            for table in (
                {str(l): row.tolist() for l, row in enumerate(array)},
                {"layers": [{"layer": l, "experts": row.tolist()} for l, row in enumerate(array)]},
                {"steps": {"0": {str(l): row.tolist() for l, row in enumerate(array)}}},
                {f"layer_{l}": {str(e): int(n) for e, n in enumerate(row)} for l, row in enumerate(array)},
            ):
                cases.refuse(cases.text("a.json", table), "a map", 3, *K)
            wide = lines_of(["layer"] + [f"e{e}" for e in range(array.shape[1])], [(l, *row) for l, row in enumerate(array)])
            cases.refuse(cases.text("a.csv", wide), "a map", 3, *K)
            np.savez(cases.path("a.npz"), **{f"layer_{l}": row for l, row in enumerate(array)})
            cases.refuse(cases.path("a.npz"), "a map", 3, *COUNTS)
    copy_counts = np.stack([rng.permutation([1] * 12 + [2] * 4) for _ in range(3)])
    cases.refuse(cases.npy(copy_counts), "numbers of copies", 3, *COUNTS)
    for name in ("physical_count", "slot_load"):
        cases.refuse(cases.text("a.json", {name: counts.tolist()}), "counts of slots", 3, *K)
    beside = {"expert_load": counts.tolist(), "p2l_map": [list(range(8))] * 3}
    cases.refuse(cases.text("a.json", beside), "may be counts of slots", 3, *K)
    equal(cases.accept(cases.text("a.json", {"logical_count": counts.tolist(), "physical_to_logical_map": [list(range(8))] * 3}), *K), counts)

    ids = routing(rng, tokens=200, layers=3, experts=16, k=4)
    for array in (ids, ids.transpose(1, 0, 2), ids.transpose(1, 2, 0), ids[:, 0]):
        for k in ("4", "2"):
            cases.refuse(cases.npy(np.ascontiguousarray(array)), "ids of experts", 3, "--format", "counts", "--top-k", k)
    cases.refuse(cases.text("a.json", {str(l): ids[:, l].tolist() for l in range(3)}), "ids of experts", 3, "--top-k", "4")
    records = [{"token": t, "layer": l, "experts": ids[t, l].tolist()} for t, l in np.ndindex(ids.shape[:2])]
    cases.refuse(cases.text("a.json", records), "'token' may tell", 3, "--top-k", "4")

    running = np.cumsum(counts, axis=0)
    reset = np.concatenate([np.cumsum(np.tile(counts, (3, 1, 1)), axis=0), running])
    for totals in (running, reset):
        csv = lines_of(["step", "layer", "expert", "count"], long_rows(totals))
        for path, options in ((cases.npy(totals), COUNTS), (cases.text("a.json", totals.tolist()), K), (cases.text("a.csv", csv), K)):
            cases.refuse(path, "totals since the recorder began", 3, *options)
            cases.accept(path, *options, "--cumulative", "no")
    equal(cases.accept(cases.npy(running), *COUNTS, "--cumulative", "yes"), counts[1:])
    found = cases.accept(cases.npy(reset), *COUNTS, "--cumulative", "yes", notes=["2 steps at which the totals begin"])
    equal(found, np.concatenate([np.tile(counts, (3, 1, 1))[1:], counts[1:]]))
    cases.refuse(cases.npy(counts[0]), "no steps whose differences", 2, *COUNTS, "--cumulative", "yes")


def check_lines_in_json(cases, counts):
    """Tables of lines as pandas and others save them in JSON and NPZ."""
    names, rows = ["step", "layer", "expert", "count"], [(int(t), *rest) for t, *rest in long_rows(counts)]
    columns = dict(zip(names, map(list, zip(*rows))))
    for table in (
        columns,
        {"columns": names, "index": list(range(len(rows))), "data": rows},
        {"header": names, "rows": rows},
        [names, *rows],
        {name: {str(i): row[n] for i, row in enumerate(rows)} for n, name in enumerate(names)},
        {str(i): dict(zip(names, row)) for i, row in enumerate(rows)},
        {"records": [dict(zip(names, row)) for row in rows]},
    ):
        equal(cases.accept(cases.text("a.json", table), *K), counts, range(3))
    np.savez(cases.path("a.npz"), **columns)
    equal(cases.accept(cases.path("a.npz"), *COUNTS), counts, range(3))
    cases.refuse(cases.text("a.json", rows), "only count up", 3, *K)


def check_what_else_is_in_tables(cases, rng, counts):
    """Totals beside the counts, draft models, experts from 1 on, columns that nobody knows."""
    total = counts[0]
    with_total = np.concatenate([counts, counts.sum(axis=2, keepdims=True)], axis=2)
    cases.refuse(cases.npy(with_total), "expert 8 gets as much as all others together", 3, *COUNTS)
    cases.refuse(cases.text("a.json", np.roll(with_total, 1, axis=2)[0].tolist()), "expert 0 gets as much", 3, *K)
    wide = lines_of(["layer"] + [f"e{e}" for e in range(8)] + ["total"], [(l, *row, row.sum()) for l, row in enumerate(total)])
    equal(cases.accept(cases.text("a.csv", wide), *K, notes=["'total' aren't read"]), total[None])

    from_one = [(t, l, e + 1, n) for t, l, e, n in long_rows(counts)]
    header = ["step", "layer", "expert", "count"]
    cases.refuse(cases.text("a.csv", lines_of(header, from_one)), "may be numbered from 1", 3, *K)
    cases.refuse(cases.text("a.csv", lines_of(header, from_one)), "may be numbered from 1", 3, *K, "--experts", "8")
    assert cases.accept(cases.text("a.csv", lines_of(header, from_one)), *K, "--experts", "9")["counts"].shape[2] == 9

    draft = [(t, l + 3, e, n) for t, l, e, n in long_rows(consistent_counts(rng, layers=1))]
    for name, main, other in (("model", "main", "draft"), ("is_draft", 0, 1), ("model_name", "a", "b"), ("mtp", "no", "yes")):
        both = [(main, *row) for row in long_rows(counts)] + [(other, *row) for row in draft]
        found = cases.accept(cases.text("a.csv", lines_of([name, *header], both)), *K, notes=["two models are in one table"])
        equal(found, counts, range(3))
        records = [dict(zip([name, *header], row)) for row in both]
        equal(cases.accept(cases.text("a.json", records), *K, notes=["two models are in one table"]), counts, range(3))
    both = [("a", *row) for row in long_rows(counts)] + [("b", *row) for row in long_rows(counts)]
    cases.refuse(cases.text("a.csv", lines_of(["model", *header], both)), "make a file of each model", 3, *K)
    known = [("x", *row, 1.5) for row in long_rows(counts)]
    found = cases.accept(cases.text("a.csv", lines_of(["model", *header, "weight"], known)), *K, notes=["'weight' aren't read"])
    equal(found, counts)


def check_what_lacks(cases, rng, counts):
    """Steps without all layers, ranks of other experts or layers, files that are no text."""
    records = [{"step": t, "layer": l, "counts": counts[t, l].tolist()} for t, l in np.ndindex(4, 3) if (t, l) != (1, 2)]
    found = cases.accept(cases.text("a.json", records), *K, notes=["1 step (1) was not recorded whole (layers lack"])
    equal(found, counts[[0, 2, 3]])
    assert len(cases.accept(cases.text("a.json", records), *K, "--keep-partial", notes=["WARNING: layer 2 got no token in 1 of 4"])["counts"]) == 4

    halves = [cases.npy(np.ascontiguousarray(half), f"x_rank{r}.npy") for r, half in enumerate((counts[..., :4], counts[..., 4:]))]
    cases.refuse(halves, "each holds other experts, which have the same numbers", 3, *COUNTS)
    apart = [np.concatenate([counts[..., :4], 0 * counts[..., 4:]], axis=2), np.concatenate([0 * counts[..., :4], counts[..., 4:]], axis=2)]
    equal(cases.accept([cases.npy(half, f"x_rank{r}.npy") for r, half in enumerate(apart)], *COUNTS), counts)
    stages = [cases.npy(counts[:, :2], "x_rank0.npy"), cases.npy(counts[:, 2:], "x_rank1.npy")]
    cases.refuse(stages, "has 1 layers, but", 3, *COUNTS)
    stages = [cases.npy(counts[:, :2], "x_pp0.npy"), cases.npy(counts[:, 1:], "x_pp1.npy")]
    cases.refuse(stages, "a stage of a pipeline", 3, *COUNTS)
    by_name = [{f"layer_{l}": counts[:, l].tolist() for l in own} for own in ((0, 1), (2,))]
    equal(cases.accept([cases.text(f"x_pp{r}.json", table) for r, table in enumerate(by_name)], *K), counts)

    with open(cases.path("wide.csv"), "wb") as file:
        file.write("step,layer,expert,count\n0,0,0,5\n".encode("utf-16"))
    cases.refuse(cases.path("wide.csv"), "save it as UTF-8", 3, *K)
    cases.refuse(cases.text("a.json", {"layer_-1": counts[0, 0].tolist()}), "doesn't say the layer", 3, *K)
    header, rows = ["step", "layer", "expert", "count"], long_rows(counts)
    twice = lines_of(header, rows[:48]) + lines_of(header, rows[48:])
    equal(cases.accept(cases.text("a.csv", twice), *K), counts)
    thin = lines_of(header, [(t, l, 65535, 1) for t in range(20000) for l in range(2)])
    cases.refuse(cases.text("a.csv", thin), "are too few for", 3, "--top-k", "1")
    cases.refuse(cases.text("a.json", {}), "without counts", 3, *K)
    cases.refuse(cases.text("a.json", []), "holds no counts", 3, *K)


def check_ids(cases, rng):
    """Routed experts: of prompts and of what was decoded, in types that are too small, with axes in another order."""
    prompt, decoded = routing(rng, tokens=9), routing(rng, tokens=5)
    answer = {
        "prompt_routed_experts": prompt.tolist(),
        "choices": [{"index": 0, "routed_experts": decoded.tolist()}],
    }
    path, options = cases.text("a.json", answer), ["--experts", "8", "--top-k", "2"]
    found = cases.accept(path, *options, notes=["routed experts of 1 prompts beside", "--phase prefill reads the others"])
    assert np.array_equal(found["topk_ids"], decoded)
    found = cases.accept(path, *options, "--phase", "prefill", notes=["--phase decode reads the others"])
    assert np.array_equal(found["topk_ids"], prompt)
    found = cases.accept(cases.text("a.json", {"promptRoutedExperts": prompt.tolist()}), *options, notes=["--phase prefill, so that"])
    assert np.array_equal(found["topk_ids"], prompt)
    lines = "".join(json.dumps(answer) + "\n" for _ in range(3))
    assert len(cases.accept(cases.text("a.jsonl", lines), *options)["request_offsets"]) == 4

    ids = routing(rng, tokens=40, layers=3, experts=512, k=4)
    byte = ["--format", "vllm-routed", "--experts"]
    cases.refuse(cases.npy(ids.astype(np.uint8)), "its numbers end at 255, but the model's experts at 511", 3, *byte, "512")
    cases.refuse(cases.npy(np.minimum(ids, 127).astype(np.int8)), "end at 127", 3, *byte, "256")
    cases.refuse(cases.npy(ids.astype(np.uint8)), "end at 255", 3, *byte, "200", "--zero-experts", "100")
    cases.accept(cases.npy(ids.astype(np.uint16)), *byte, "512")
    few = routing(rng, tokens=40, layers=3, experts=256, k=4)
    assert np.array_equal(cases.accept(cases.npy(few.astype(np.uint8)), *byte, "256")["topk_ids"], few)

    for values in (few.astype(float).tolist(), few.astype(str).tolist()):
        path = cases.text("a.json", {"routed_experts": values})
        assert np.array_equal(cases.accept(path, "--experts", "256")["topk_ids"], few)
    assert np.array_equal(cases.accept(cases.npy(few.astype(float)), *byte, "256")["topk_ids"], few)
    np.savez(cases.path("a.npz"), topk_ids=few, topk_weights=np.full(few.shape, 0.25))
    found = cases.accept(cases.path("a.npz"), *byte, "256", notes=["arrays topk_weights.npy"])
    assert np.array_equal(found["topk_ids"], few)

    turned = np.ascontiguousarray(few.transpose(1, 0, 2))
    cases.refuse(cases.npy(turned), "--axes layer,token,k", 3, *byte, "256")
    cases.refuse(cases.npy(turned), "--axes layer,token,k", 3, *byte, "256", "--layer-ids", "3-5")
    cases.refuse(cases.text("a.json", turned[:, :, :2].tolist()), "--axes layer,token,k", 3, "--format", "vllm-routed", "--layer-ids", "3-5")
    wide = few.reshape(3, 40, 4)[:, :, :2]  # few tokens, or few layers
    cases.refuse(cases.text("a.json", wide.tolist()), "were it [token, layer, k]", 3, "--format", "vllm-routed")
    named = cases.text("a.json", {"routed_experts": wide.tolist()})
    assert cases.accept(named, "--experts", "256")["topk_ids"].shape[1] == 40
    for axes, order in (("layer,token,k", (1, 0, 2)), ("k,layer,token", (2, 1, 0)), ("token,k,layer", (0, 2, 1))):
        path = cases.npy(np.ascontiguousarray(few.transpose(order)))
        assert np.array_equal(cases.accept(path, *byte, "256", "--axes", axes)["topk_ids"], few)
    cases.refuse(cases.npy(few), "must name each of token, layer and k", 2, *byte, "256", "--axes", "step,layer,expert")
    for option in (["--ranks", "4"], ["--tokens", "9"], ["--cumulative", "yes"], ["--columns", "step=x"], ["--counted-times", "2"]):
        cases.refuse(cases.npy(few), f"{option[0]} has no meaning", 2, *byte, "256", *option)
    wide = np.concatenate([consistent_counts(rng), np.full((4, 3, 2), 5)], axis=2)
    assert cases.accept(cases.npy(wide), *COUNTS, "--zero-experts", "2")["counts"].shape[2] == 8
    cut = np.minimum(consistent_counts(rng, tokens=900), 255).astype(np.uint8)
    cases.accept(cases.npy(cut), *COUNTS, notes=["counts reach 255, the most that their type holds"])


def main():
    rng = np.random.default_rng(11)
    counts = consistent_counts(rng)
    with tempfile.TemporaryDirectory() as folder:
        cases = Cases(sys.argv[1], folder)
        check_column_names(cases, counts)
        check_time_that_is_none(cases, counts)
        check_rank_columns(cases, rng, counts)
        check_matrices(cases, counts)
        check_nesting(cases, rng, counts)
        check_files(cases, rng, counts)
        check_counts_that_look_like_ids(cases)
        check_other_than_counts(cases, rng, counts)
        check_lines_in_json(cases, counts)
        check_what_else_is_in_tables(cases, rng, counts)
        check_what_lacks(cases, rng, counts)
        check_ids(cases, rng)
    print("tables came out as they were meant, what is no table of counts was refused by name")


if __name__ == "__main__":
    main()
