#!/usr/bin/python3
"""Time of a call of GEM's policy, on one thread, from made-up loads: processor time, the least and the median of so many
calls, as engines make them (through gem_policy) and of the library alone.

    tests/benchmark/policy_times.py [--calls N] [--case NAME] [LIBRARY...]

Needs Python with NumPy, and PYTHONPATH of `policy` and `tests/policy`; without a LIBRARY, that of GEM_POLICY_LIBRARY. Give
several, of two builds, and they are called in turn, so that what else the machine does meets all alike, and their maps are
compared: exit code 1 if they differ. Devices are simulated, one surface slowed down by factors."""

import argparse
import dataclasses
import os
import statistics
import sys
import tempfile
import time

EXPERT = (50e6, 25e6)  # bytes, parameters
SLOWDOWNS = (1.0, 1.05, 1.12, 1.28)
HORIZON = 3000
STEPS = 16  # of which the policy searches on half and judges by half
MOVES = (2, 4, 8)


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    layers: int
    experts: int
    slots: int
    devices: int
    tokens: int

    def question(self):
        """Counts [step, layer, expert] and today's map [layer, slot]."""
        from support import linear_map, made_up_counts

        return (made_up_counts(STEPS, self.layers, self.experts, tokens=self.tokens, top_k=8),
                linear_map(self.layers, self.experts, self.slots))


CASES = (Case("copies", 58, 256, 288, 32, 4096), Case("large", 58, 256, 256, 32, 4096),
         Case("small", 48, 128, 128, 8, 512))
TINY = Case("tiny", 2, 16, 20, 4, 64)  # to see that all of this works


def write_slow_profile(folder, devices, slowdowns=SLOWDOWNS):
    """A text as gem-deploy profile writes it: one made-up surface, slowed down device by device, in turn."""
    import numpy
    from test_package import write_profile

    os.makedirs(folder, exist_ok=True)
    return write_profile(folder, [""] * devices, slowdowns=numpy.resize(slowdowns, devices).tolist())


def as_engines_call(library, profile, **values):
    """function(counts, present, devices) -> map, by these settings."""
    from support import Log

    from gem_policy.decision import Decider, Expert
    from gem_policy.settings import Settings

    decider, expert = Decider(Settings(library=library, profile=profile, **values), Log()), Expert(*EXPERT)
    return lambda counts, present, devices: decider.place(counts, present, present.shape[1] // devices, devices, HORIZON,
                                                          expert)


def alone(library, profile, max_moves):
    """The same of the library, with the same question: odd steps judge."""
    import numpy

    from gem_policy.library import Devices, Library
    from gem_policy.settings import Settings

    measured = Devices.measured(Library(library), profile)
    move_s = EXPERT[0] / (Settings().move_gbps * 1e9)

    def place(counts, present, devices):
        in_turn = numpy.concatenate([counts[0::2], counts[1::2]])
        return measured.place(in_turn, present, present.shape[1] // devices, devices, judged_steps=len(counts) // 2,
                              max_moves=max_moves, move_s=move_s, horizon_steps=HORIZON).map

    return place


def times_of(policies, question, devices, calls):
    """name -> (least, median) processor milliseconds of a call, the policies in turn; and name -> map."""
    seconds, maps = {name: [] for name in policies}, {}
    for _ in range(calls):
        for name, place in policies.items():
            begin = time.process_time()
            maps[name] = place(*question, devices)
            seconds[name].append(time.process_time() - begin)
    return {name: (1e3 * min(all_s), 1e3 * statistics.median(all_s)) for name, all_s in seconds.items()}, maps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("libraries", metavar="LIBRARY", nargs="*")
    parser.add_argument("--calls", type=int, default=20, help="of each library, with each number of moves")
    parser.add_argument("--case", action="append", choices=[case.name for case in (*CASES, TINY)],
                        help="may be given several times; all but tiny if left out")
    arguments = parser.parse_args()
    names = arguments.case or [case.name for case in CASES]
    libraries = arguments.libraries or [os.environ.get("GEM_POLICY_LIBRARY", "")]
    differ = False
    print("| layers x experts, slots, devices | moves a layer | library | as engines call it, ms: least, median | alone |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for case in (case for case in (*CASES, TINY) if case.name in names):
            question = case.question()
            profile = write_slow_profile(os.path.join(folder, case.name), case.devices)
            for moves in MOVES:
                policies = {}
                for library in libraries:
                    policies[library, "engine"] = as_engines_call(library, profile, max_moves=moves)
                    policies[library, "alone"] = alone(library, profile, moves)
                times, maps = times_of(policies, question, case.devices, arguments.calls)
                same = len({placed.tobytes() for placed in maps.values()}) == 1
                differ |= not same
                for library in libraries:
                    engine, by_itself = times[library, "engine"], times[library, "alone"]
                    print(f"| {case.layers} x {case.experts}, {case.slots}, {case.devices} | {moves} | {library} | "
                          f"{engine[0]:.1f}, {engine[1]:.1f} | {by_itself[0]:.1f}, {by_itself[1]:.1f} |"
                          f"{'' if same else ' maps differ'}", flush=True)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
