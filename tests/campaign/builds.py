"""What needs builds of its own: other compilers, sanitizers, valgrind, coverage, mutants. Builds go to build/campaign-*,
trees with mutants to build/mutants-*. ccache and lld are used where they are installed."""

import filecmp
import glob
import json
import os
import queue
import re
import shutil
import subprocess
import threading

from ledger import Found, Lane, Part
from mutants import read_mutants
from runs import CORES, REPOSITORY, Runner, digest

UNIT_TARGETS = ["base_tests", "device_loads_tests", "model_tests", "search_tests", "mapping_tests", "cost_tests",
                "profile_tests", "files_tests", "workload_tests", "verification_tests", "interchange_tests", "batch_tests",
                "platform_tests"]
CORE_TARGETS = ["base_tests", "model_tests", "cost_tests", "device_loads_tests", "workload_tests", "search_tests", "mapping_tests",
                "adaptation_tests"]  # of gem_core alone
# As the tree of mutants; what runs in valgrind is the same, with names of functions but not of lines.
PLAIN = ["-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1"]
# Optimised little, with the names of lines: what looks into programs that run finds as much, and is built in half the time.
INSPECTED = ["-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1"]
# Who sees a mutant of a file or a folder first; the others are asked only if these see nothing. What a header changes is
# seen by a program that compiles little.
NEAREST_TARGETS = {"src/model/load_rule.hpp": ["device_loads_tests"], "src/cost/load_keys.hpp": ["device_loads_tests"],
                   "src/model": ["model_tests", "cost_tests", "profile_tests"], "src/cost": ["cost_tests", "search_tests"],
                   "src/mapping": ["mapping_tests", "model_search_tests"], "src/platform": ["platform_tests", "files_tests"]}


def shell(words, limit_s=7200, **more):
    return subprocess.run(words, cwd=more.pop("cwd", REPOSITORY), capture_output=True, text=True, errors="replace",
                          timeout=limit_s, **more)


def quick_tools(source):
    """An environment in which builds of any tree and folder share what was compiled once, and link soon."""
    found = dict(os.environ)
    if shutil.which("ccache"):
        for language in ("C", "CXX"):
            found.setdefault(f"CMAKE_{language}_COMPILER_LAUNCHER", "ccache")
        found.setdefault("CCACHE_SLOPPINESS", "pch_defines,time_macros")
        found |= {"CCACHE_BASEDIR": source, "CCACHE_NOHASHDIR": "1"}
    if shutil.which("ld.lld"):
        found.setdefault("LDFLAGS", "-fuse-ld=lld")
    return found


def build(name, options, targets=(), source=REPOSITORY):
    """Builds in build/campaign-NAME of the tree; its folder and what went wrong, empty if nothing did."""
    folder = os.path.join(source, "build", "campaign-" + name)
    tools = quick_tools(source)
    configured = not options and os.path.exists(os.path.join(folder, "build.ninja"))
    made = None if configured else shell(["cmake", "-S", source, "-B", folder, "-G", "Ninja", "-DGEM_GPU=OFF", *options], env=tools)
    if configured or made.returncode == 0:
        known = shell(["ninja", "-C", folder, "-t", "targets", "all"]).stdout
        wanted = [target for target in targets if f"\n{target}:" in known or f"/{target}:" in known]
        made = shell(["ninja", "-C", folder, "-j", str(CORES), *wanted], env=tools)
    return folder, "" if made.returncode == 0 else (made.stdout + made.stderr)[-2000:]


def test(folder, options, environment=None):
    ended = shell(["ctest", "--test-dir", folder, "-j", str(CORES), *options], env={**os.environ, **(environment or {})})
    summary = re.search(r"(\d+) tests? failed out of (\d+)|tests passed, (\d+) tests failed out of (\d+)", ended.stdout)
    words = summary.group(0) if summary else ended.stdout[-300:]
    return words, "" if ended.returncode == 0 else ended.stdout[-1500:]


def without(program):
    return lambda: "" if shutil.which(program) else program


def build_fuzzers(runner):
    for words in (["cmake", "--preset", "fuzz"], ["cmake", "--build", "--preset", "fuzz", "--target", "fuzzers"]):
        made = shell(words, env=quick_tools(REPOSITORY))
        if made.returncode != 0:
            raise RuntimeError((made.stdout + made.stderr)[-2000:])


def fuzz_a_minute(reader):
    def unit(runner, _, random, index):
        ended = shell(["tests/fuzz/run.sh", "60", reader],
                      env={**os.environ, "GEM_FUZZ_SEED": str(index + 1), "GEM_FUZZ_BUILT": "1"})
        inputs = sum(int(word) for word in re.findall(r", (\d+) inputs", ended.stdout))
        return Found("" if ended.returncode == 0 else (ended.stdout + ended.stderr)[-1500:], f"{inputs} inputs")
    return unit


def all_inputs(notes):
    inputs = {reader: sum(int(note.split()[0]) * times for note, times in found.items()) for reader, found in notes.items()}
    return "minutes; inputs: " + ", ".join(f"{reader} {count:,}" for reader, count in inputs.items()), []


READERS = ["array", "csv", "hdf5", "json", "safetensors", "torch"]
FUZZING = Part("10 minutes of fuzzing each reader",
               lambda scale: [Lane(reader, max(1, round(10 * scale)), fuzz_a_minute(reader)) for reader in READERS],
               build_fuzzers, all_inputs, missing=without("clang++"))

# Of g++ -O0 there is one build: for `coverage` and for `compilers`. Without versions of functions for processors that this
# machine isn't.
COVERED = ["-DCMAKE_CXX_COMPILER=g++", "-DCMAKE_BUILD_TYPE=None", "-DCMAKE_CXX_FLAGS=--coverage -O0",
           "-DGEM_HAS_TARGET_CLONES=OFF"]
COVERING_TARGETS = [*CORE_TARGETS, "profile_tests", "verification_tests", "model_search_tests", "platform_tests", "files_tests"]


def optimised(level):
    return ["-DCMAKE_BUILD_TYPE=Release"] if level == 3 else ["-DCMAKE_BUILD_TYPE=None", f"-DCMAKE_CXX_FLAGS=-O{level}"]


def is_release_by_gcc(folder):
    """Whether a build is what `compilers` wants of g++ -O3: the campaign's own programs are, as a rule."""
    try:
        with open(os.path.join(folder, "CMakeCache.txt"), encoding="utf-8") as file:
            kept = dict(re.findall(r"^([A-Z_]+):[A-Z]+=(.*)$", file.read(), re.M))
    except OSError:
        return False
    return (kept.get("CMAKE_BUILD_TYPE") == "Release" and "-O3" in kept.get("CMAKE_CXX_FLAGS_RELEASE", "")
            and os.path.basename(kept.get("CMAKE_CXX_COMPILER", "")) in ("c++", "g++"))


def compiled_by(compiler, level):
    def unit(runner, _, random, index):
        if (compiler, level) == ("g++", 3) and is_release_by_gcc(os.path.dirname(runner.programs)):
            return results_of(runner)
        name, options = f"{compiler.replace('+', 'x')}-O{level}", [f"-DCMAKE_CXX_COMPILER={compiler}", *optimised(level)]
        if (compiler, level) == ("g++", 0):
            name, options = "coverage", COVERED
        folder, wrong = build(name, options, ["gem-trace", "gem-profile", "gem-map"])
        if wrong:
            return Found(f"{compiler} -O{level}: {wrong}")
        return results_of(Runner(os.path.join(folder, "bin"), runner.folder))
    return unit


def results_of(one):
    one.must("gem-trace synthesize --model gpt-oss-20b --steps 32 --output trace.h5", limit_s=1200)
    one.must("gem-profile --model gpt-oss-20b --device simulated --devices 4 --slowdown 1.0,1.28 --output profile.h5",
             limit_s=1200)
    one.must("gem-map --profile profile.h5 --trace trace.h5 --effort fast --output new.h5", limit_s=1800)
    return Found(note=" ".join(digest(one.path(file))[:12] for file in ("trace.h5", "profile.h5", "new.h5")))


def same_results(notes):
    made = {name: sorted(found) for name, found in notes.items() if found}
    differ = len({str(found) for found in made.values()}) > 1
    return f"{', '.join(made)}: trace, profile and mapping", [f"results differ: {made}"] if differ else []


COMPILERS = Part("the same trace, profile and mapping from two compilers, -O0 and -O3",
                 lambda scale: [Lane(f"{compiler} -O{level}", 1, compiled_by(compiler, level))
                                for compiler in ("g++", "clang++") for level in (0, 3) if shutil.which(compiler)],
                 concludes=same_results, at_once=False)


def sanitized(label):
    def unit(runner, _, random, index):
        # Of the tests' own code nothing is wanted: it is taken as compiled for other builds.
        folder, wrong = build("sanitize", [*INSPECTED, "-DGEM_SANITIZE=address,undefined", "-DGEM_SANITIZE_TESTS=OFF",
                                           "-DGEM_CHECK_DELTAS=ON"])
        if wrong:
            return Found(wrong)
        words, wrong = test(folder, ["-L", label, "--timeout", "1200"], {"ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=16"})
        return Found(wrong, f"{label}: {words}")
    return unit


def all_notes(notes):
    return "; ".join(note for found in notes.values() for note in found), []


SANITIZERS = Part("all tests with address and undefined-behaviour sanitizers",
                  lambda scale: [Lane(label, 1, sanitized(label)) for label in ("unit", "mpi", "end_to_end")], concludes=all_notes,
                  at_once=False)


def thread_sanitized(name):
    def unit(runner, _, random, index):
        folder, wrong = build("threads", [*INSPECTED, "-DGEM_SANITIZE=thread"], [name])
        if wrong:
            return Found(wrong)
        ended = shell([os.path.join(folder, "bin", name)], env={**os.environ, "TSAN_OPTIONS": "ignore_noninstrumented_modules=1"})
        return Found("" if ended.returncode == 0 else f"{name}: {(ended.stdout + ended.stderr)[-1500:]}", name)
    return unit


THREADS = Part("tests of what has threads, with the thread sanitizer",
               lambda scale: [Lane(name, 1, thread_sanitized(name)) for name in ("board_tests", "policy_library_tests")],
               concludes=all_notes, at_once=False)


def in_valgrind(name):
    def unit(runner, _, random, index):
        folder, wrong = build("valgrind", PLAIN, [name])
        if wrong:
            return Found(wrong)
        ended = shell(["valgrind", "--error-exitcode=9", "--leak-check=full", "-q", os.path.join(folder, "bin", name)])
        return Found("" if ended.returncode == 0 else f"{name}: {(ended.stdout + ended.stderr)[-1500:]}", name)
    return unit


VALGRIND = Part("tests of the pure core under valgrind",
                lambda scale: [Lane(name, 1, in_valgrind(name)) for name in CORE_TARGETS],
                concludes=all_notes, at_once=False, missing=without("valgrind"))


def add_reached(report, reached):
    """Adds to {path: {"lines": {line: reached}, "branches": {(line, number): reached}}} what gcov's JSON says of our own
    sources. Ways to where an exception is caught, which every call has, are no branches of ours."""
    for file in report["files"]:
        path = os.path.normpath(os.path.join(report["current_working_directory"], file["file"]))
        if not path.startswith(REPOSITORY + "/src/") or not path.endswith(".cpp"):
            continue
        found = reached.setdefault(os.path.relpath(path, REPOSITORY), {"lines": {}, "branches": {}})
        for line in file["lines"]:
            places = [("lines", line["line_number"], line["count"])]
            places += [("branches", (line["line_number"], number), branch["count"])
                       for number, branch in enumerate(line["branches"]) if not branch["throw"]]
            for kind, place, count in places:
                found[kind][place] = found[kind].get(place, False) or count > 0


def share(reached, kind):
    """Of what was counted, how many percent were reached, and of how many."""
    flags = [flag for found in reached for flag in found[kind].values()]
    return 100 * sum(flags) / max(1, len(flags)), len(flags)


def measure_coverage(runner, _, random, index):
    folder, wrong = build("coverage", COVERED, COVERING_TARGETS)
    if wrong:
        return Found(wrong)
    for path in glob.glob(folder + "/**/*.gcda", recursive=True):
        os.remove(path)
    wrong = [target for target in COVERING_TARGETS
             if shell([os.path.join(folder, "bin", target), "--gtest_brief=1"]).returncode != 0]
    reached = {}
    # Notes, which files have that no test has called, too.
    for path in glob.glob(folder + "/src/CMakeFiles/gem_core.dir/**/*.gcno", recursive=True):
        add_reached(json.loads(shell(["gcov", "--json-format", "--stdout", "-b", path], cwd=runner.folder).stdout), reached)
    faults = [f"{name} fails" for name in wrong]
    words = []
    for kind, least in (("lines", 90), ("branches", 80)):
        percent, count = share(reached.values(), kind)
        words.append(f"{percent:.1f} % of {count:,} {kind}")
        if percent < least:
            shares = sorted((round(share([found], kind)[0], 1), path) for path, found in reached.items())
            faults.append(f"{kind} of the core: {percent:.1f} %, wanted are {least}; least reached: {shares[:8]}")
    return Found("; ".join(faults), ", ".join(words))


COVERAGE = Part("lines and branches of the core that its tests reach (wanted: 90 and 80 %)",
                lambda scale: [Lane("gcov", 1, measure_coverage)], concludes=all_notes, at_once=False, missing=without("gcov"))


def failure_of(folder, target):
    """What a test program says that fails; empty if it passes."""
    try:
        ended = shell([os.path.join(folder, "bin", target), "--gtest_brief=1", "--gtest_fail_fast"], limit_s=900)
        return "" if ended.returncode == 0 else f"code {ended.returncode}: {(ended.stdout + ended.stderr)[-800:]}"
    except subprocess.TimeoutExpired:
        return "did not end in time"


def survives(folder, source, targets):
    """Whether no test of `targets`, built and run one after the other, fails; and what did not compile."""
    for target in targets:
        _, wrong = build("mutants", [], [target], source)
        if wrong or failure_of(folder, target):
            return False, wrong
    return True, ""


class Trees:
    """Copies of the tree in build/mutants-N, built without mutants: one for each mutant that is tried at the same time."""

    def __init__(self):
        self.free, self.count, self.lock = queue.LifoQueue(), 0, threading.Lock()

    def take(self):
        try:
            return self.free.get_nowait()
        except queue.Empty:
            with self.lock:
                tree = self.make(self.count + 1)
                self.count += 1
                return tree

    def make(self, number):
        source = os.path.join(REPOSITORY, "build", f"mutants-{number}")
        for path in shell(["git", "ls-files"]).stdout.splitlines():
            if not path.endswith(".tar.xz"):
                target = os.path.join(source, path)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                original = os.path.join(REPOSITORY, path)
                # What differs is new to the build, even where a campaign that was killed left an object of its mutant.
                if not os.path.exists(target) or not filecmp.cmp(original, target, shallow=False):
                    shutil.copy(original, target)
        folder, wrong = build("mutants", PLAIN, ["base_tests"], source)
        if wrong:
            raise RuntimeError(wrong)
        return source, folder, {}


TREES = Trees()


def sound_targets(source, folder, sound, targets):
    """Those of the targets that pass without mutants: a test that fails anyway would call each of them killed."""
    for target in targets:
        if target in sound:
            continue
        _, wrong = build("mutants", [], [target], source)
        # Once more: a machine that is busy can make a test fail that waits.
        wrong = wrong or (failure_of(folder, target) and failure_of(folder, target))
        if wrong:
            raise RuntimeError(f"{target} fails without mutants: {wrong}")
        sound[target] = True
    return targets


def write_source(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def try_mutant(tree, name, why, old, new):
    source, folder, sound = tree
    path = os.path.join(source, name)
    with open(os.path.join(REPOSITORY, name), encoding="utf-8") as file:
        text = file.read()
    if text.count(old) != 1:
        return Found(f"{name}: '{old}' is there {text.count(old)} times; mutants.txt is out of date")
    folder_name = "/".join(name.split("/")[:2])
    nearest = NEAREST_TARGETS.get(name) or NEAREST_TARGETS.get(folder_name) or [os.path.basename(folder_name) + "_tests"]
    others = [target for target in [*UNIT_TARGETS, "model_search_tests"] if target not in nearest]
    try:
        for targets in (nearest, others):
            write_source(path, text)
            targets = sound_targets(source, folder, sound, targets)
            write_source(path, text.replace(old, new))
            survived, wrong = survives(folder, source, targets)
            if wrong:
                return Found(f"{name}: '{new}' does not compile: {wrong[-300:]}")
            if not survived:
                return Found(note="killed")
    finally:
        write_source(path, text)
    return Found(f"{name}: '{old}' as '{new}' ({why}) is seen by no test", "lived")


def one_mutant(*mutant):
    def unit(runner, _, random, index):
        tree = TREES.take()
        try:
            return try_mutant(tree, *mutant)
        finally:
            TREES.free.put(tree)
    return unit


def mutant_lanes(scale):
    chosen = read_mutants(os.path.join(REPOSITORY, "tests", "campaign", "mutants.txt"))[:: max(1, round(1 / scale))]
    return [Lane(f"{name}: {old} as {new}", 1, one_mutant(name, why, old, new)) for name, why, old, new in chosen]


def killed(notes):
    return f"{sum(found.get('killed', 0) for found in notes.values())} killed", []


MUTANTS = Part("changes of cost, split, bound and resume code (mutants.txt) that a test sees", mutant_lanes,
               concludes=killed)
