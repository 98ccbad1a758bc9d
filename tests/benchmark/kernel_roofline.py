#!/usr/bin/env python3
"""Roofline table of the grouped FFN: ours against torch._grouped_mm, dense cuBLAS products and a device copy.

    kernel_roofline.py --program PATH/kernel_roofline --output DIRECTORY [--samples 15]

One run: random data, L2 flushed by reading 256 MB before each sample, three sets of weights in rotation, medians by CUDA
events with the stream held while work is enqueued. Writes kernel_roofline.md and kernel_roofline.csv.
"""
import argparse
import csv
import datetime
import io
import pathlib
import statistics
import subprocess
import time

import torch

SETS = 3


class Instrument:
    def __init__(self, samples):
        self.samples = samples
        self.flush = torch.randn(64 << 20, device="cuda")  # 256 MB of f32

    def median_s(self, work):
        """Median seconds of work(i) over the samples, after two warm-ups; the better of two series, because the host can
        fall behind the GPU in one."""
        return min(self.series_s(work), self.series_s(work))

    def series_s(self, work):
        events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True))
                  for _ in range(self.samples)]
        work(0)
        work(1)
        torch.cuda.synchronize()
        time.sleep(0.01)  # large products run at the power limit: all start alike
        torch.cuda._sleep(20_000_000)  # about 10 ms: the host enqueues meanwhile
        for i, (start, stop) in enumerate(events):
            torch.amax(self.flush)
            start.record()
            work(i)
            stop.record()
        torch.cuda.synchronize()
        return statistics.median(start.elapsed_time(stop) for start, stop in events) * 1e-3


def random_bf16(*sizes, scale=1.0):
    return torch.empty(*sizes, device="cuda", dtype=torch.bfloat16).uniform_(-scale, scale)


def measure_libraries(rows, instrument):
    """Adds the libraries' seconds to each load: grouped_mm (gate+up, three steps) and dense products of equal work."""
    loads = {}
    for row in rows:
        loads.setdefault((row["shape"], row["experts"], row["hidden"], row["intermediate"]), set()).add(row["tokens"])
    times = {}
    for (shape, experts, hidden, intermediate), token_counts in loads.items():
        gate_up = [random_bf16(experts, 2 * intermediate, hidden, scale=0.03) for _ in range(SETS)]
        down = [random_bf16(experts, hidden, intermediate, scale=0.03) for _ in range(SETS)]
        for tokens in sorted(token_counts):
            total = tokens * experts
            x = random_bf16(total, hidden)
            activation = random_bf16(total, intermediate)
            offsets = torch.arange(1, experts + 1, device="cuda", dtype=torch.int32) * tokens

            def grouped_gate_up(i):
                return torch._grouped_mm(x, gate_up[i % SETS].transpose(1, 2), offs=offsets)

            def grouped_whole(i):
                both = grouped_gate_up(i)
                gated = torch.nn.functional.silu(both[:, :intermediate]) * both[:, intermediate:]
                return torch._grouped_mm(gated, down[i % SETS].transpose(1, 2), offs=offsets)

            # Dense products of equal work: all tokens against the weights of one expert.
            def dense_gate_up(i):
                return x @ gate_up[i % SETS][i % experts].t()

            def dense_down(i):
                return activation @ down[i % SETS][i % experts].t()

            entry = {}
            for name, work in (("grouped_gate_up", grouped_gate_up), ("grouped_whole", grouped_whole),
                               ("dense_gate_up", dense_gate_up), ("dense_down", dense_down)):
                try:
                    entry[name] = instrument.median_s(work)
                except RuntimeError as error:
                    print(f"{shape} {tokens} {name}: {str(error).splitlines()[0]}")
                    entry[name] = float("nan")
            times[(shape, tokens)] = entry
        del gate_up, down
    return times


def measure_copy(instrument):
    """Bytes per second of a device copy, bytes read plus bytes written."""
    source = torch.randn(256 << 20, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.nbytes / instrument.median_s(lambda i: target.copy_(source))


def table(rows, times, copy_bytes_per_s):
    """Decode loads are held against the copy's bytes per second, prefill loads against the dense product."""
    lines = ["| shape | experts x tokens | tile | gate+up: ours | ours | grouped_mm | dense | whole FFN: ours | ours | ours |"
             " grouped_mm, 3 steps | dense | / grouped_mm | / dense | / copy |",
             "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
             "| | | tokens | us | TFLOP/s | us | us | us | TFLOP/s | GB/s of weights | us | us | gate+up, whole |"
             " gate+up, whole | gate+up, whole |"]
    by_load = {}
    for row in rows:
        by_load.setdefault((row["shape"], row["tokens"]), {})[row["part"]] = row
    for (shape, tokens), parts in by_load.items():
        gate_up, whole = parts["gate_up"], parts["whole"]
        entry = {name: seconds * 1e6 for name, seconds in times[(shape, tokens)].items()}
        dense = entry["dense_gate_up"] + entry["dense_down"]
        to_dense = f"{entry['dense_gate_up'] / gate_up['time_us']:.2f}, {dense / whole['time_us']:.2f}"
        to_copy = ", ".join(f"{part['weights_gb_per_s'] * 1e9 / copy_bytes_per_s:.2f}" for part in (gate_up, whole))
        lines.append(
            f"| {shape} | {whole['experts']} x {tokens} | {whole['tile_tokens']} "
            f"| {gate_up['time_us']:.1f} | {gate_up['tflops']:.0f} | {entry['grouped_gate_up']:.1f} "
            f"| {entry['dense_gate_up']:.1f} | {whole['time_us']:.1f} | {whole['tflops']:.0f} "
            f"| {whole['weights_gb_per_s']:.0f} | {entry['grouped_whole']:.1f} | {dense:.1f} "
            f"| {entry['grouped_gate_up'] / gate_up['time_us']:.2f}, {entry['grouped_whole'] / whole['time_us']:.2f} "
            f"| {to_dense if tokens >= 256 else ''} | {to_copy if tokens <= 128 else ''} |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--samples", type=int, default=15)
    arguments = parser.parse_args()
    printed = subprocess.run([arguments.program, "--samples", str(arguments.samples)], check=True, text=True,
                             capture_output=True).stdout
    rows = list(csv.DictReader(io.StringIO(printed)))
    for row in rows:
        for name in ("experts", "hidden", "intermediate", "tokens", "tile_tokens"):
            row[name] = int(row[name])
        for name in ("time_us", "tflops", "weights_gb_per_s"):
            row[name] = float(row[name])
    instrument = Instrument(arguments.samples)
    a, b = random_bf16(4096, 4096), random_bf16(4096, 4096)
    dense_s = instrument.median_s(lambda i: a @ b)
    copy_bytes_per_s = measure_copy(instrument)
    times = measure_libraries(rows, instrument)
    driver = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], text=True,
                            capture_output=True).stdout.strip()
    head = ["# Roofline of the grouped FFN", "",
            f"{torch.cuda.get_device_name()}, driver {driver}, torch {torch.__version__}, CUDA {torch.version.cuda}, "
            f"{datetime.date.today()}. Made by `tests/benchmark/kernel_roofline.py --program kernel_roofline --output .`", "",
            f"Medians of {arguments.samples} samples on random bf16 data, L2 flushed before each, weights rotated. "
            f"Device copy: {copy_bytes_per_s * 1e-12:.2f} TB/s (read plus written). Dense 4096^3: "
            f"{2 * 4096**3 / dense_s * 1e-12:.0f} TFLOP/s. \"dense\" is one cuBLAS product of equal work (all tokens against one "
            "expert's weights; for the whole FFN two products). Ratios are speed of ours over the other's; \"/ copy\" is bytes of "
            "weights per second over the copy's bytes per second.", ""]
    text = "\n".join(head + table(rows, times, copy_bytes_per_s)) + "\n"
    output = pathlib.Path(arguments.output)
    (output / "kernel_roofline.md").write_text(text)
    (output / "kernel_roofline.csv").write_text(printed)
    print(text)


if __name__ == "__main__":
    main()
