"""Many devices, counts and ranks."""

import resource
import time

from runs import Outcome, digest, how_it_broke


def sizes(runner, scale):
    """Does a part of each largest size: with scale 0.1, 410 devices instead of 4,096."""
    faults, done = [], []

    def timed(what, command, ranks=1, most_s=1800):
        begin = time.monotonic()
        ended = runner.run(command, ranks, limit_s=most_s)
        seconds = time.monotonic() - begin
        broken = how_it_broke(ended) or (f"code {ended.code}: {ended.errors[-300:]}" if ended.code else "")
        if broken:
            faults.append(f"{command}: {broken}")
        done.append(f"{what} {seconds:.0f} s")
        return seconds

    devices = max(16, round(4096 * scale))
    shape = f"--experts {devices} --layers 1 --top-k 8 --tokens 8192"
    runner.must(f"gem-trace synthesize {shape} --steps 16 --output many.h5", limit_s=600)
    timed(f"profile of {devices} devices", f"gem-profile --model gpt-oss-20b --device simulated --devices {devices} "
          "--experts-per-device 1 --max-tokens 8192 --slowdown 1.0,1.28 --output many-profile.h5")
    limit_s = 60
    seconds = timed(f"mapping {devices} experts on {devices} devices",
                    f"gem-map --profile many-profile.h5 --trace many.h5 --allow-model-mismatch --time-limit {limit_s} "
                    "--output many-map.h5")
    if seconds > 2 * limit_s:
        faults.append(f"gem-map --time-limit {limit_s} took {seconds:.0f} s")

    steps = max(64, round(1_000_000_000 * scale / (128 * 64)))
    runner.must(f"gem-trace synthesize --experts 128 --layers 64 --top-k 8 --tokens 256 --steps {steps} --output large.h5",
                limit_s=3600)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    timed(f"split of {steps * 128 * 64:,} counts", f"gem-trace split --trace large.h5 --train-steps {steps // 2} "
          "--output-train large.1.h5 --output-test large.2.h5", most_s=3600)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    done.append(f"with {peak / 1024:.0f} MiB at most" + (" (as others before)" if peak == before else ""))
    timed("its description", "gem-trace describe --trace large.1.h5", most_s=3600)

    count = max(4, round(64 * scale))
    runner.must("gem-trace synthesize --model gpt-oss-20b --steps 64 --output trace.h5")
    runner.must("gem-profile --model gpt-oss-20b --device simulated --devices 4 --output profile.h5")
    timed(f"mapping on {count} ranks", "gem-map --profile profile.h5 --trace trace.h5 --effort fast --output new.h5", count)
    return Outcome("; ".join(done), faults)


def ranks(runner, scale):
    runner.must("gem-trace synthesize --model gpt-oss-20b --steps 48 --output trace.h5")
    runner.must("gem-profile --model gpt-oss-20b --device simulated --devices 4 --slowdown 1.0,1.28 --output profile.h5")
    most = max(2, round(16 * scale))
    found = {}
    for count in range(1, most + 1):
        runner.must("gem-map --profile profile.h5 --trace trace.h5 --effort fast --output new.h5", count, limit_s=600)
        found.setdefault(digest(runner.path("new.h5")), []).append(count)
    faults = [] if len(found) == 1 else [f"mappings differ between ranks: {sorted(found.values())}"]
    return Outcome(f"mappings on 1 to {most} ranks are equal", faults)
