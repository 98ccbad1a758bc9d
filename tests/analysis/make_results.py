#!/usr/bin/python3
"""Makes small results with the real programs, for the other tests: `simulated`, four simulated devices and bundled
routing, and `host`, two ranks that compute and exchange. What the programs print is kept beside (NAME.txt)."""

import argparse
import os
import shutil
import subprocess

SMALL_MODEL = """\
model,hidden_size,moe_intermediate_size,num_layers,moe_layers,routed_experts,top_k,shared_experts,shared_intermediate_size,\
weight_dtype,gate_up_down_bytes_per_expert_bf16,routed_bytes_per_moe_layer_bf16,source,confidence
small,128,128,3,3,8,2,0,0,f32,98304,786432,made for this test,made up
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--programs", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("mpirun", nargs="+")
    options = parser.parse_args()
    options.programs, options.data = os.path.abspath(options.programs), os.path.abspath(options.data)
    shutil.rmtree(options.folder, ignore_errors=True)

    def run(folder, name, program, *arguments, ranks=1, good=(0,)):
        path = os.path.join(options.folder, folder)
        os.makedirs(path, exist_ok=True)
        command = [os.path.join(options.programs, program), *map(str, arguments)]
        if ranks > 1:
            command = [*options.mpirun, "-n", str(ranks), *command]
        done = subprocess.run(
            command, cwd=path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        with open(os.path.join(path, f"{name}.txt"), "w", encoding="utf-8") as file:
            file.write(done.stdout)
        if done.returncode not in good:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")

    routing = os.path.join(options.data, "routing", "gpt-oss-20b.gpqa.h5")
    for part in ("train", "test"):
        run(
            "simulated",
            part,
            "gem-trace",
            "batch",
            "--routing",
            routing,
            "--batch-size",
            64,
            "--steps",
            24,
            "--part",
            part,
            "--output",
            f"{part}.h5",
        )
    run("simulated", "describe", "gem-trace", "describe", "--trace", "train.h5", "--layer", 11)
    run(
        "simulated",
        "profile",
        "gem-profile",
        "--model",
        "gpt-oss-20b",
        "--device",
        "simulated",
        "--devices",
        4,
        "--slowdown",
        "1.0,1.1,1.2,1.28",
        "--tile-tokens",
        16,
        "--max-tokens",
        256,
        "--output",
        "profile.h5",
    )
    for method in ("eplb", "gem"):
        run(
            "simulated",
            method,
            "gem-map",
            "--profile",
            "profile.h5",
            "--trace",
            "train.h5",
            "--test-trace",
            "test.h5",
            "--effort",
            "fast",
            "--method",
            method,
            "--output",
            f"{method}.h5",
        )
    run(
        "simulated",
        "verify",
        "gem-verify",
        "--profile",
        "profile.h5",
        "--trace",
        "test.h5",
        "--mapping",
        "eplb.h5",
        "--mapping",
        "gem.h5",
        "--steps",
        16,
        "--output",
        "report.h5",
        good=(0, 1),
    )

    run(
        "whole",
        "verify",
        "gem-verify",
        "--profile",
        "../simulated/profile.h5",
        "--trace",
        "../simulated/test.h5",
        "--mapping",
        "../simulated/eplb.h5",
        "--mapping",
        "../simulated/gem.h5",
        "--steps",
        8,
        "--whole-step",
        "--exchange-fixed-time",
        30,
        "--output",
        "report.h5",
        good=(0, 1),
    )

    run(
        "regimes",
        "profile",
        "gem-profile",
        "--model",
        "gpt-oss-20b",
        "--device",
        "simulated",
        "--devices",
        4,
        "--tile-rule",
        "32:16,64",
        "--max-tokens",
        256,
        "--output",
        "profile.h5",
    )

    os.makedirs(os.path.join(options.folder, "host"))
    with open(os.path.join(options.folder, "host", "small.csv"), "w", encoding="utf-8") as file:
        file.write(SMALL_MODEL)
    run(
        "host",
        "trace",
        "gem-trace",
        "synthesize",
        "--model",
        "small.csv",
        "--tokens",
        64,
        "--steps",
        8,
        "--output",
        "trace.h5",
    )
    run(
        "host",
        "profile",
        "gem-profile",
        "--model",
        "small.csv",
        "--device",
        "host",
        "--dtype",
        "f32",
        "--slowdown",
        "1.0,1.28",
        "--tile-tokens",
        16,
        "--max-tokens",
        64,
        "--max-samples",
        10,
        "--exchange",
        "--output",
        "profile.h5",
        ranks=2,
    )
    with open(os.path.join(options.folder, "simulated", "drift.csv"), "w", encoding="utf-8") as file:
        file.write("step,device,slowdown\n90,0,1.28\n")
    run(
        "drift",
        "adapt",
        "gem-adapt",
        *(
            "--profile",
            "../simulated/profile.h5",
            "--trace",
            "../simulated/train.h5",
            "--trace",
            "../simulated/test.h5",
        ),
        *("--slowdown-changes", "../simulated/drift.csv", "--steps", 160, "--train-steps", 16, "--window", 32),
        *("--engine-window", 40, "--engine-interval", 40, "--layer-count", 2, "--move-time", 1e-6),
        good=(0, 1),
    )
    run(
        "host",
        "gem",
        "gem-map",
        "--profile",
        "profile.h5",
        "--trace",
        "trace.h5",
        "--train-steps",
        4,
        "--effort",
        "fast",
        "--output",
        "gem.h5",
    )
    run(
        "host",
        "verify",
        "gem-verify",
        "--profile",
        "profile.h5",
        "--trace",
        "trace.h5",
        "--mapping",
        "gem.h5",
        "--rounds",
        1,
        "--output",
        "report.h5",
        ranks=2,
        good=(0, 1),
    )


if __name__ == "__main__":
    main()
