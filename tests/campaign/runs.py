"""Programs run by the campaign: in a folder of their own, with a time limit, judged by how they end."""

import dataclasses
import functools
import hashlib
import os
import signal
import subprocess
import time

import h5py

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CORES = len(os.sched_getaffinity(0))
OPEN_MPI = ["--oversubscribe", "--allow-run-as-root", "--bind-to", "none", "--mca", "btl", "self,vader",
            "--mca", "btl_vader_single_copy_mechanism", "none", "--mca", "mpi_yield_when_idle", "1"]
GOOD_CODES = {0, 1, 2, 3, 4, 75}


@functools.cache
def mpirun():
    """How ranks are started on one machine; only Open MPI's launcher needs more than its name."""
    version = subprocess.run(["mpirun", "--version"], capture_output=True, text=True, check=False).stdout.lower()
    return ["mpirun"] + (OPEN_MPI if "open" in version else [])


@dataclasses.dataclass
class Ended:
    code: int  # below 0: of a signal; None: it did not end in time
    output: str
    errors: str


class Runner:
    """Runs GEM's programs in one folder."""

    def __init__(self, programs, folder):
        self.programs, self.folder = os.path.abspath(programs), folder
        os.makedirs(folder, exist_ok=True)

    def words(self, command, ranks=1):
        program, *rest = command.split() if isinstance(command, str) else command
        return (mpirun() + ["-n", str(ranks)] if ranks > 1 else []) + [os.path.join(self.programs, program)] + rest

    def start(self, command, ranks=1, **more):
        # A session of its own, so that all of it can be killed at once.
        return subprocess.Popen(self.words(command, ranks), cwd=self.folder, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True, **more)

    def run(self, command, ranks=1, limit_s=120, **more):
        process = self.start(command, ranks, **more)
        try:
            output, errors = process.communicate(timeout=limit_s)
            return Ended(process.returncode, output, errors)
        except subprocess.TimeoutExpired:
            end(process)
            return Ended(None, "", "")

    def must(self, command, ranks=1, **more):
        ended = self.run(command, ranks, **more)
        if ended.code != 0:
            raise RuntimeError(f"{command}: code {ended.code}\n{ended.errors}")
        return ended

    def path(self, name):
        return os.path.join(self.folder, name)


def end(process, most_s=20):
    """Kills a process and waits until the ranks that it had started have gone, as they do without their launcher."""
    ranks = []
    if process.poll() is None:
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
            ranks = [int(word) for word in file.read().split()]
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    until = time.monotonic() + most_s
    while any(os.path.exists(f"/proc/{rank}") for rank in ranks) and time.monotonic() < until:
        time.sleep(0.05)


def ranks_of(process, count, limit_s=20):
    """The ranks that a launcher has started, once all are there."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until and process.poll() is None:
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
            found = [int(word) for word in file.read().split()]
        if len(found) == count:
            return found
        time.sleep(0.01)
    return []


def how_it_broke(ended):
    """What is wrong with how a program ended; empty for a good end, refusals included."""
    if ended.code is None:
        return "did not end in time"
    if ended.code not in GOOD_CODES:
        return f"ended with code {ended.code}: {ended.errors[-300:]}"
    if "internal error" in ended.errors:
        return ended.errors[-300:]
    if ended.code > 1 and ended.code != 75 and not ended.errors.strip() and not ended.output.strip():
        return f"ended with code {ended.code} without a word"
    if "\x1b" in ended.errors + ended.output:
        return "sent control characters to the terminal"
    return ""


def digest(path):
    """Of all datasets of an HDF5 file, but not of who made it and when; of the bytes of any other file."""
    summary = hashlib.sha256()
    try:
        with h5py.File(path) as file:
            def add(name, item):
                if isinstance(item, h5py.Dataset) and not name.startswith(("search", "course")):
                    summary.update(name.encode() + item[()].tobytes())
            file.visititems(add)
    except OSError:
        with open(path, "rb") as file:
            summary.update(file.read())
    return summary.hexdigest()


def left_behind(folder):
    """Files of the moment that nobody needs any more."""
    return [os.path.join(path, name) for path, _, names in os.walk(folder) for name in names
            if ".gem-" in name or name.endswith((".tmp", ".lock")) or name == "lock"]
