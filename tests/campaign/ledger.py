"""What a campaign has done so far: kept in a file after each unit of work, so that the same command goes on there."""

import concurrent.futures
import dataclasses
import datetime
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import threading
import time
import traceback
import typing

from runs import CORES, REPOSITORY, Runner


STOPPED = ": the campaign itself stopped here, and begins here again: "


@dataclasses.dataclass
class Found:
    """What one unit of work found: a fault, if any, and a word that is counted."""

    fault: str = ""
    note: str = ""


@dataclasses.dataclass
class Lane:
    """Units of work that are done one after the other, in a folder of their own, with what `setup(runner)` returns."""

    name: str
    wanted: int
    unit: typing.Callable  # unit(runner, what setup made, random, index) -> Found
    setup: typing.Callable = lambda runner: None


@dataclasses.dataclass
class Part:
    """Lanes of one kind, each in a copy of the folder that `inputs(runner)` fills. `concludes` makes a sentence and more
    faults of the lanes' notes: {lane: {note: count}}."""

    summary: str
    lanes: typing.Callable  # lanes(scale) -> [Lane]
    inputs: typing.Callable = lambda runner: None
    concludes: typing.Callable = lambda notes: ("", [])
    at_once: bool = True  # lanes may run beside each other
    missing: typing.Callable = lambda: ""  # the program without which it can't run


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{CORES} cores of {names[0] if names else platform.machine()}, Linux {'.'.join(platform.release().split('.')[:2])}"


def revision():
    found = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=REPOSITORY, capture_output=True, text=True,
                           check=False).stdout.strip()
    return found.replace("-dirty", " with changes") or "an unknown revision"


def command():
    """What was asked for; where the state is kept says nothing about the result."""
    words = list(sys.argv[1:])
    for option in ("--state", "--build"):
        if option in words:
            del words[words.index(option) : words.index(option) + 2]
    return " ".join(["tests/campaign/run.sh", *words])


class Ledger:
    def __init__(self, path):
        self.path, self.lock, self.parts = path, threading.Lock(), {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                self.parts = json.load(file)

    def save(self):
        os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump(self.parts, file, indent=1)
        os.replace(self.path + ".new", self.path)

    def part(self, name):
        return self.parts.setdefault(name, {"where": [], "lanes": {}})

    def lane(self, part, name):
        return self.part(part)["lanes"].setdefault(name, {"done": 0, "wanted": 0, "seconds": 0.0, "faults": [], "notes": {}})

    def note_place(self, part):
        where = f"{revision()}, {datetime.date.today()}, {machine()}, `{command()}`"
        if where not in self.part(part)["where"]:
            self.part(part)["where"].append(where)

    def add(self, part, lane, found, seconds):
        with self.lock:
            entry = self.lane(part, lane)
            entry["done"] += 1
            entry["seconds"] += seconds
            if found.fault:
                entry["faults"].append(found.fault)
                print(f"  {part}: {found.fault}", flush=True)
            if found.note:
                entry["notes"][found.note] = entry["notes"].get(found.note, 0) + 1
            self.save()


def run_lane(ledger, part, lane, inputs, folder, seed, until):
    """Does what is left of a lane, until the time is up."""
    entry = ledger.lane(part, lane.name)
    if entry["done"] >= lane.wanted or time.monotonic() > until:
        return
    entry["faults"] = [fault for fault in entry["faults"] if STOPPED not in fault]
    try:
        shutil.copytree(inputs.folder, folder)
        runner = Runner(inputs.programs, folder)
        made = lane.setup(runner)
        while entry["done"] < lane.wanted and time.monotonic() < until:
            index = entry["done"]
            begin = time.monotonic()
            found = lane.unit(runner, made, random.Random(f"{seed} {part} {lane.name} {index}"), index)
            ledger.add(part, lane.name, found, time.monotonic() - begin)
    except Exception:  # of the campaign itself, or of inputs that can't be made: the other lanes go on
        with ledger.lock:
            entry["faults"].append(f"{lane.name}{STOPPED}{traceback.format_exc()[-800:]}")
            print(f"  {entry['faults'][-1]}", flush=True)
            ledger.save()


def run_part(ledger, name, part, options, folder, until):
    missing = part.missing()
    with ledger.lock:
        entry = ledger.part(name)
        entry["missing"] = missing
        lanes = [] if missing else part.lanes(options.scale)
        for lane in lanes:
            ledger.lane(name, lane.name)["wanted"] = lane.wanted
        if any(ledger.lane(name, lane.name)["done"] < lane.wanted for lane in lanes):
            ledger.note_place(name)
        ledger.save()
    if all(ledger.lane(name, lane.name)["done"] >= lane.wanted for lane in lanes):
        return
    inputs = Runner(os.path.join(options.build, "bin"), os.path.join(folder, name, "inputs"))
    part.inputs(inputs)
    with concurrent.futures.ThreadPoolExecutor(options.jobs if part.at_once else 1) as pool:
        for index, lane in enumerate(lanes):
            pool.submit(run_lane, ledger, name, lane, inputs, os.path.join(folder, name, str(index)), options.seed, until)
