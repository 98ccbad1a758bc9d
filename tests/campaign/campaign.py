"""The campaign's parts, one after the other, and the page that tells what came of them. Called by run.sh."""

import argparse
import datetime
import os
import platform
import random
import shutil
import sys
import tempfile
import time

import builds
import damage
import interruptions
import sizes
from runs import REPOSITORY, Runner

# Name, what it does at scale 1, function(runner, scale) -> Outcome.
PARTS = {
    "kills": ("400 kills over all programs that write, at all moments", interruptions.kills),
    "stalls": ("40 ranks stopped for ever, over all programs of several ranks", interruptions.stalls),
    "full-disk": ("100 disks that fill up", interruptions.full_disks),
    "damaged-files": ("500 damaged files a format", damage.damaged_files),
    "options": ("500 random option sets a program", damage.option_sets),
    "fuzzing": ("10 minutes of fuzzing each reader", builds.fuzzing),
    "sizes": ("4,096 simulated devices, a billion counts, 64 ranks", sizes.sizes),
    "ranks": ("the same mapping on 1 to 16 ranks", sizes.ranks),
    "compilers": ("the same mappings from g++ and clang++, -O0 and -O3", builds.compilers),
    "sanitizers": ("all tests with address and undefined-behaviour sanitizers", builds.sanitizers),
    "threads": ("tests of what has threads, with the thread sanitizer", builds.threads),
    "valgrind": ("tests of the pure core under valgrind", builds.valgrind),
    "coverage": ("lines and branches of the core that its tests reach", builds.coverage),
    "mutants": ("mutants of cost, split, bound and resume code, all killed", builds.mutants),
}


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{os.cpu_count()} cores of {names[0] if names else platform.machine()}, {platform.platform()}"


def page(outcomes, options, seconds):
    lines = [
        "# What the last campaign found",
        "",
        f"`tests/campaign/run.sh --scale {options.scale:g} --seed {options.seed}` on {datetime.date.today()}, in "
        f"{seconds / 60:.0f} min, on {machine()}. At scale 1 a part does what its name says; `done` is what this run did.",
        "",
        "| part | done | broke | minutes |",
        "|---|---|---|---|",
    ]
    for name, (outcome, spent) in outcomes.items():
        lines.append(f"| {name} | {outcome.done} | {len(outcome.faults) or 'nothing'} | {spent / 60:.1f} |")
    for name, (outcome, _) in outcomes.items():
        for fault in outcome.faults:
            lines += ["", f"**{name}**: {fault}"]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build", default=os.path.join(REPOSITORY, "build", "release"))
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        for name, (summary, _) in PARTS.items():
            print(f"{name:14} {summary}")
        return 0
    unknown = set(options.parts) - set(PARTS)
    if unknown or not 0 < options.scale <= 1:
        parser.error(f"no such part: {', '.join(sorted(unknown))}" if unknown else "--scale is above 0, at most 1")
    random.seed(options.seed)
    work = tempfile.mkdtemp(prefix="gem-campaign-")
    outcomes = {}
    begin = time.monotonic()
    try:
        for name in options.parts or PARTS:
            part_begin = time.monotonic()
            runner = Runner(os.path.join(options.build, "bin"), os.path.join(work, name))
            outcome = PARTS[name][1](runner, options.scale)
            outcomes[name] = (outcome, time.monotonic() - part_begin)
            print(f"{name}: {outcome.done}; {len(outcome.faults)} faults", flush=True)
            for fault in outcome.faults:
                print(f"  {fault}", flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    text = page(outcomes, options, time.monotonic() - begin)
    if options.parts:
        print(text)
    else:
        with open(os.path.join(REPOSITORY, "tests", "campaign", "RESULT.md"), "w", encoding="utf-8") as file:
            file.write(text)
    return 1 if any(outcome.faults for outcome, _ in outcomes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
