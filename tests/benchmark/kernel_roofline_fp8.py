#!/usr/bin/env python3
"""Roofline table of the grouped FFN in fp8: against ours in bf16, torch._scaled_grouped_mm, dense torch._scaled_mm and a
device copy.

    kernel_roofline_fp8.py --program PATH/kernel_roofline --output DIRECTORY [--samples 15]

Measured as in kernel_roofline.py. The library's products have coarser scales than ours (one for each row of either operand,
the dense ones one for each matrix), and the time between them (SwiGLU, quantising) isn't counted. Writes
kernel_roofline_fp8.md and kernel_roofline_fp8.csv.
"""
import argparse
import csv
import datetime
import io
import pathlib
import subprocess

import torch

from kernel_roofline import SETS, Instrument, measure_copy, random_bf16


def random_e4m3(*sizes):
    """Random values over the whole range of e4m3."""
    result = torch.empty(*sizes, device="cuda", dtype=torch.float8_e4m3fn)
    for part in result if len(sizes) == 3 else [result]:
        part.copy_(random_bf16(*sizes[-2:], scale=448.0))
    return result


def ones(*sizes):
    return torch.ones(*sizes, device="cuda", dtype=torch.float32)


def measure_libraries(loads, instrument):
    """Seconds of the two grouped products and of two dense products of equal work, for each load; NaN where refused."""
    times = {}
    for (shape, experts, hidden, intermediate), token_counts in loads.items():
        gate_up = [random_e4m3(experts, 2 * intermediate, hidden) for _ in range(SETS)]
        down = [random_e4m3(experts, hidden, intermediate) for _ in range(SETS)]
        for tokens in sorted(token_counts):
            total = tokens * experts
            offsets = torch.arange(1, experts + 1, device="cuda", dtype=torch.int32) * tokens
            entry = {}
            for part, weights, columns, depth in (("gate_up", gate_up, 2 * intermediate, hidden),
                                                  ("down", down, hidden, intermediate)):
                x = random_e4m3(total, depth)
                row_scales, column_scales, one = ones(total), ones(experts, columns), ones(())

                def grouped(i):
                    return torch._scaled_grouped_mm(x, weights[i % SETS].transpose(1, 2), row_scales, column_scales,
                                                    offs=offsets, out_dtype=torch.bfloat16, use_fast_accum=True)

                def dense(i):
                    return torch._scaled_mm(x, weights[i % SETS][i % experts].t(), one, one, out_dtype=torch.bfloat16,
                                            use_fast_accum=True)

                for name, work in (("grouped_" + part, grouped), ("dense_" + part, dense)):
                    try:
                        entry[name] = instrument.median_s(work)
                    except (RuntimeError, AttributeError, TypeError) as error:
                        print(f"{shape} {tokens} {name}: {str(error).splitlines()[0]}")
                        entry[name] = float("nan")
            times[(shape, tokens)] = entry
        del gate_up, down
    return times


def table(rows, times, copy_bytes_per_s):
    lines = ["| shape | experts x tokens | tile | bf16, whole | gate+up | gate+up | whole | whole | whole |"
             " scaled_grouped_mm: gate+up, both | dense: gate+up, both | / bf16 | / grouped | / dense | / copy |",
             "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
             "| | | tokens | us | us | TFLOP/s | us | TFLOP/s | GB/s of weights | us | us | whole |"
             " gate+up, whole | gate+up, whole | gate+up, whole |"]
    by_load = {}
    for row in rows:
        by_load.setdefault((row["shape"], row["tokens"]), {})[(row["type"], row["part"])] = row
    for (shape, tokens), parts in by_load.items():
        gate_up, whole, bf16 = parts[("fp8", "gate_up")], parts[("fp8", "whole")], parts[("bf16", "whole")]
        entry = {name: seconds * 1e6 for name, seconds in times[(shape, tokens)].items()}
        grouped = entry["grouped_gate_up"], entry["grouped_gate_up"] + entry["grouped_down"]
        dense = entry["dense_gate_up"], entry["dense_gate_up"] + entry["dense_down"]
        ours = gate_up["time_us"], whole["time_us"]
        to_copy = ", ".join(f"{part['weights_gb_per_s'] * 1e9 / copy_bytes_per_s:.2f}" for part in (gate_up, whole))
        to_dense = ", ".join(f"{theirs / mine:.2f}" for theirs, mine in zip(dense, ours))
        lines.append(
            f"| {shape} | {whole['experts']} x {tokens} | {whole['tile_tokens']} | {bf16['time_us']:.1f} "
            f"| {ours[0]:.1f} | {gate_up['tflops']:.0f} | {ours[1]:.1f} | {whole['tflops']:.0f} "
            f"| {whole['weights_gb_per_s']:.0f} | {grouped[0]:.1f}, {grouped[1]:.1f} | {dense[0]:.1f}, {dense[1]:.1f} "
            f"| {bf16['time_us'] / ours[1]:.2f} | {grouped[0] / ours[0]:.2f}, {grouped[1] / ours[1]:.2f} "
            f"| {to_dense if tokens >= 256 else ''} | {to_copy if tokens <= 128 else ''} |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--samples", type=int, default=15)
    arguments = parser.parse_args()
    printed = subprocess.run([arguments.program, "--fp8", "--samples", str(arguments.samples)], check=True, text=True,
                             capture_output=True).stdout
    output = pathlib.Path(arguments.output)
    (output / "kernel_roofline_fp8.csv").write_text(printed)
    rows = list(csv.DictReader(io.StringIO(printed)))
    loads = {}
    for row in rows:
        for name in ("experts", "hidden", "intermediate", "tokens", "tile_tokens"):
            row[name] = int(row[name])
        for name in ("time_us", "tflops", "weights_gb_per_s"):
            row[name] = float(row[name])
        loads.setdefault((row["shape"], row["experts"], row["hidden"], row["intermediate"]), set()).add(row["tokens"])
    instrument = Instrument(arguments.samples)
    copy_bytes_per_s = measure_copy(instrument)
    times = measure_libraries(loads, instrument)
    driver = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], text=True,
                            capture_output=True).stdout.strip()
    head = [f"{torch.cuda.get_device_name()}, driver {driver}, torch {torch.__version__}, CUDA {torch.version.cuda}, "
            f"{datetime.date.today()}. Device copy: {copy_bytes_per_s * 1e-12:.2f} TB/s.", ""]
    text = "\n".join(head + table(rows, times, copy_bytes_per_s)) + "\n"
    (output / "kernel_roofline_fp8.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
