"""Many devices, counts and ranks."""

import resource
import time

from ledger import Found, Lane, Part
from runs import digest, how_it_broke

LIMIT_S = 60


def timed(runner, command, ranks=1, limit_s=3600):
    """Seconds that a command took, and how it broke."""
    begin = time.monotonic()
    ended = runner.run(command, ranks, limit_s=limit_s)
    broken = how_it_broke(ended) or (f"code {ended.code}: {ended.errors[-300:]}" if ended.code else "")
    return time.monotonic() - begin, f"{command}: {broken}" if broken else ""


def many_devices(devices):
    def unit(runner, _, random, index):
        runner.must(f"gem-trace synthesize --experts {devices} --layers 1 --top-k 8 --tokens 8192 --steps 16 --output many.h5",
                    limit_s=1200)
        profile_s, broken = timed(runner, f"gem-profile --model gpt-oss-20b --device simulated --devices {devices} "
                                  "--experts-per-device 1 --max-tokens 8192 --slowdown 1.0,1.28 --output many-profile.h5")
        if broken:
            return Found(broken)
        map_s, broken = timed(runner, "gem-map --profile many-profile.h5 --trace many.h5 --allow-model-mismatch "
                              f"--time-limit {LIMIT_S} --output many-map.h5")
        if not broken and map_s > 2 * LIMIT_S:
            broken = f"gem-map --time-limit {LIMIT_S} took {map_s:.0f} s"
        return Found(broken, f"{devices:,} devices profiled in {profile_s:.0f} s, mapped in {map_s:.0f} s "
                             f"(limit {LIMIT_S} s)")
    return unit


def many_counts(counts):
    steps = max(64, counts // (128 * 64))

    def unit(runner, _, random, index):
        synthesis_s, broken = timed(runner, f"gem-trace synthesize --experts 128 --layers 64 --top-k 8 --tokens 256 --steps "
                                    f"{steps} --output large.h5")
        split_s, broken = (0.0, broken) if broken else timed(
            runner, f"gem-trace split --trace large.h5 --train-steps {steps // 2} --output-train large.1.h5 --output-test "
            "large.2.h5")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        describe_s, broken = (0.0, broken) if broken else timed(runner, "gem-trace describe --trace large.1.h5")
        return Found(broken, f"{steps * 128 * 64:,} counts made in {synthesis_s:.0f} s, split in {split_s:.0f} s, half of "
                             f"them described in {describe_s:.0f} s, no program so far above {peak:.0f} MiB")
    return unit


def many_ranks(count):
    def unit(runner, _, random, index):
        seconds, broken = timed(runner, "gem-map --profile profile.h5 --trace trace.h5 --effort fast --output new.h5", count)
        return Found(broken, f"{count} ranks mapped in {seconds:.0f} s")
    return unit


def prepare_ranks(runner):
    runner.must("gem-trace synthesize --model gpt-oss-20b --steps 48 --output trace.h5")
    runner.must("gem-profile --model gpt-oss-20b --device simulated --devices 4 --slowdown 1.0,1.28 --output profile.h5")


def all_notes(notes):
    return "; ".join(note for found in notes.values() for note in found), []


SIZES = Part("4,096 simulated devices, a billion counts, 64 ranks",
             lambda scale: [Lane("devices", 1, many_devices(max(16, round(4096 * scale)))),
                            Lane("counts", 1, many_counts(round(1_000_000_000 * scale))),
                            Lane("ranks", 1, many_ranks(max(4, round(64 * scale))))], prepare_ranks, concludes=all_notes, at_once=False)


def on_ranks(runner, _, random, index):
    runner.must("gem-map --profile profile.h5 --trace trace.h5 --effort fast --output new.h5", index + 1, limit_s=1200)
    return Found(note=digest(runner.path("new.h5")))


def all_equal(notes):
    (found,) = notes.values()
    return f"mappings on 1 to {sum(found.values())} ranks", [] if len(found) < 2 else [f"mappings differ: {found}"]


RANKS = Part("the same mapping on 1 to 16 ranks",
             lambda scale: [Lane("gem-map", max(2, round(16 * scale)), on_ranks)], prepare_ranks, all_equal)
