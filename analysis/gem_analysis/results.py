"""What a folder (or a list of files) holds, sorted by what it is, and what is missing."""

import os
from dataclasses import dataclass, field

import numpy as np

from . import files
from .errors import DataError, UsageError
from .isolation import call_apart

MOST_FILES = 2000


@dataclass
class Results:
    """The files of one run, the reports of a batch's other runs, and what could not be used."""

    origin: str
    profile: files.Profile = None
    traces: list = field(default_factory=list)  # searched on first
    mappings: list = field(default_factory=list)  # in order of method
    report: files.Report = None
    batch: list = field(default_factory=list)  # reports of runs in sub-folders
    unused: list = field(default_factory=list)  # sentences: readable, but not drawn, and why
    problems: list = field(default_factory=list)  # sentences: files that cannot be read

    @property
    def model(self):
        return next((part.header.model for part in self._parts()), "")

    @property
    def train(self):
        """The trace that was searched on, if it is there."""
        return next((trace for trace in self.traces if trace.part != "test"), None)

    @property
    def scored(self):
        """The trace to score mappings on: held-out requests if there are any."""
        return next((trace for trace in self.traces if trace.part == "test"), self.train)

    @property
    def judged(self):
        """Index in the report of the mapping that the verdict is about."""
        names = self.report.names
        for wanted in (self.report.judged, "gem"):
            if wanted in names[1:]:
                return names.index(wanted)
        return len(names) - 1

    @property
    def best_mapping(self):
        """The mapping to look at closest: gem's, else the last."""
        return next(
            (mapping for mapping in self.mappings if mapping.method == "gem"),
            self.mappings[-1] if self.mappings else None,
        )

    def device_note(self):
        """What has to be said of the devices beside every figure; empty for real ones as they are."""
        kind = self.profile.device_kind if self.profile else self.report.device_kind if self.report else ""
        notes = (
            ["Devices are simulated: latencies come from a stated model on a virtual clock."]
            if kind == "simulated"
            else []
        )
        slowdowns = self.profile.slowdowns if self.profile else np.ones(1)
        note = self.report.device_note if self.report else ""
        if kind != "simulated" and np.any(slowdowns != 1.0):
            factors = [f"×{slowdown:.2f}" for slowdown in slowdowns]
            shown = ", ".join(factors) if len(factors) <= 8 else f"up to {max(factors)}"
            notes.append(f"Unequal speeds are emulated ({shown}) by proportionally more real work.")
        elif kind != "simulated" and note:
            notes.append(f"Unequal speeds are {note}.")
        return " ".join(notes)

    def device_tag(self):
        """The same in two words."""
        note = self.device_note()
        return "simulated devices" if "simulated" in note else "emulated speeds" if "emulated" in note else ""

    def _parts(self):
        yield from (part for part in (self.report, self.profile, *self.mappings, *self.traces, *self.batch) if part)


def trace_note(trace):
    """Where a trace's loads come from, as far as its file says."""
    words = trace.header.command_line.split()
    if "synthesize" in words:
        return "The loads are synthetic, drawn from a stated model."
    if "batch" in words:
        return "The routing was recorded from real requests; which requests share a step is simulated by batching."
    return ""


def collect(paths):
    """Results of a folder with its sub-folders, or of files. UsageError if there is none; DataError for a bad file
    that was named; bad files of a folder end up in `problems`."""
    folders = [path for path in paths if os.path.isdir(path)]
    if folders and len(paths) > 1:
        raise UsageError("give either one folder of results or the files themselves, not both")
    origin = folders[0] if folders else os.path.dirname(os.path.abspath(paths[0]))
    results = Results(origin)
    own, batch = [], []
    for path in _files_of(folders[0]) if folders else paths:
        try:
            part = call_apart(files.read_file, path)
        except DataError as error:
            if not folders:
                raise
            results.problems.append(str(error))
            continue
        if part is None:
            results.unused.append(f"{path}: token-level routing is drawn once gem-trace batch made it a trace")
        elif folders and os.path.dirname(os.path.abspath(path)) != os.path.abspath(folders[0]):
            batch.append(part)
        else:
            own.append(part)
    if not own and len({os.path.dirname(part.header.path) for part in batch}) == 1:
        own, batch = batch, []
    _sort(results, own, batch)
    if not any(True for _ in results._parts()):
        if results.problems:
            raise DataError("; ".join(results.problems))
        raise DataError(
            f"{paths[0]}: holds no profile, trace, mapping or report of GEM; give the folder where gem-profile, "
            "gem-trace, gem-map and gem-verify wrote to"
        )
    return results


def _files_of(folder):
    found = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        found += [os.path.join(parent, name) for name in sorted(names) if name.endswith(".h5")]
        if len(found) > MOST_FILES:
            raise UsageError(
                f"{folder}: holds more than {MOST_FILES} .h5 files; give a folder with one batch of results"
            )
    return found


def _newest(parts, results, what):
    parts = sorted(parts, key=lambda part: part.header.created)
    results.unused += [f"{part.header.path}: there is a newer {what}, which is drawn" for part in parts[:-1]]
    return parts[-1] if parts else None


METHOD_ORDER = ("linear", "round-robin", "eplb", "speed-aware", "paper", "gem")


def _order_of(method):
    return METHOD_ORDER.index(method) if method in METHOD_ORDER else len(METHOD_ORDER)


def _sort(results, own, batch):
    def of(kind, parts):
        return [part for part in parts if isinstance(part, kind)]

    results.report = _newest(of(files.Report, own), results, "report")
    results.profile = _newest(of(files.Profile, own), results, "profile")
    model = results.model or next((part.header.model for part in own), "")
    for part in (*of(files.Trace, own), *of(files.Mapping, own)):
        if part.header.model.lower() != model.lower():
            results.unused.append(f"{part.header.path}: is of model {part.header.model}, the rest of {model}")
        elif isinstance(part, files.Trace):
            results.traces.append(part)
        else:
            results.mappings.append(part)
    parts = ("all", "train", "test")
    results.traces.sort(key=lambda trace: (parts.index(trace.part), trace.header.path))
    results.mappings.sort(key=lambda mapping: (_order_of(mapping.method), mapping.header.path))
    for mapping in results.mappings:
        if sum(other.method == mapping.method for other in results.mappings) > 1:
            stem = os.path.splitext(os.path.basename(mapping.header.path))[0]
            mapping.name = mapping.method if stem == mapping.method else f"{mapping.method} ({stem})"
    results.batch = of(files.Report, batch)
