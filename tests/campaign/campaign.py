"""The campaign's parts, one after the other, and the page that tells what came of them. Called by run.sh."""

import argparse
import os
import re
import shutil
import sys
import tempfile
import time

import builds
import damage
import interruptions
import sizes
from ledger import Ledger, run_part
from runs import CORES, REPOSITORY

PARTS = {
    "kills": interruptions.KILLS,
    "stalls": interruptions.STALLS,
    "full-disk": interruptions.FULL_DISK,
    "damaged-files": damage.DAMAGED_FILES,
    "options": damage.OPTIONS,
    "fuzzing": builds.FUZZING,
    "sizes": sizes.SIZES,
    "ranks": sizes.RANKS,
    "compilers": builds.COMPILERS,
    "sanitizers": builds.SANITIZERS,
    "threads": builds.THREADS,
    "valgrind": builds.VALGRIND,
    "coverage": builds.COVERAGE,
    "mutants": builds.MUTANTS,
}


def outcome(name, entry):
    """How much of a part is done, in words, and what broke."""
    lanes = entry["lanes"].values()
    done, wanted = sum(lane["done"] for lane in lanes), sum(lane["wanted"] for lane in lanes)
    faults = [fault for lane in lanes for fault in lane["faults"]]
    if entry.get("missing"):
        return f"nothing: {entry['missing']} is missing", faults
    if done == 0:
        return "nothing", faults
    words, more = PARTS[name].concludes({lane: found["notes"] for lane, found in entry["lanes"].items()})
    return f"{done:,} of {wanted:,}" + (f": {words}" if words else ""), faults + more


def letter_of(index):
    """a, b, ..., z, aa, ab, ..."""
    return (letter_of(index // 26 - 1) if index >= 26 else "") + chr(ord("a") + index % 26)


def kept_rows(text):
    """Of a page that was written before: {part: (its row without letters, its places, its faults)}."""
    places = dict(re.findall(r"^- ([a-z]+): (.*)$", text, re.M))
    rows = {}
    for row, name, letters in re.findall(r"^(\| ([a-z-]+): .*) \| ([a-z ]+|-) \|$", text, re.M):
        faults = re.findall(rf"^\*\*{name}\*\*: .*$", text, re.M)
        rows[name] = (row, [places[letter] for letter in letters.split() if letter in places], faults)
    return rows


BY_HAND = "\n## Noted by hand\n"


def page(ledger, before=""):
    """The page, and what broke. What the ledger knows nothing of stays as it is in the page of before: parts, and what was
    noted by hand."""
    lines = [
        "# What the last campaign found",
        "",
        "Written by `tests/campaign/run.sh --write`. `done` counts what was really run, of what the whole campaign wants; the",
        "letter names revision, day, machine and command, and the minutes are those of all lanes together, on a machine that",
        "others may have used too.",
        "",
        "| part | done | broke | minutes | where |",
        "|---|---|---|---:|---|",
    ]
    kept = kept_rows(before)
    places, broken, paragraphs = [], [], []
    for name, part in PARTS.items():
        entry = ledger.parts.get(name, {"lanes": {}, "where": []})
        done, faults = outcome(name, entry)
        where = entry["where"]
        minutes = sum(lane["seconds"] for lane in entry["lanes"].values()) / 60
        row = f"| {name}: {part.summary} | {done} | {len(faults) or ('nothing' if where else '-')} | {minutes:.1f}"
        found = [f"**{name}**: {fault}" for fault in faults]
        broken += found
        if not where and name in kept:
            row, where, found = kept[name]
        places += [place for place in where if place not in places]
        paragraphs += found
        lines.append(f"{row} | {' '.join(letter_of(places.index(place)) for place in where) or '-'} |")
    lines += ["", *(f"- {letter_of(index)}: {place}" for index, place in enumerate(places))]
    for paragraph in paragraphs:
        lines += ["", paragraph]
    _, mark, by_hand = before.partition(BY_HAND)
    return "\n".join(lines) + "\n" + mark + by_hand, broken


def parsed():
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="parts to run (default: all); see --list")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the whole campaign (default: 1)")
    parser.add_argument("--seed", type=int, default=1, help="seed of all random choices (default: 1)")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after so many minutes (default: when all is done)")
    parser.add_argument("--jobs", type=int, default=max(1, CORES // 2), help="units of work side by side (default: %(default)s)")
    parser.add_argument("--build", default=os.path.join(REPOSITORY, "build", "release"), help="folder of the build (default: build/release)")
    parser.add_argument("--state", default=os.path.join(REPOSITORY, "build", "campaign.json"), help="file that keeps what is done (default: build/campaign.json)")
    parser.add_argument("--again", action="store_true", help="begin the named parts anew")
    parser.add_argument("--write", action="store_true", help="write the page RESULT.md")
    parser.add_argument("--list", action="store_true", help="say what each part does, and end")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if not 0 < options.scale <= 1 or options.jobs < 1:
        parser.error("--scale is above 0, at most 1; --jobs at least 1")
    return options


def main():
    options = parsed()
    if options.list:
        for name, part in PARTS.items():
            print(f"{name:14} {part.summary}")
        return 0
    ledger = Ledger(options.state)
    chosen = options.parts or list(PARTS)
    if options.again:
        for name in chosen:
            ledger.parts.pop(name, None)
    until = time.monotonic() + 60 * options.minutes
    work = tempfile.mkdtemp(prefix="gem-campaign-")
    try:
        for name in chosen:
            if time.monotonic() < until:
                run_part(ledger, name, PARTS[name], options, work, until)
                done, faults = outcome(name, ledger.parts[name])
                print(f"{name}: {done}; {len(faults) or 'no'} faults", flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    result = os.path.join(REPOSITORY, "tests", "campaign", "RESULT.md")
    before = ""
    if os.path.exists(result):
        with open(result, encoding="utf-8") as file:
            before = file.read()
    text, broken = page(ledger, before)
    print(text)
    if options.write:
        with open(result, "w", encoding="utf-8") as file:
            file.write(text)
    left = [lane for name in chosen for lane in ledger.parts.get(name, {"lanes": {"": {"done": 0, "wanted": 1}}})["lanes"].values()
            if lane["done"] < lane["wanted"]]
    if broken:
        return 1
    return 75 if left else 0


if __name__ == "__main__":
    sys.exit(main())
