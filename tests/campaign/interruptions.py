"""Programs that are killed, stopped, or run out of disk."""

import dataclasses
import glob
import json
import os
import resource
import shutil
import signal
import struct
import time

from ledger import Found, Lane, Part
from runs import REPOSITORY, digest, end, how_it_broke, left_behind, ranks_of

MANIFEST = """output = "out"
[defaults]
device = "simulated"
devices = 4
steps = 32
effort = "fast"
verify_steps = 4
[[model]]
name = "gpt-oss-20b"
[[model.task]]
name = "one"
synthetic = true
[[model.task]]
name = "two"
synthetic = true
"""


def write_checkpoint(folder):
    """A small Mixtral in two shards of numbers that tell where they are from."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w", encoding="ascii") as file:
        json.dump({"model_type": "mixtral", "num_local_experts": 8, "num_hidden_layers": 2}, file)
    for layer in range(2):
        header, data = {}, b""
        names = [f"model.layers.{layer}.block_sparse_moe.experts.{e}.{w}.weight" for e in range(8)
                 for w in ("w1", "w2", "w3")]
        for index, name in enumerate(names + [f"model.layers.{layer}.block_sparse_moe.gate.weight"]):
            rows = 8 if name.endswith("gate.weight") else 64
            part = struct.pack(f"<{rows * 512}f", *[layer * 100 + index + i % 8 for i in range(rows * 512)])
            header[name] = {"dtype": "F32", "shape": [rows, 512], "data_offsets": [len(data), len(data) + len(part)]}
            data += part
        text = json.dumps(header).encode()
        with open(os.path.join(folder, f"model-{layer + 1:05d}-of-00002.safetensors"), "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text + data)


def prepare(runner):
    """Inputs that the jobs below start from."""
    runner.must("gem-trace synthesize --model gpt-oss-20b --steps 64 --output trace.h5")
    runner.must("gem-trace synthesize --experts 8 --layers 2 --top-k 2 --steps 32 --output small.h5")
    runner.must("gem-profile --model gpt-oss-20b --device simulated --devices 4 --slowdown 1.0,1.28 --output profile.h5")
    runner.must("gem-map --profile profile.h5 --trace small.h5 --allow-model-mismatch --method eplb --output small-map.h5")
    with open(runner.path("plan.toml"), "w", encoding="ascii") as file:
        file.write(MANIFEST)
    write_checkpoint(runner.path("model"))


@dataclasses.dataclass
class Job:
    """A command that writes, how it goes on after a kill, and what must be there at last."""

    name: str
    command: str
    results: list
    ranks: int = 1
    again: str = ""
    copied: tuple = ()  # (from, to): what the command changes in place, made anew before each run
    begins: str = ""    # a file that is there once `again` has something to go on with; empty: always

    def clear(self, runner):
        for pattern in self.results:
            for path in glob.glob(runner.path(pattern) + "*"):
                shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
        if self.copied:
            shutil.copytree(*map(runner.path, self.copied))

    def goes_on_by(self, runner):
        """What finishes the job after a kill."""
        return self.again if self.again and (not self.begins or glob.glob(runner.path(self.begins))) else self.command

    def files(self, runner):
        for pattern in self.results:
            for path in sorted(glob.glob(runner.path(pattern), recursive=True)):
                yield from [path] if os.path.isfile(path) else [
                    os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]

    def digests(self, runner):
        return {os.path.relpath(name, runner.folder): digest(name) for name in self.files(runner)
                if name.endswith((".h5", ".safetensors", "config.json", "gem_mapping.json", ".csv"))}


def jobs():
    data = os.path.join(REPOSITORY, "jobs", "data")
    permute = "gem-deploy permute --mapping small-map.h5 --checkpoint model --output permuted"
    in_place = "gem-deploy permute --mapping small-map.h5 --checkpoint permuted --in-place --force"
    inverse = "gem-deploy permute --inverse --checkpoint other --output restored"
    profile = ("gem-profile --model DeepSeek-V3 --device simulated --devices 64 --points-per-doubling 16 "
               "--seed 3 --output new.h5")
    return [
        Job("synthesize", "gem-trace synthesize --model gpt-oss-20b --steps 4096 --output new.h5", ["new.h5"]),
        Job("batch requests", f"gem-trace batch --routing {data}/routing/gpt-oss-20b.gpqa.h5 --batch-size 64 --steps 32 "
            "--output new.h5", ["new.h5"]),
        Job("split", "gem-trace split --trace long.h5 --train-steps 512 --output-train new.1.h5 --output-test new.2.h5",
            ["new.1.h5", "new.2.h5"]),
        Job("gem-map", "gem-map --profile profile.h5 --trace trace.h5 --effort fast --output new.h5", ["new.h5"], ranks=2),
        Job("gem-profile", profile, ["new.h5"], ranks=2, again=profile + " --resume"),
        Job("gem-adapt", "gem-adapt --profile profile.h5 --trace long.h5 --move-time 0.001 --output new.h5", ["new.h5"]),
        Job("gem-batch", "gem-batch plan.toml", ["out"], ranks=2, again="gem-batch plan.toml --resume"),
        Job("export", "gem-deploy export --engine sglang --layers 2 --mapping small-map.h5 --output new.csv", ["new.csv"]),
        Job("permute", permute, ["permuted"], again=permute + " --resume", begins="permuted/gem_mapping.json*"),
        Job("permute in place", in_place, ["permuted"], again=in_place + " --resume", copied=("model", "permuted"),
            begins="permuted/gem_mapping.json*"),
        Job("inverse", inverse, ["restored"], again=inverse + " --resume", begins="restored/*"),
    ]


def is_whole(path):
    """Whether a file that is there can be read: half of one must never be."""
    try:
        digest(path)
        with open(path, "rb") as file:
            return not path.endswith(".h5") or file.read(8) == b"\x89HDF\r\n\x1a\n"
    except OSError:
        return False


def prepare_jobs(runner):
    prepare(runner)
    runner.must("gem-trace synthesize --model gpt-oss-20b --steps 1024 --output long.h5")
    runner.must("gem-deploy permute --mapping small-map.h5 --checkpoint model --output other")


def done_once(job):
    """The setup of a job's lane: how long it takes, and what it makes."""
    def setup(runner):
        job.clear(runner)
        begin = time.monotonic()
        runner.must(job.command, job.ranks, limit_s=1200)
        return {"seconds": time.monotonic() - begin, "digests": job.digests(runner),
                "largest": max(map(os.path.getsize, job.files(runner)))}
    return setup


def kill(job):
    def unit(runner, made, random, index):
        job.clear(runner)
        process = runner.start(job.command, job.ranks)
        time.sleep(random.uniform(0.0, made["seconds"]))
        note = "were running" if process.poll() is None else "had ended"
        end(process)
        for name in ("new.h5", "new.1.h5", "new.2.h5"):
            if os.path.exists(runner.path(name)) and not is_whole(runner.path(name)):
                return Found(f"{job.command}: killed, it left half of {name}", note)
        again = job.goes_on_by(runner)
        begin = time.monotonic()
        ended = runner.run(again, job.ranks, limit_s=1200)
        if again == job.command:  # a machine that others use, too, is now slow, now fast
            made["seconds"] = time.monotonic() - begin
        if ended.code != 0:
            return Found(f"{again}: after a kill, code {ended.code}: {ended.errors[-300:]}", note)
        if job.digests(runner) != made["digests"]:
            return Found(f"{again}: after a kill, other results", note)
        left = left_behind(runner.folder)
        return Found(f"{again}: after a kill, left behind: {left}" if left else "", note)
    return unit


def kills_of_all(notes):
    running = sum(found.get("were running", 0) for found in notes.values())
    return f"{len(notes)} jobs, of which {running} were running when killed; each then done again", []


KILLS = Part("400 kills of programs that write, at all moments; done again, results are equal",
             lambda scale: [Lane(job.name, max(1, round(400 * scale / len(jobs()))), kill(job), done_once(job)) for job in jobs()],
             prepare_jobs, kills_of_all)

STALLED = {
    "gem-map": "gem-map --profile profile.h5 --trace trace.h5 --starts 1000 --iterations 100000 --output new.h5",
    "gem-profile": "gem-profile --model DeepSeek-V3 --device simulated --devices 64 --points-per-doubling 64 "
                   "--min-samples 1000 --max-samples 1000 --output new.h5",
    "gem-profile on host": "gem-profile --model gpt-oss-20b --device host --dtype f32 --expert-shape 256x256 "
                           "--tile-tokens 16 --max-point-time 5 --output new.h5",
    "gem-batch": "gem-batch long.toml",
}
# Their experts divide by two, and each rank is a device.
STALLED_PAIRS = {
    "gem-verify": "gem-verify --device host --profile host.h5 --trace trace.h5 --mapping host-map.h5 --first-step 0 "
                  "--steps 64 --rounds 10000 --output new.h5",
    "gem-adapt": "gem-adapt --device host --profile host.h5 --trace trace.h5 --layer-count 2 --train-steps 32 "
                 "--steps 100000 --output new.h5",
}
PATIENCE_S = 4


def stall(command, count):
    def unit(runner, _, random, index):
        process = runner.start(f"{command} --patience {PATIENCE_S}", ranks=count)
        ranks = ranks_of(process, count)
        time.sleep(random.uniform(1.0, 3.0))
        if not ranks or process.poll() is not None:
            end(process)
            return Found(f"{command}: ended before a rank could be stopped")
        os.kill(random.choice(ranks), signal.SIGSTOP)
        begin = time.monotonic()
        try:
            _, errors = process.communicate(timeout=90)
        except Exception:  # not ended
            end(process)
            return Found(f"{command}: goes on waiting for a rank that was stopped")
        seconds = time.monotonic() - begin
        if process.returncode == 0 or ("has not answered" not in errors and "took longer than" not in errors):
            return Found(f"{command}: a rank was stopped, but code {process.returncode}: {errors[-300:]}")
        return Found(note=f"{seconds:.0f} s")
    return unit


def prepare_stalls(runner):
    prepare(runner)
    with open(runner.path("long.toml"), "w", encoding="ascii") as file:
        file.write(MANIFEST.replace('"fast"', '"thorough"').replace("steps = 32", "steps = 512"))
    runner.must("gem-profile --model gpt-oss-20b --device host --dtype f32 --expert-shape 64x64 --tile-tokens 16 "
                "--max-tokens 256 --min-samples 3 --max-samples 5 --output host.h5", ranks=2)
    runner.must("gem-map --profile host.h5 --trace trace.h5 --method eplb --output host-map.h5")


def longest(notes):
    longest_s = max((int(note.split()[0]) for found in notes.values() for note in found), default=0)
    return f"with a patience of {PATIENCE_S} s, all ended after {longest_s} s at most", []


def stall_lanes(scale):
    ways = [(name, command, 3) for name, command in STALLED.items()]
    ways += [(name, command, 2) for name, command in STALLED_PAIRS.items()]
    return [Lane(name, max(1, round(40 * scale / len(ways))), stall(command, ranks)) for name, command, ranks in ways]


STALLS = Part("40 ranks of 2 or 3 stopped for ever", stall_lanes, prepare_stalls, longest, at_once=False)


def alone(job):
    """On one rank: the limit holds for a launcher's own files, too, without which Open MPI's never ends. Rank 0 writes."""
    return dataclasses.replace(job, ranks=1)


def full_disk(job):
    def unit(runner, made, random, index):
        job.clear(runner)
        limit = random.randrange(1, max(2, made["largest"]))
        ended = runner.run(job.command, job.ranks, limit_s=1200,
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        broken = how_it_broke(ended)
        if not broken and ended.code == 0 and job.digests(runner) != made["digests"]:
            broken = "code 0, but other results"
        return Found(f"{job.command}: files of {limit} bytes at most: {broken}" if broken else "")
    return unit


FULL_DISK = Part("100 runs in which no file can have its size",
                 lambda scale: [Lane(job.name, max(1, round(100 * scale / len(jobs()))), full_disk(job), done_once(job))
                                for job in map(alone, jobs())], prepare_jobs)
