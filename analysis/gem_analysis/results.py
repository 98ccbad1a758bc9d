"""What a folder (or a list of files) holds, sorted by what it is, and what is missing."""

import dataclasses
import os
from dataclasses import dataclass, field

import numpy as np

from . import batch, files
from .errors import DataError
from .isolation import call_apart


@dataclass
class Results:
    """The files of one run, the reports of a batch's other runs, and what could not be used."""

    origin: str
    profile: files.Profile = None
    traces: list = field(default_factory=list)  # searched on first
    mappings: list = field(default_factory=list)  # in order of method
    report: files.Report = None
    batch: list = field(default_factory=list)  # PairResult of each pair of a batch
    unused: list = field(default_factory=list)  # sentences: readable, but not drawn, and why
    problems: list = field(default_factory=list)  # sentences: files that cannot be read

    @property
    def model(self):
        return next((part.header.model for part in self.parts()), "")

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
        return self.report.judged_index

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
            notes.append(f"Unequal speeds are emulated ({shown}) by proportionally more time.")
        elif kind != "simulated" and note:
            notes.append(f"Unequal speeds are {note}.")
        if self.report and self.report.device_difference:
            notes.append(
                f"It ran on other devices than the profile's, or in another order: {self.report.device_difference}."
            )
        return " ".join(notes)

    def device_tag(self):
        """The same in two words."""
        note = self.device_note()
        return "simulated devices" if "simulated" in note else "emulated speeds" if "emulated" in note else ""

    def parts(self):
        """All files that are drawn."""
        yield from (part for part in (self.report, self.profile, *self.mappings, *self.traces) if part)


def trace_note(trace):
    """Where a trace's loads come from, as far as its file says."""
    words = trace.header.command_line.split()
    if "synthesize" in words:
        return "The loads are synthetic, drawn from a stated model."
    if "batch" in words:
        return "The routing was recorded from real requests; which requests share a step is simulated by batching."
    return ""


def collect(paths):
    """Results of a folder (one run or a batch), of files, or of both. DataError for a bad file that was named; bad
    files of a folder end up in `problems`."""
    folders = [_only_sub_folder(path) for path in paths if os.path.isdir(path)]
    named = [path for path in paths if not os.path.isdir(path)]
    results = Results(folders[0] if folders else os.path.dirname(os.path.abspath(named[0])))
    own = [call_apart(files.read_file, path) for path in named]
    named += [path for folder in folders for path in _files_of(folder)]
    own += [_read_or_note(results, path) for path in named[len(own) :]]
    for path, part in zip(named, own):
        if isinstance(part, files.Routing):
            results.unused.append(f"{path}: token-level routing is drawn once gem-trace batch made it a trace")
    _sort(results, own)
    if len(folders) == 1:
        results.batch = _batch_of(results, folders[0])
    if not results.batch and not any(True for _ in results.parts()):
        raise DataError(
            "; ".join(results.problems)
            or f"{paths[0]}: holds no profile, trace, mapping or report of GEM; give the folder where gem-profile, "
            "gem-trace, gem-map and gem-verify wrote to"
        )
    return results


def _files_of(folder):
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".h5"))


def _only_sub_folder(folder):
    """The one sub-folder with files if the folder has none itself, else the folder."""
    if not _files_of(folder) and not os.path.exists(os.path.join(folder, batch.SUMMARY)):
        found = [parent for parent, _, _ in os.walk(folder) if _files_of(parent)]
        if len(found) == 1:
            return found[0]
    return folder


def _read_or_note(results, path, kinds=files.READERS):
    try:
        return call_apart(lambda name: files.read_file(name, kinds), path)
    except DataError as error:
        results.problems.append(str(error))
        return None


def _batch_of(results, folder):
    """The pairs of gem-batch's summary, else those of the reports in sub-folders."""
    summary = os.path.join(folder, batch.SUMMARY)
    if os.path.exists(summary):
        try:
            pairs = batch.read_summary(summary)
            kind = _device_kind_of(results, os.path.join(folder, "profiles"))
            return [dataclasses.replace(pair, device_kind=kind) for pair in pairs]
        except DataError as error:
            results.problems.append(str(error))
    pairs = []
    for parent, sub_folders, _ in os.walk(folder):
        sub_folders.sort()
        for path in _files_of(parent) if parent != folder else []:
            report = _read_or_note(results, path, ("gem.report",))
            if report is not None:
                pairs.append(batch.of_report(report))
    return pairs


def _device_kind_of(results, folder):
    """Of the profiles that a batch was made with, "host, simulated" if they are of several kinds; empty if unknown."""
    paths = _files_of(folder) if os.path.isdir(folder) else []
    profiles = [_read_or_note(results, path, ("gem.profile",)) for path in paths]
    return ", ".join(sorted({profile.device_kind for profile in profiles if profile}))


def _newest(parts, results, what):
    parts = sorted(parts, key=lambda part: part.header.created)
    results.unused += [f"{part.header.path}: there is a newer {what}, which is drawn" for part in parts[:-1]]
    return parts[-1] if parts else None


METHOD_ORDER = ("linear", "round-robin", "eplb", "speed-aware", "paper", "gem")


def _order_of(method):
    return METHOD_ORDER.index(method) if method in METHOD_ORDER else len(METHOD_ORDER)


def _sort(results, own):
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
