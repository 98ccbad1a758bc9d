"""Runs GEM's programs from Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass

from .errors import DataError, GemError, SystemFailure, UsageError

NEGATIVE_VERDICT = 1


@dataclass
class Run:
    """What a program printed and how it ended."""

    command: list[str]
    code: int  # 0 good, 1 a negative verdict
    output: str
    errors: str

    @property
    def verdict(self) -> str:
        """The sentence after VERDICT:, empty if the program gives none."""
        lines = self.output.splitlines()
        first = max((i for i, line in enumerate(lines) if line.startswith("VERDICT: ")), default=None)
        if first is None:
            return ""
        last = first + 1  # the sentence is wrapped; what follows it begins with a word and a colon, or is empty
        while last < len(lines) and lines[last] and not re.match(r"[A-Z][a-z ]*: ", lines[last]):
            last += 1
        return " ".join(lines[first:last]).removeprefix("VERDICT: ")


def run(program: str, *arguments: object, ranks: int = 1, launcher: list[str] | None = None, **options: object) -> Run:
    """Runs gem-profile, gem-trace, gem-map, gem-verify, gem-batch, gem-deploy or gem-adapt to its end: `arguments` as
    they are, then `options` as --name value, where _ stands for -, True for a flag, and a list for an option given
    several times.

        run("gem-verify", profile="p.h5", trace="test.h5", mapping=["eplb.h5", "gem.h5"], ranks=4)

    `launcher` starts several ranks (default: mpirun -n RANKS). Programs are found beside GEM's own (GEM_PROGRAMS) or on
    the PATH. UsageError, DataError or SystemFailure with the program's own words where it ends with code 2, 3 or 4."""
    place = os.environ.get("GEM_PROGRAMS", "")
    path = shutil.which(program, path=os.pathsep.join(filter(None, (place, os.environ.get("PATH", "")))))
    if path is None:
        raise SystemFailure(f"{program} is not on the PATH; build GEM, or say where it is with GEM_PROGRAMS=FOLDER")
    command = [path, *map(str, arguments)]
    for name, value in options.items():
        spelled = "--" + name.replace("_", "-")
        for one in value if isinstance(value, (list, tuple)) else [value]:
            command += [spelled] if one is True else [] if one is False or one is None else [spelled, str(one)]
    if ranks > 1 or launcher is not None:
        command = [*(launcher if launcher is not None else ["mpirun", "-n", str(ranks)]), *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, NEGATIVE_VERDICT):
        kinds: dict[int, type[GemError]] = {2: UsageError, 3: DataError}
        raise kinds.get(done.returncode, SystemFailure)(
            done.stderr.strip() or f"{program} ended with {done.returncode}"
        )
    return Run(command, done.returncode, done.stdout, done.stderr)
