#!/usr/bin/env python3
"""Recordings rebuilt from public reports of people who record routing, each by the name of its case, with what is right.

    import_recordings_check.py GEM_TRACE
"""

import base64
import io
import json
import os
import sys
import tempfile

import numpy as np

import torch_files
from import_cases import Cases, consistent_counts, routing
from tiny_checkpoints import write_safetensors

ROUTED = ["--format", "vllm-routed", "--experts", "8"]
COUNTS = ["--format", "counts", "--top-k", "2"]
K = ["--top-k", "2"]

rng = np.random.default_rng(23)
counts = consistent_counts(rng, steps=4, layers=2)
ids = routing(rng)
aggregate = counts[0]


def lines(cases, records, tail=""):
    return "".join(json.dumps(record) + "\n" for record in records) + tail


def load_line(load, slots=range(8), **more):
    record = {"record_type": "eplb_load_stats", "version": 1, "step": 0, "num_ranks": 2}
    return record | {"expert_load": np.asarray(load).tolist(), "p2l_map": [list(slots)] * len(load)} | more


def table(header, values, separator=",", first_layer=0):
    rows = [(first_layer + layer, expert, values[layer, expert]) for layer, expert in np.ndindex(values.shape)]
    return separator.join(header) + "\n" + "".join(separator.join(map(str, row)) + "\n" for row in rows if row[2])


def statistics(cases, name, ranks, experts=8):
    os.makedirs(cases.path(name))
    cases.text(os.path.join(name, "meta_info.json"), {"num_experts": experts, "num_experts_per_token": 2})
    for rank, (values, first) in enumerate(ranks):
        tensors = {f"{first + t}_{3 + l}": values[t, l].astype(np.float64) for t, l in np.ndindex(values.shape[:2])}
        write_safetensors(cases.path(os.path.join(name, f"rank{rank}.safetensors")), tensors)
    return cases.path(name)


def saved(cases, name, value):
    torch_files.save(cases.path(name), value)
    return cases.path(name)


def recorder_file(cases, name, values):
    """What SGLang's recorder saves in mode stat; layers are all decoder layers."""
    tensor = torch_files.Tensor(values.astype(np.int64))
    return saved(cases, name, {"rank": 0, "logical_count": tensor, "average_utilization_rate_over_window": None})


def npy_base64(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return base64.b64encode(buffer.getvalue()).decode()


# What is written, by case, and what must come of it: `right` holds the options, then either the words of the refusal
# and the exit code, or a function that is given what was imported, and the notes.
def cases_of_routing(cases):
    def twice(array, places):
        changed = array.copy()
        changed[places] = changed[places][..., :1]
        return changed

    minus = ids.copy()
    minus[:5] = -1
    longcat = routing(rng, k=4)
    longcat[longcat > 5] = 0
    good = [len(set(row)) == 4 for row in longcat.reshape(-1, 4)]
    whole = np.array(good).reshape(40, 3).all(axis=1)
    whole[:2], longcat[:2] = True, routing(rng, tokens=2, k=4)
    draft = routing(rng, 60, 40, 256, 8)
    draft[:, 0].sort(axis=1)
    fused = np.concatenate([ids, np.full((40, 3, 1), 255)], axis=2)
    zero = ids.copy()
    zero[::3, :, 1] = 8 + zero[::3, :, 1]
    lists = ids.tolist()

    def same(expected):
        return lambda found: np.array_equal(found["topk_ids"], expected)

    all_ids = same(ids)
    yield "i00_ok", cases.npy(ids.astype(np.int16), "i00.npy"), ROUTED, all_ids, []
    yield "i02_minus1", cases.npy(minus.astype(np.int16), "i02.npy"), ROUTED, same(ids[5:]), ["5 of 40 tokens hold no routing"]
    yield "i04_fused_shared255", cases.npy(fused.astype(np.int16), "i04.npy"), ROUTED, all_ids, ["holds 255, a shared expert"]
    one = twice(ids, np.s_[7, 1])
    yield "i04c_one_duplicate", cases.npy(one, "i04c.npy"), ROUTED, same(np.delete(ids, 7, 0)), ["1 of 40 tokens name an expert twice"]
    yield "i13_zero_experts", cases.npy(zero, "i13.npy"), ROUTED, ("--zero-experts", 3), []
    yield "i13_zero_experts, told", cases.npy(zero, "i13.npy"), [*ROUTED, "--zero-experts", "8"], same(np.where(zero > 7, 65535, zero)), ["different numbers of experts"]
    yield "v16314_allzero", cases.npy(np.zeros((546, 40, 8), np.uint8), "v16.npy"), ["--format", "vllm-routed", "--experts", "256"], ("no routing", 3), []
    found = same(longcat[whole])
    yield "s30387_longcat_zero_to_0", cases.npy(longcat.astype(np.int16), "s30.npy"), ROUTED, found, ["name an expert twice", "more than half"]
    yield "v48622_draft_in_layer0", cases.npy(draft.astype(np.uint8), "v48.npy"), ["--format", "vllm-routed", "--experts", "256"], same(draft), ["recorded layer 0 alone", "a draft model"]
    yield "l_routed", cases.text("l.json", lists), K, all_ids, ["8 is taken from the largest number"]
    yield "l_routed_wrapped", cases.text("lw.json", {"routed_experts": lists}), K, all_ids, []
    raw = base64.b64encode(ids.astype("<i4").tobytes()).decode()
    answer = cases.text("i03.json", {"meta_info": {"routed_experts": raw}})
    yield "i03_sglang_response", answer, K, ("without extents, as SGLang returns them", 2), []
    yield "i03_sglang_response, layers told", answer, [*K, "--layer-ids", "0-2"], all_ids, []
    yield "i03 of 4 bytes", cases.text("i03b.json", {"meta_info": {"routed_experts": "AAAAAA=="}}), [*K, "--layer-ids", "0-2"], ("holds 4 bytes", 3), []
    yield "i03 of vLLM", cases.text("i03v.json", {"choices": [{"routed_experts": npy_base64(ids.astype(np.uint8))}]}), K, all_ids, []


def same_counts(expected, layers=None):
    def check(found):
        right = np.array_equal(found["counts"], expected)
        return right and (layers is None or list(found["layer_ids"]) == list(layers))

    return check


def cases_of_arrays(cases):
    whole = same_counts(counts)

    def changed(value, place=np.s_[1, 0, 3], dtype=np.float64):
        array = counts.astype(dtype)
        array[place] = value
        return array

    yield "i08_ascend_moe_load", cases.npy(rng.integers(1, 50, (5, 4, 2)), "i08.npy"), COUNTS, ("loads of ranks (--axes layer,rank,slot)", 3), []
    yield "i09_nan", cases.npy(changed(np.nan), "i09.npy"), COUNTS, ("holds nan, which is no count", 3), []
    yield "i09b_minus", cases.npy(changed(-1), "i09b.npy"), COUNTS, ("holds -1, which is no count", 3), []
    some = changed(0, np.s_[1:3, 1])
    yield "i09c_zero_layer_steps", cases.npy(some, "i09c.npy"), COUNTS, same_counts(some), ["layer 1 got no token in 2 of 4 steps"]
    never = changed(0, np.s_[:, 1])
    yield "i09d_zero_layer_always", cases.npy(never, "i09d.npy"), COUNTS, same_counts(counts[:, :1]), ["layer 1 got no token"]
    yield "i09e_fraction", cases.npy(counts * 2.5, "i09e.npy"), COUNTS, ("a fraction; counts by step must be whole tokens", 3), []
    yield "i09f_bool", cases.npy(counts > 0, "i09f.npy"), COUNTS, ("of type '|b1'", 3), []
    ones = np.ones((4, 2, 8), np.float16)
    yield "i09g_bf", cases.npy(ones, "i09g.npy"), COUNTS, same_counts(ones), []
    yield "i09h_fortran", cases.npy(np.asfortranarray(counts), "i09h.npy"), COUNTS, whole, []
    yield "i09i_be", cases.npy(counts.astype(">i8"), "i09i.npy"), COUNTS, whole, []
    np.savez(cases.path("i09j.npz"), counts=counts)
    yield "i09j", cases.path("i09j.npz"), COUNTS, whole, []


def cases_of_tables(cases):
    one = same_counts(aggregate[None])
    yield "crlf", cases.text("crlf.csv", table(["layer", "expert", "count"], aggregate).replace("\n", "\r\n") + "\r\n"), K, one, ["NO TIME AXIS"]
    yield "crlf of two experts", cases.text("crlf2.csv", "layer,expert,count\r\n0,0,5\r\n0,1,7\r\n\r\n"), K, ("say --experts 2", 3), []
    yield "floatcsv", cases.text("f.csv", table(["layer", "expert", "count"], aggregate.astype(float)).replace(f",{aggregate[0, 0]}.0\n", f",{aggregate[0, 0] / 1e3}e3\n")), K, one, []
    yield "semi", cases.text("semi.csv", table(["layer", "expert", "count"], aggregate, ";")), K, one, []
    yield "i06_sglang_old", cases.text("i06.csv", table(["layer_id", "expert_id", "count"], aggregate)), K, one, []
    yield "i06b_names", cases.text("i06b.csv", table(["layer_idx", "expert_idx", "num_tokens"], aggregate)), K, one, []
    yield "i05_logical_count", cases.text("i05.json", {"logical_count": counts.tolist()}), K, same_counts(counts, [0, 1]), []
    layers = {str(3 + layer): aggregate[layer].tolist() for layer in range(2)}
    yield "i07_layers_as_keys", cases.text("i07.json", layers), K, same_counts(aggregate[None], [3, 4]), []
    uneven = [[1] * 8, [1] * 6]
    yield "i25_uneven", cases.text("i25.json", uneven), K, lambda found: list(found["experts_of_layer"]) == [8, 6], ["each keeps its own"]
    yield "scatter10", cases.text("scatter10.json", aggregate.tolist()), K, one, ["NO TIME AXIS"]
    location = {"physical_to_logical_map": [list(range(8))] * 2}
    yield "m1_init_expert_location", cases.text("m1.json", location), K, ("'physical_to_logical_map', a map", 3), []
    ranks = [consistent_counts(rng, steps=1, layers=2)[0] for _ in range(2)]
    for values in ranks:
        values[:, 7] = 0  # an expert that is idle everywhere
    ranks[1][:, 0] = 0
    header = ["layer_id", "expert_id", "count"]
    paths = [cases.text(f"s5275_rank{r}.csv", table(header, values, first_layer=3)) for r, values in enumerate(ranks)]
    both = same_counts((ranks[0] + ranks[1])[None], [3, 4])
    yield "s5275_rank0 and _rank1", paths, [*K, "--experts", "8"], both, ["summed over the 2 files"]
    yield "s5275_rank0 alone", paths[0], K, same_counts(ranks[0][None, :, :7], [3, 4]), ["rank 0 alone"]
    yield "s5275_rank1 alone", paths[1], K, ("of ranks 0 to 1, 0 is missing", 3), []


def cases_of_engines(cases):
    whole = same_counts(counts)
    yield "i10_ok", cases.text("i10.jsonl", lines(cases, map(load_line, counts))), K, whole, []
    draft = consistent_counts(rng, steps=4, layers=1)
    mixed = [load_line(load, model=name) for pair in zip(counts, draft) for load, name in zip(pair, ("main", "draft"))]
    yield "i11_main_and_draft", cases.text("i11.jsonl", lines(cases, mixed)), K, whole, ["two models are in one file"]
    cut = lines(cases, map(load_line, counts), json.dumps(load_line(counts[0]))[:90])
    yield "i12_truncated", cases.text("i12.jsonl", cut), K, whole, ["the last line (5) is cut"]
    empty = np.concatenate([counts, np.zeros((4, 2, 2), int)], axis=2)
    padded = lines(cases, [load_line(load, [*range(8), -1, -1]) for load in empty])
    yield "i12b_minus1_map", cases.text("i12b.jsonl", padded), K, whole, []
    yield "i12c_float", cases.text("i12c.jsonl", lines(cases, [load_line(counts[0] + 0.5)])), K, ("expert_load[0][0]: is", 3), []
    other = consistent_counts(rng, steps=4, layers=2)
    yield "i10_trt_ok", statistics(cases, "trt", [(counts, 100), (other, 100)]), [], same_counts(counts + other, [3, 4]), []
    apart = statistics(cases, "trt_c", [(counts, 100), (other, 102)])
    yield "i10c_trt_iters_differ", apart, [], same_counts(counts[2:] + other[:2]), ["4 of 6 steps (100-101, 104-105) were not recorded by all 2"]
    slots = statistics(cases, "trt_d", [(np.concatenate([counts, counts[..., :2]], axis=2), 100)])
    yield "i10d_trt_slots", slots, [], ("slots of a load balancer", 3), []

    dense = np.insert(counts, 0, 0, axis=1)
    yield "pt_ok", recorder_file(cases, "ok.pt", dense), K, same_counts(counts, [1, 2]), ["layer 0 got no token"]
    shared = np.concatenate([dense, dense.sum(axis=2, keepdims=True) // 2], axis=2)
    yield "atom1917_shared_as_expert", recorder_file(cases, "atom.pt", shared), K, same_counts(counts), ["expert 8 gets every token"]
    lone = np.zeros((4, 43, 8), int)
    lone[:, 0] = counts[:, 0]

    def named(found):
        skews = [word for word in found["told"].split("Skew")[1].split() if word[:1].isdigit() and "." in word]
        return np.array_equal(found["counts"], counts[:, :1]) and min(map(float, skews)) >= 1

    yield "k45_only_layer0", recorder_file(cases, "k45.pt", lone), K, named, ["layers 1-42 got no token"]
    plain = saved(cases, "plain.pt", {"expert_load": torch_files.Tensor(counts)})
    yield "a tensor of counts", plain, K, whole, []


def main():
    seen = 0
    with tempfile.TemporaryDirectory() as folder:
        cases = Cases(sys.argv[1], folder)
        for group in (cases_of_routing, cases_of_arrays, cases_of_tables, cases_of_engines):
            for name, inputs, options, right, notes in group(cases):
                try:
                    if callable(right):
                        found = cases.accept(inputs, *options, notes=notes)
                        assert right(found), f"other numbers: {found}"
                    else:
                        cases.refuse(inputs, *right, *options)
                except AssertionError as error:
                    raise AssertionError(f"case {name}: {error}") from None
                seen += 1
    print(f"{seen} cases of recordings came out right")


if __name__ == "__main__":
    main()
