"""Damaged files and random options: whatever comes, a program does it or refuses it with a sentence."""

import json
import os
import shutil

import numpy

from interruptions import prepare
from ledger import Found, Lane, Part
from runs import REPOSITORY, how_it_broke

# What reads a file of each format; {} is the damaged file. An HDF5 file of ours has a checksum: one byte off is refused.
SEALED = {
    "trace.h5": "gem-trace describe --trace {}",
    "profile.h5": "gem-map --profile {} --trace trace.h5 --dry-run",
    "small-map.h5": "gem-deploy export --engine sglang --layers 2 --mapping {} --output out.json",
    "routing.h5": "gem-trace batch --routing {} --output out.h5",
}
READERS = {
    **SEALED,
    "model.csv": "gem-trace synthesize --model {} --output out.h5",
    "slowdown.csv": "gem-profile --model gpt-oss-20b --device simulated --devices 2 --slowdown {} --max-tokens 256 "
                    "--output out.h5",
    "plan.toml": "gem-batch {} --dry-run",
    "model/model-00001-of-00002.safetensors": "gem-deploy permute --mapping small-map.h5 --checkpoint damaged.model "
                                              "--output out.model",
    "model/config.json": "gem-deploy permute --mapping small-map.h5 --checkpoint damaged.model --output out.model",
    "other/gem_mapping.json": "gem-deploy permute --inverse --checkpoint damaged.other --output out.model",
    "location.json": "gem-deploy import --engine sglang --input {} --devices 4 --output out.h5",
    "counts.json": "gem-trace import --format counts --top-k 2 --input {} --output out.h5",
    "counts.csv": "gem-trace import --format counts --top-k 2 --input {} --output out.h5",
    "counts.npz": "gem-trace import --format counts --top-k 2 --input {} --output out.h5",
    "counts.npy": "gem-trace import --format counts --top-k 2 --input {} --output out.h5",
    "routed.jsonl": "gem-trace import --format vllm-routed --input {} --experts 8 --output out.h5",
    "expert_load.pt": "gem-trace import --format counts --top-k 2 --input {} --output out.h5",
    "sglang_stat.pt": "gem-trace import --format sglang --top-k 2 --input {} --output out.h5",
}


def damage(content, random):
    """A few bytes changed, cut off, doubled or put in, here and there."""
    content = bytearray(content)
    for _ in range(random.choice([1, 1, 1, 2, 5, 20])):
        place = random.randrange(len(content)) if content else 0
        kind = random.randrange(5)
        if kind == 0 and content:
            content[place] ^= 1 << random.randrange(8)
        elif kind == 1 and content:
            content[place] = random.choice([0, 1, 0x7F, 0x80, 0xFF, ord("-"), ord("9")])
        elif kind == 2:
            del content[place:]
        elif kind == 3:
            content[place:place] = content[place : place + random.randrange(64)]
        else:
            content[place:place] = random.choice([b"\xff" * 8, b"1e999", b"nan", b"\n", b"\x1b[31m", b'"'])
    return bytes(content)


def write_text(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def prepare_files(runner):
    """A good file of each format."""
    prepare(runner)
    shutil.copy(os.path.join(REPOSITORY, "jobs", "data", "routing", "gpt-oss-20b.gpqa.h5"), runner.path("routing.h5"))
    for name in ("expert_load.pt", "sglang_stat.pt"):
        shutil.copy(os.path.join(REPOSITORY, "tests", "interchange", "recordings", name), runner.path(name))
    runner.must("gem-deploy export --engine sglang --layers 2 --mapping small-map.h5 --output location.json")
    runner.must("gem-deploy permute --mapping small-map.h5 --checkpoint model --output other")
    write_text(runner.path("model.csv"),
               "model,hidden_size,moe_intermediate_size,moe_layers,routed_experts,top_k\ntiny,64,32,2,8,2\n")
    write_text(runner.path("slowdown.csv"), "gpu,relative_runtime\n" + "".join(f"g{i},{1 + i / 50}\n" for i in range(12)))
    # Of tokens that go to two different experts each.
    counts = numpy.zeros((16, 1, 8), dtype=numpy.int64)
    for step in range(16):
        for token in range(40):
            first = (token * token + step) % 8
            counts[step, 0, [first, (first + 1 + (token + step) % 7) % 8]] += 1
    write_text(runner.path("counts.json"), json.dumps(counts.tolist()))
    write_text(runner.path("counts.csv"), "step,layer,expert,count\n" + "".join(
        f"{step},0,{e},{counts[step, 0, e]}\n" for step in range(16) for e in range(8)))
    numpy.save(runner.path("counts.npy"), counts)
    numpy.savez_compressed(runner.path("counts.npz"), counts=counts)
    write_text(runner.path("routed.jsonl"), "".join(
        json.dumps({"routed_experts": [[[i % 8, (i + 1 + t) % 7 + (i % 8 == (i + 1 + t) % 7)] for _ in range(2)]
                                       for t in range(4)]}) + "\n" for i in range(8)))


def is_read(name, command):
    """A reader must take the file as long as it is whole: otherwise no damage would be met."""
    def setup(runner):
        for folder in ("model", "other"):
            shutil.copytree(runner.path(folder), runner.path("damaged." + folder))
        runner.must(command.format(name), limit_s=600)
    return setup


def one_damaged(name, command):
    def unit(runner, _, random, index):
        with open(runner.path(name), "rb") as file:
            content = file.read()
        damaged = damage(content, random)
        target = "damaged" + os.path.splitext(name)[1]
        if "/" in name:
            folder = os.path.dirname(name)
            shutil.rmtree(runner.path("damaged." + folder), ignore_errors=True)
            shutil.copytree(runner.path(folder), runner.path("damaged." + folder))
            target = f"damaged.{folder}/{os.path.basename(name)}"
        with open(runner.path(target), "wb") as file:
            file.write(damaged)
        shutil.rmtree(runner.path("out.model"), ignore_errors=True)
        ended = runner.run(command.format(target), limit_s=120)
        broken = how_it_broke(ended)
        # Cut off within the checksum, a file is one of before there were any; then HDF5 itself must find it whole.
        if not broken and ended.code == 0 and name in SEALED and damaged != content and b"GEM checksum crc32" in damaged[-40:]:
            broken = "was used although bytes have changed"
        if broken:
            kept = f"/tmp/gem-campaign-{index}-{os.path.basename(name)}"
            shutil.copy(runner.path(target), kept)
            return Found(f"{command.format(kept)}: {broken}")
        return Found(note="used" if ended.code == 0 else "refused")
    return unit


def used(notes):
    return f"{len(notes)} formats; {sum(found.get('used', 0) for found in notes.values())} files were harmless", []


DAMAGED_FILES = Part("500 damaged files a format; no crash, no hang, no silence",
                     lambda scale: [Lane(name, max(1, round(500 * scale)), one_damaged(name, command), is_read(name, command))
                                    for name, command in READERS.items()], prepare_files, used)

WORDS = ["0", "1", "2", "-1", "3", "16", "257", "65536", "2147483648", "1e8", "1e999", "nan", "inf", "0.5", "x", "", " ",
         "simulated", "host", "train", "gem", "eplb", "bf16", "trace.h5", "profile.h5", "small-map.h5", "nowhere/x",
         "/dev/null", "/dev/full", ".", "1,2", "0-3", "\x1b[31m", "$(id)"]
PROGRAMS = {
    "gem-trace synthesize": [], "gem-trace batch": ["--routing", "routing.h5"], "gem-trace split": ["--trace", "trace.h5"],
    "gem-trace describe": ["--trace", "trace.h5"], "gem-trace import": ["--input", "trace.h5"],
    "gem-profile": ["--model", "gpt-oss-20b", "--device", "simulated", "--devices", "4", "--dry-run"],
    "gem-map": ["--profile", "profile.h5", "--trace", "trace.h5", "--time-limit", "2"],
    "gem-verify": ["--profile", "profile.h5", "--trace", "trace.h5", "--mapping", "small-map.h5", "--dry-run"],
    "gem-batch": ["plan.toml", "--dry-run"], "gem-deploy export": ["--mapping", "small-map.h5"],
    "gem-deploy permute": ["--mapping", "small-map.h5", "--checkpoint", "model", "--dry-run"],
    "gem-deploy import": ["--input", "location.json"], "gem-deploy check": ["--mapping", "small-map.h5"],
    "gem-adapt": ["--profile", "profile.h5", "--trace", "trace.h5", "--dry-run"],
}




def option_set(program, fixed):
    def unit(runner, options, random, index):
        words = program.split() + fixed
        for option in random.sample(options, min(len(options), random.randrange(1, 5))):
            words.append(option)
            if random.random() < 0.85:
                words.append(random.choice(WORDS))
        if random.random() < 0.5:
            words += ["--output", "new.out"]
        broken = how_it_broke(runner.run(words, limit_s=240))
        return Found(f"{' '.join(words)}: {broken}" if broken else "")
    return unit


def options_of(program):
    def setup(runner):
        help_text = runner.run(program.split() + ["--help"]).output
        return sorted({word.strip(",.;:()") for word in help_text.split() if word.startswith("--") and len(word) > 3})
    return setup


OPTIONS = Part("500 random option sets a program or command; done, or refused with a sentence",
               lambda scale: [Lane(program, max(1, round(500 * scale)), option_set(program, fixed), options_of(program))
                              for program, fixed in PROGRAMS.items()], prepare_files)
