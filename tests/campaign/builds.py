"""What needs builds of its own: other compilers, sanitizers, valgrind, coverage, mutants. Builds go to build/campaign-*,
the tree with a mutant to build/mutants. A compiler cache is used if CMAKE_CXX_COMPILER_LAUNCHER names one."""

import glob
import os
import re
import shutil
import subprocess

from runs import REPOSITORY, Outcome, Runner, digest

CORES = str(len(os.sched_getaffinity(0)))
UNIT_TARGETS = ["base_tests", "model_tests", "search_tests", "mapping_tests", "cost_tests", "profile_tests", "files_tests",
                "workload_tests", "verification_tests", "interchange_tests", "batch_tests", "platform_tests"]
# Who sees a mutant of a folder first; the others are asked only if these see nothing.
NEAREST_TARGETS = {"model": ["model_tests", "cost_tests", "profile_tests"], "cost": ["cost_tests", "search_tests"],
                   "mapping": ["mapping_tests", "model_search_tests"], "verification": ["verification_tests"],
                   "platform": ["platform_tests", "files_tests"], "batch": ["batch_tests"]}


def shell(words, limit_s=7200, **more):
    return subprocess.run(words, cwd=more.pop("cwd", REPOSITORY), capture_output=True, text=True, errors="replace",
                          timeout=limit_s, **more)


def build(name, options, targets=(), source=REPOSITORY):
    """Builds in build/campaign-NAME of the tree; its folder and what went wrong, empty if nothing did."""
    folder = os.path.join(source, "build", "campaign-" + name)
    configured = not options and os.path.exists(os.path.join(folder, "build.ninja"))
    made = None if configured else shell(["cmake", "-S", source, "-B", folder, "-G", "Ninja", "-DGEM_GPU=OFF", *options])
    if configured or made.returncode == 0:
        known = shell(["ninja", "-C", folder, "-t", "targets", "all"]).stdout
        wanted = [target for target in targets if f"\n{target}:" in known or f"/{target}:" in known]
        made = shell(["ninja", "-C", folder, "-j", CORES, *wanted])
    return folder, "" if made.returncode == 0 else (made.stdout + made.stderr)[-2000:]


def test(folder, options, environment=None):
    ended = shell(["ctest", "--test-dir", folder, "-j", CORES, *options], env={**os.environ, **(environment or {})})
    summary = re.search(r"(\d+) tests? failed out of (\d+)|tests passed, (\d+) tests failed out of (\d+)", ended.stdout)
    words = summary.group(0) if summary else ended.stdout[-300:]
    return words, "" if ended.returncode == 0 else ended.stdout[-1500:]


def fuzzing(runner, scale):
    seconds = max(2, round(600 * scale))
    if shutil.which("clang++") is None:
        return Outcome("not done: clang++ is missing", [])
    ended = shell(["tests/fuzz/run.sh", str(seconds)])
    return Outcome(f"{seconds} s of each reader", [] if ended.returncode == 0 else [(ended.stdout + ended.stderr)[-1500:]])


def compilers(runner, scale):
    found, faults = {}, []
    for compiler in ("g++", "clang++"):
        if shutil.which(compiler) is None:
            continue
        for level in ("0", "3"):
            name = f"{compiler.replace('+', 'x')}-O{level}"
            folder, wrong = build(name, [f"-DCMAKE_CXX_COMPILER={compiler}", "-DCMAKE_BUILD_TYPE=None",
                                         f"-DCMAKE_CXX_FLAGS=-O{level}", "-DGEM_TESTS=OFF"])
            if wrong:
                faults.append(f"{name}: {wrong}")
                continue
            one = Runner(os.path.join(folder, "bin"), runner.path(name))
            one.must("gem-trace synthesize --model gpt-oss-20b --steps 32 --output trace.h5", limit_s=600)
            one.must("gem-profile --model gpt-oss-20b --device simulated --devices 4 --slowdown 1.0,1.28 "
                     "--output profile.h5", limit_s=600)
            one.must("gem-map --profile profile.h5 --trace trace.h5 --effort fast --output new.h5", limit_s=1800)
            found[name] = [digest(one.path(file)) for file in ("trace.h5", "profile.h5", "new.h5")]
    if len({str(digests) for digests in found.values()}) > 1:
        faults.append(f"results differ: {found}")
    return Outcome(f"{', '.join(found)}: same trace, profile and mapping", faults)


def sanitizers(runner, scale):
    folder, wrong = build("sanitize", ["-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DGEM_SANITIZE=address,undefined"])
    if wrong:
        return Outcome("not built", [wrong])
    only = [] if scale >= 0.5 else ["-L", "unit"]
    words, wrong = test(folder, only, {"ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=16"})
    return Outcome(words + ("" if not only else " (label unit alone)"), [wrong] if wrong else [])


def threads(runner, scale):
    folder, wrong = build("threads", ["-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DGEM_SANITIZE=thread"],
                          ["board_tests", "platform_tests", "batch_tests"])
    if wrong:
        return Outcome("not built", [wrong])
    faults = []
    for name in ("board_tests", "platform_tests", "batch_tests"):
        ended = shell([os.path.join(folder, "bin", name)],
                      env={**os.environ, "TSAN_OPTIONS": "ignore_noninstrumented_modules=1"})
        if ended.returncode != 0:
            faults.append(f"{name}: {(ended.stdout + ended.stderr)[-1500:]}")
    return Outcome("board, platform and batch tests", faults)


def valgrind(runner, scale):
    if shutil.which("valgrind") is None:
        return Outcome("not done: valgrind is missing", [])
    folder, wrong = build("valgrind", ["-DCMAKE_BUILD_TYPE=RelWithDebInfo"], ["base_tests", "model_tests", "search_tests"])
    if wrong:
        return Outcome("not built", [wrong])
    faults = []
    for name in ("base_tests", "model_tests", "search_tests"):
        ended = shell(["valgrind", "--error-exitcode=9", "--leak-check=full", "-q", os.path.join(folder, "bin", name)])
        if ended.returncode != 0:
            faults.append(f"{name}: {(ended.stdout + ended.stderr)[-1500:]}")
    return Outcome("base, model and search tests", faults)


def coverage(runner, scale):
    if shutil.which("gcov") is None:
        return Outcome("not done: gcov is missing", [])
    folder, wrong = build("coverage", ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS=--coverage -O0"], UNIT_TARGETS)
    if wrong:
        return Outcome("not built", [wrong])
    for path in glob.glob(folder + "/**/*.gcda", recursive=True):
        os.remove(path)
    words, wrong = test(folder, ["-L", "unit"])
    reached = {"Lines": [0.0, 0], "Branches": [0.0, 0]}
    for path in glob.glob(folder + "/src/CMakeFiles/gem_core.dir/**/*.gcda", recursive=True):
        text = shell(["gcov", "-n", "-b", path], cwd=runner.folder).stdout
        for block in re.findall(r"File '([^']*/src/[^']*)'\n(.*?)(?:\n\n|$)", text, re.S):
            if not block[0].endswith(".cpp"):
                continue
            for kind, pattern in (("Lines", r"Lines executed:([\d.]+)% of (\d+)"),
                                  ("Branches", r"Branches executed:([\d.]+)% of (\d+)")):
                if found := re.search(pattern, block[1]):
                    reached[kind][0] += float(found[1]) / 100 * int(found[2])
                    reached[kind][1] += int(found[2])
    shares = {kind: 100 * hit / max(1, all_) for kind, (hit, all_) in reached.items()}
    faults = [wrong] if wrong else []
    faults += [f"{kind.lower()} of the core: {shares[kind]:.1f} %, wanted are {least}"
               for kind, least in (("Lines", 90), ("Branches", 80)) if shares[kind] < least]
    return Outcome(f"{shares['Lines']:.1f} % of lines, {shares['Branches']:.1f} % of branches of the core", faults)


def read_mutants(path):
    """Mutants from mutants.txt: a line with file and why, then a line `- old` and one `+ new`."""
    found = []
    with open(path, encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file if line.strip() and not line.startswith("#")]
    for head, old, new in zip(lines[0::3], lines[1::3], lines[2::3], strict=True):
        name, why = head.split(": ", 1)
        found.append((name, why, old.removeprefix("- "), new.removeprefix("+ ")))
    return found


def survives(folder, source, targets):
    """Whether no test of `targets`, built and run one after the other, fails; and what did not compile."""
    for target in targets:
        _, wrong = build("mutants", [], [target], source)
        if wrong:
            return False, wrong
        try:
            if shell([os.path.join(folder, "bin", target), "--gtest_brief=1"], limit_s=900).returncode != 0:
                return False, ""
        except subprocess.TimeoutExpired:
            return False, ""
    return True, ""


def mutants(runner, scale):
    """Each mutant alone in a copy of the tree; the unit tests and the search on ranks must see it, without assertions."""
    source = os.path.join(REPOSITORY, "build", "mutants")
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(REPOSITORY, source, ignore=shutil.ignore_patterns("build", ".git", "*.tar.xz"))
    folder, wrong = build("mutants", ["-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG"], ["base_tests"],
                          source)
    if wrong:
        return Outcome("not built", [wrong])
    chosen = read_mutants(os.path.join(REPOSITORY, "tests", "campaign", "mutants.txt"))
    chosen = chosen[:: max(1, round(1 / scale))]
    faults, sound = [], {}
    for name, why, old, new in chosen:
        path = os.path.join(source, name)
        text = ""
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                text = file.read()
        if text.count(old) != 1:
            faults.append(f"{name}: '{old}' is there {text.count(old)} times; mutants.txt is out of date")
            continue
        own = name.split("/")[1]
        nearest = NEAREST_TARGETS.get(own, [own + "_tests"])
        others = [target for target in [*UNIT_TARGETS, "model_search_tests"] if target not in nearest]
        verdict = (True, "")
        for targets in (nearest, others):
            # A test that fails without mutants would call each of them killed.
            for target in targets:
                if target not in sound:
                    sound[target] = survives(folder, source, [target])[0]
                    if not sound[target]:
                        faults.append(f"{target} fails without mutants, or does not compile")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text.replace(old, new))
            verdict = survives(folder, source, [target for target in targets if sound[target]])
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            if verdict != (True, ""):
                break
        if verdict[1]:
            faults.append(f"{name}: '{new}' does not compile: {verdict[1][-300:]}")
        elif verdict[0]:
            faults.append(f"{name}: '{old}' as '{new}' ({why}) is seen by no test")
        print(f"  {'survives' if verdict[0] else 'killed'}: {name}: {why}", flush=True)
    return Outcome(f"{len(chosen) - len(faults)} of {len(chosen)} mutants killed", faults)
