"""Programs that are killed, stopped, or run out of disk."""

import glob
import json
import os
import random
import resource
import shutil
import signal
import struct
import time

from runs import Outcome, digest, end, how_it_broke, left_behind, ranks_of

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


class Job:
    """A command that writes, how it goes on after a kill, and what must be there at last."""

    def __init__(self, command, results, ranks=1, again=None):
        self.command, self.results, self.ranks, self.again = command, results, ranks, again or command

    def clear(self, runner):
        for pattern in self.results:
            for path in glob.glob(runner.path(pattern) + "*"):
                shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)

    def digests(self, runner):
        found = {}
        for pattern in self.results:
            for path in sorted(glob.glob(runner.path(pattern), recursive=True)):
                files = [path] if os.path.isfile(path) else [
                    os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
                for name in files:
                    if name.endswith((".h5", ".safetensors", "config.json", "gem_mapping.json", ".csv")):
                        found[os.path.relpath(name, runner.folder)] = digest(name)
        return found


def jobs():
    permute = "gem-deploy permute --mapping small-map.h5 --checkpoint model --output permuted"
    profile = ("gem-profile --model DeepSeek-V3 --device simulated --devices 64 --points-per-doubling 16 "
               "--seed 3 --output new.h5")
    return [
        Job("gem-trace synthesize --model gpt-oss-20b --steps 256 --output new.h5", ["new.h5"]),
        Job("gem-trace split --trace trace.h5 --train-steps 32 --output-train new.1.h5 --output-test new.2.h5",
            ["new.1.h5", "new.2.h5"]),
        Job("gem-map --profile profile.h5 --trace trace.h5 --effort fast --output new.h5", ["new.h5"], ranks=2),
        Job(profile, ["new.h5"], ranks=2, again=profile + " --resume"),
        Job("gem-batch plan.toml", ["out"], ranks=2, again="gem-batch plan.toml --resume"),
        Job(permute, ["permuted"], again=permute + " --resume"),
    ]


def is_whole(path):
    """Whether a file that is there can be read: half of one must never be."""
    try:
        digest(path)
        return not path.endswith(".h5") or open(path, "rb").read(8) == b"\x89HDF\r\n\x1a\n"
    except OSError:
        return False


def kills(runner, scale):
    prepare(runner)
    faults, counts = [], 0
    for job in jobs():
        job.clear(runner)
        begin = time.monotonic()
        runner.must(job.command, job.ranks, limit_s=600)
        takes_s = time.monotonic() - begin
        expected = job.digests(runner)
        for _ in range(max(1, round(400 * scale / len(jobs())))):
            job.clear(runner)
            process = runner.start(job.command, job.ranks)
            time.sleep(random.uniform(0.0, 1.1 * takes_s))
            end(process)
            counts += 1
            for name in ("new.h5", "new.1.h5", "new.2.h5"):
                if os.path.exists(runner.path(name)) and not is_whole(runner.path(name)):
                    faults.append(f"{job.command}: killed, it left half of {name}")
            going_on = os.path.exists(runner.path("permuted/gem_mapping.json.partial")) or "permute" not in job.command
            if not going_on:
                job.clear(runner) if not os.path.exists(runner.path("permuted/gem_mapping.json")) else None
            ended = runner.run(job.again, job.ranks, limit_s=600)
            if ended.code != 0:
                faults.append(f"{job.again}: after a kill, code {ended.code}: {ended.errors[-300:]}")
            elif job.digests(runner) != expected:
                faults.append(f"{job.again}: after a kill, other results")
            elif left_behind(runner.folder):
                faults.append(f"{job.again}: after a kill, left behind: {left_behind(runner.folder)}")
    return Outcome(f"{counts} kills of {len(jobs())} jobs, each then done again: equal results", faults)


def stalls(runner, scale):
    prepare(runner)
    commands = [
        "gem-map --profile profile.h5 --trace trace.h5 --starts 1000 --iterations 100000 --output new.h5",
        "gem-profile --model DeepSeek-V3 --device simulated --devices 64 --points-per-doubling 64 --min-samples 1000 --max-samples 1000 --output new.h5",
        "gem-profile --model gpt-oss-20b --device host --expert-shape 256x256 --tile-tokens 16 --max-point-time 5 "
        "--output new.h5",
        "gem-batch long.toml",
    ]
    with open(runner.path("long.toml"), "w", encoding="ascii") as file:
        file.write(MANIFEST.replace('"fast"', '"thorough"').replace("steps = 32", "steps = 512"))
    faults, count, longest_s = [], 0, 0.0
    for command in commands:
        for _ in range(max(1, round(40 * scale / len(commands)))):
            process = runner.start(command + " --patience 4", ranks=3)
            ranks = ranks_of(process, 3)
            time.sleep(random.uniform(1.0, 3.0))
            if not ranks or process.poll() is not None:
                end(process)
                faults.append(f"{command}: ended before a rank could be stopped")
                continue
            stopped = random.choice(ranks)
            os.kill(stopped, signal.SIGSTOP)
            begin = time.monotonic()
            count += 1
            try:
                _, errors = process.communicate(timeout=60)
                longest_s = max(longest_s, time.monotonic() - begin)
                if process.returncode == 0 or "has not answered" not in errors and "took longer than" not in errors:
                    faults.append(f"{command}: a rank was stopped, but code {process.returncode}: {errors[-300:]}")
            except Exception:  # not ended
                end(process)
                faults.append(f"{command}: goes on waiting for a rank that was stopped")
    return Outcome(f"{count} ranks stopped, with a patience of 4 s; all ended after {longest_s:.0f} s at most", faults)


def full_disks(runner, scale):
    prepare(runner)
    faults, count = [], 0
    for job in jobs():
        job.clear(runner)
        runner.must(job.command, job.ranks, limit_s=600)
        largest = max((os.path.getsize(os.path.join(folder, name)) for pattern in job.results
                       for root in glob.glob(runner.path(pattern))
                       for folder, names in ([(os.path.dirname(root), [os.path.basename(root)])] if os.path.isfile(root)
                                             else [(f, n) for f, _, n in os.walk(root)]) for name in names))
        for _ in range(max(1, round(100 * scale / len(jobs())))):
            job.clear(runner)
            limit = random.randrange(1, max(2, largest))
            ended = runner.run(job.command, job.ranks, limit_s=600,
                               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
            count += 1
            broken = how_it_broke(ended)
            if broken or (ended.code == 0 and "batch" not in job.command):
                faults.append(f"{job.command}: files of {limit} bytes at most: {broken or 'no word of it'}")
    return Outcome(f"{count} runs in which no file could have its size", faults)
