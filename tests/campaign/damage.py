"""Damaged files and random options: whatever comes, a program does it or refuses it with a sentence."""

import os
import random
import shutil

from interruptions import prepare
from runs import Outcome, how_it_broke

# Which program reads a file of each format; {} is the damaged file.
READERS = {
    "trace.h5": "gem-trace describe --trace {}",
    "profile.h5": "gem-map --profile {} --trace trace.h5 --dry-run",
    "small-map.h5": "gem-deploy export --engine sglang --mapping {} --output out.json",
    "routing.h5": "gem-trace batch --routing {} --output out.h5",
    "report.h5": "gem-verify --profile profile.h5 --trace trace.h5 --mapping {} --output out.h5",
    "model.csv": "gem-trace synthesize --model {} --output out.h5",
    "slowdown.csv": "gem-profile --model gpt-oss-20b --device simulated --devices 2 --slowdown {} --max-tokens 256 "
                    "--output out.h5",
    "plan.toml": "gem-batch {} --dry-run",
    "model/model-00001-of-00002.safetensors": "gem-deploy permute --mapping small-map.h5 --checkpoint damaged.model "
                                              "--output out.model",
    "counts.json": "gem-trace import --input {} --experts 8 --output out.h5",
}


def damage(content):
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


def damaged_files(runner, scale):
    prepare(runner)
    repository_data = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "jobs", "data")
    shutil.copy(os.path.join(repository_data, "routing", "gpt-oss-20b.gpqa.h5"), runner.path("routing.h5"))
    runner.run("gem-verify --profile profile.h5 --trace trace.h5 --mapping small-map.h5 --allow-model-mismatch "
               "--first-step 0 --steps 4 --output report.h5")
    shutil.copy(runner.path("small-map.h5"), runner.path("report.h5"))
    with open(runner.path("model.csv"), "w", encoding="ascii") as file:
        file.write("model,hidden_size,moe_intermediate_size,moe_layers,routed_experts,top_k\ntiny,64,32,2,8,2\n")
    with open(runner.path("slowdown.csv"), "w", encoding="ascii") as file:
        file.write("gpu,relative_runtime\n" + "".join(f"g{i},{1 + i / 50}\n" for i in range(12)))
    with open(runner.path("counts.json"), "w", encoding="ascii") as file:
        file.write("[" + ",".join("[[" + ",".join(str((i * 7 + e) % 5) for e in range(8)) + "]]" for i in range(16)) + "]")
    faults, count, used = [], 0, 0
    for name, command in READERS.items():
        with open(runner.path(name), "rb") as file:
            content = file.read()
        for _ in range(max(1, round(500 * scale))):
            target = "damaged" + os.path.splitext(name)[1]
            if "/" in name:
                shutil.rmtree(runner.path("damaged.model"), ignore_errors=True)
                shutil.copytree(runner.path("model"), runner.path("damaged.model"))
                target = "damaged.model/" + os.path.basename(name)
            with open(runner.path(target), "wb") as file:
                file.write(damage(content))
            shutil.rmtree(runner.path("out.model"), ignore_errors=True)
            ended = runner.run(command.format(target), limit_s=60)
            count, used = count + 1, used + (ended.code == 0)
            broken = how_it_broke(ended)
            if broken:
                kept = f"/tmp/gem-campaign-{len(faults)}-{os.path.basename(target)}"
                shutil.copy(runner.path(target), kept)
                faults.append(f"{command.format(kept)}: {broken}")
    return Outcome(f"{count} damaged files of {len(READERS)} formats, {used} of them harmless; no crash, no hang", faults)


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
}


def option_sets(runner, scale):
    prepare(runner)
    faults, count = [], 0
    for program, fixed in PROGRAMS.items():
        help_text = runner.run(program.split() + ["--help"]).output
        options = sorted({word.strip(",.;:()") for word in help_text.split() if word.startswith("--") and len(word) > 3})
        for _ in range(max(1, round(500 * scale))):
            words = program.split() + fixed
            for option in random.sample(options, min(len(options), random.randrange(1, 5))):
                words.append(option)
                if random.random() < 0.85:
                    words.append(random.choice(WORDS))
            if random.random() < 0.5:
                words += ["--output", "new.out"]
            ended = runner.run(words, limit_s=120)
            count += 1
            broken = how_it_broke(ended)
            if broken:
                faults.append(f"{' '.join(words)}: {broken}")
    return Outcome(f"{count} option sets of {len(PROGRAMS)} programs and commands", faults)
