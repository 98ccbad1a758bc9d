#!/usr/bin/env python3
"""The table of adaptation.md, from what gem-adapt --json printed: adaptation_table.py FOLDER NAME..."""

import json
import pathlib
import sys

POLICIES = ["static linear", "static gem", "periodic eplb", "periodic gem", "triggered gem", "oracle"]
OTHERS = ["of the oracle's gain", "95 % interval", "p99 and EPLB's, ms", "moved, and by EPLB", "reacts after"]


def record_of(text):
    """The JSON among a log's lines, to which other output was added."""
    for begin in (i for i, letter in enumerate(text) if letter == "{"):
        try:
            record = json.JSONDecoder().raw_decode(text[begin:])[0]
        except json.JSONDecodeError:
            continue
        if "policies" in record:
            return record
    raise ValueError("there is no record of gem-adapt --json in it")


def row_of(name, record):
    """One run's line: totals as shares of static gem's, and what triggered gem did."""
    policies = {policy["policy"]: policy for policy in record["policies"]}
    judged, engine = policies["triggered gem"], policies["periodic eplb"]
    recovered, reaction = judged["recovered"], judged["reaction_steps"]
    return [
        name,
        *(f"{policies[policy]['relative']:.4f}" for policy in POLICIES),
        "-" if recovered is None else f"{recovered * 100:.0f} %",
        f"{judged['relative_low']:.4f} to {judged['relative_high']:.4f}",
        f"{judged['p99_s'] * 1e3:.2f}, {engine['p99_s'] * 1e3:.2f}",
        f"{judged['moved_experts']}, {engine['moved_experts']}",
        "-" if reaction is None else f"{reaction:.0f}",
    ]


def table(rows):
    """Lines of a Markdown table."""
    head = ["run", *POLICIES, *OTHERS]
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *rows])


def main():
    folder = pathlib.Path(sys.argv[1])
    logs = [(name, folder / f"{name}.txt") for name in sys.argv[2:]]
    print(table([row_of(name, record_of(log.read_text())) for name, log in logs if log.exists()]))


if __name__ == "__main__":
    main()
