"""What a folder (or a list of files) holds, sorted by what it is, and what is missing."""

import dataclasses
import os
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from . import batch, files
from .batch import PairResult
from .errors import DataError
from .isolation import call_apart
from .latency import relative_speeds

# A file's noun, the same kind in and out.
Kind = TypeVar("Kind", files.Profile, files.Trace, files.Mapping, files.Report, files.Adaptation)


@dataclass
class Results:
    """The files of one run, the reports of a batch's other runs, and what could not be used."""

    origin: str
    profile: files.Profile | None = None
    traces: list[files.Trace] = field(default_factory=list)  # searched on first
    mappings: list[files.Mapping] = field(default_factory=list)  # in order of method
    report: files.Report | None = None
    adaptation: files.Adaptation | None = None
    batch: list[PairResult] = field(default_factory=list)  # of each pair of a batch
    unused: list[str] = field(default_factory=list)  # sentences: readable, but not drawn, and why
    problems: list[str] = field(default_factory=list)  # sentences: files that cannot be read

    @property
    def model(self) -> str:
        return next((part.header.model for part in self.parts()), "")

    @property
    def train(self) -> files.Trace | None:
        """The trace that was searched on, if it is there."""
        return next((trace for trace in self.traces if trace.part != "test"), None)

    @property
    def scored(self) -> files.Trace | None:
        """The trace to score mappings on: held-out requests if there are any."""
        return next((trace for trace in self.traces if trace.part == "test"), self.train)

    @property
    def best_mapping(self) -> files.Mapping | None:
        """The mapping to look at closest: gem's, else the last."""
        return next(
            (mapping for mapping in self.mappings if mapping.method == "gem"),
            self.mappings[-1] if self.mappings else None,
        )

    def device_note(self) -> str:
        """What has to be said of the devices beside every figure; empty for real ones as they are."""
        own = " ".join(self._own_device_notes())
        if self.batch and own:
            own = f"Of the files beside the runs: {own[0].lower()}{own[1:]}"
        return " ".join([*batch_notes(self.batch), own]).strip()

    def _own_device_notes(self) -> list[str]:
        notes = []
        kind = self.profile.device_kind if self.profile else self.report.device_kind if self.report else ""
        if kind == "simulated":
            notes.append("Devices are simulated: latencies come from a stated model on a virtual clock.")
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
        if self.report and self.report.profile_doubts:
            notes.append(f"The profile is doubtful: {self.report.profile_doubts}.")
        return notes

    def tag_of(self, section: str) -> str:
        """What has to stand beside every figure of a section, in a few words; empty for held-out figures of real devices
        as they are."""
        if section == "Batch":
            return batch_tag(self.batch)
        if section == "Mapping" and self.batch:
            own = self._own_tag(section)
            return "; ".join(filter(None, [batch_tag(self.batch), own and f"files beside the runs: {own}"]))
        if section == "Adaptation" and self.adaptation:
            return adaptation_tag(self.adaptation)
        return self._own_tag(section) if section in ("Verification", "Mapping", "Devices") else ""

    def _own_tag(self, section: str) -> str:
        kind = self.report.device_kind if self.report and section == "Verification" else ""
        of_devices = self.profile or self.report
        kind = kind or (of_devices.device_kind if of_devices else "")
        emulated = (
            self.profile is not None and np.any(self.profile.slowdowns != 1.0)
            if section != "Verification" or self.report is None
            else bool(self.report.device_note)
        )
        words = ["simulated devices"] if kind == "simulated" else ["emulated speeds"] if emulated else []
        if section == "Verification" and self.report and "in-sample" in self.report.sample_note:
            words.append("in-sample")
        return ", ".join(words)

    def parts(self) -> Iterator[files.Noun]:
        """All files that are drawn."""
        parts = (self.report, self.adaptation, self.profile, *self.mappings, *self.traces)
        yield from (part for part in parts if part)


def adaptation_tag(adaptation: files.Adaptation) -> str:
    """What has to stand beside every figure of a run that drifts."""
    if adaptation.device_kind == "simulated":
        return "simulated devices, moves are priced"
    return adaptation.device_note


def batch_notes(pairs: list[PairResult]) -> list[str]:
    """A sentence for each thing that has to be said of the figures of several runs."""
    done = [pair for pair in pairs if not pair.failure]
    notes = []
    for count, text in (
        (sum(pair.device_kind == "simulated" for pair in done), "simulated devices (a stated model, a virtual clock)"),
        (
            sum(bool(pair.emulation) and pair.device_kind != "simulated" for pair in done),
            "speeds emulated by more time",
        ),
        (sum(not pair.is_measured for pair in done), "predicted, not measured"),
        (sum(pair.is_in_sample for pair in done), "in-sample: scored on requests that were searched on"),
        (sum(not pair.device_kind for pair in done), "no file tells of which devices"),
    ):
        if count:
            notes.append(f"{'All' if count == len(done) else count} of {len(done)} runs: {text}.")
    return notes


def batch_tag(pairs: list[PairResult]) -> str:
    """Two or three words for the head of a picture of several runs."""
    done = [pair for pair in pairs if not pair.failure]
    words = []
    for word, count in (
        ("simulated devices", sum(pair.device_kind == "simulated" for pair in done)),
        ("emulated speeds", sum(bool(pair.emulation) and pair.device_kind != "simulated" for pair in done)),
        ("in-sample", sum(pair.is_in_sample for pair in done)),
    ):
        if count:
            words.append(word if count == len(done) else f"{word} in {count} of {len(done)}")
    return ", ".join(words)


def trace_note(trace: files.Trace) -> str:
    """Where a trace's loads come from, as far as its file says."""
    words = trace.header.command_line.split()
    if "synthesize" in words:
        return "The loads are synthetic, drawn from a stated model."
    if "batch" in words:
        return "The routing was recorded from real requests; which requests share a step is simulated by batching."
    return ""


def collect(paths: Sequence[str]) -> Results:
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
    elif len(folders) > 1:
        results.unused += [
            f"{folder}: only files right in this folder are drawn where several folders are given" for folder in folders
        ]
    if not results.batch and not any(True for _ in results.parts()):
        raise DataError(
            "; ".join(results.problems)
            or f"{paths[0]}: holds no profile, trace, mapping or report of GEM; give the folder where gem-profile, "
            "gem-trace, gem-map and gem-verify wrote to"
        )
    return results


def _files_of(folder: str) -> list[str]:
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".h5"))


def _only_sub_folder(folder: str) -> str:
    """The one sub-folder with files if the folder has none itself, else the folder."""
    if not _files_of(folder) and not os.path.exists(os.path.join(folder, batch.SUMMARY)):
        found = [parent for parent, _, _ in os.walk(folder) if _files_of(parent)]
        if len(found) == 1:
            return found[0]
    return folder


def _read_or_note(results: Results, path: str, kinds: Container[str] = files.READERS) -> files.Noun | None:
    try:
        return call_apart(lambda name: files.read_file(name, kinds), path)
    except DataError as error:
        results.problems.append(str(error))
        return None


def _batch_of(results: Results, folder: str) -> list[PairResult]:
    """The pairs of every summary of gem-batch at or below the folder, and the reports of the other sub-folders. What
    else lies there is named in `unused`."""
    pairs, covered = [], []
    for parent, sub_folders, names in os.walk(folder):
        sub_folders.sort()
        setting = os.path.relpath(os.path.dirname(parent) if parent != folder else parent, folder)
        if batch.SUMMARY in names:
            covered.append(parent)
            pairs += _pairs_of_summary(results, parent, os.path.relpath(parent, folder))
        elif parent != folder and not any(parent.startswith(place + os.sep) for place in covered):
            pairs += _pairs_of_folder(results, parent, "" if setting == "." else setting)
    return _told_apart(["" if pair.setting == "." else pair.setting for pair in pairs], pairs)


def _told_apart(settings: list[str], pairs: list[PairResult]) -> list[PairResult]:
    """The pairs with settings, which are dropped where no two runs need them to be told apart."""
    workloads = [(pair.model, pair.task, pair.tokens) for pair in pairs]
    needed = len(set(workloads)) < len(workloads) or len({s for s in settings if s}) > 1
    return [dataclasses.replace(pair, setting=s if needed else "") for s, pair in zip(settings, pairs)]


def _pairs_of_folder(results: Results, folder: str, setting: str) -> list[PairResult]:
    parts = [(path, _read_or_note(results, path)) for path in _files_of(folder)]
    reports = [(path, part) for path, part in parts if isinstance(part, files.Report)]
    others = [part for _, part in parts if part is not None and not isinstance(part, files.Report)]
    if others and not reports:
        counts: dict[str, int] = {}
        for part in others:
            counts[type(part).__name__.lower()] = counts.get(type(part).__name__.lower(), 0) + 1
        listed = ", ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in sorted(counts.items()))
        results.unused.append(f"{folder}: {listed} and no report; gem-analysis report with this folder draws them")
    if len(reports) > 1:  # each a run of its own
        names = [os.path.join(setting, os.path.splitext(os.path.basename(path))[0]) for path, _ in reports]
        return [batch.of_report(report, name) for name, (_, report) in zip(names, reports)]
    return [batch.of_report(report, setting) for _, report in reports]


def _pairs_of_summary(results: Results, folder: str, setting: str) -> list[PairResult]:
    """The pairs of a batch, with what the files beside say of their devices and steps."""
    try:
        pairs = batch.read_summary(os.path.join(folder, batch.SUMMARY))
    except DataError as error:
        results.problems.append(str(error))
        return []
    profiles = _profiles_of(results, os.path.join(folder, "profiles"))
    told = [
        _told_by_files(results, profiles, pair, os.path.join(folder, "pairs", name)) for name, pair in pairs.items()
    ]
    return [dataclasses.replace(pair, setting=setting) for pair in told]


def _profiles_of(results: Results, folder: str) -> dict[str, files.Profile]:
    paths = _files_of(folder) if os.path.isdir(folder) else []
    read = {os.path.basename(path): _read_or_note(results, path, ("gem.profile",)) for path in paths}
    return {name: profile for name, profile in read.items() if isinstance(profile, files.Profile)}


def _told_by_files(results: Results, profiles: dict[str, files.Profile], pair: PairResult, folder: str) -> PairResult:
    """The pair with kind, emulation, spread, devices, steps and tokens a step, as far as its files say."""
    used = _profile_in_use(folder)
    shared = [profiles[used]] if used in profiles else list(profiles.values())
    if shared:
        notes = {emulation_of(profile) for profile in shared}
        pair = dataclasses.replace(
            pair,
            device_kind=", ".join(sorted({profile.device_kind for profile in shared})),
            emulation=notes.pop() if len(notes) == 1 else "emulated in some",
        )
    if len(shared) == 1:
        spread = float(1 / relative_speeds(shared[0]).min())
        pair = dataclasses.replace(pair, devices=shared[0].device_count, spread=spread)
    if not os.path.isdir(folder):
        return pair
    names = [name for name in ("report.h5", "test.h5", "trace.h5") if os.path.exists(os.path.join(folder, name))]
    found = _read_or_note(results, os.path.join(folder, names[0]), ("gem.report", "gem.trace")) if names else None
    if isinstance(found, files.Report):
        told = batch.of_report(found)
        return dataclasses.replace(
            pair,
            device_kind=told.device_kind,
            emulation=told.emulation,
            spread=told.spread,
            devices=told.devices,
            steps=told.steps,
            tokens=told.tokens,
            layer=told.layer,
            layer_low=told.layer_low,
            layer_high=told.layer_high,
        )
    if isinstance(found, files.Trace):
        return dataclasses.replace(pair, steps=len(found.counts), tokens=found.tokens_per_step)
    return pair


def _profile_in_use(folder: str) -> str:
    """File name of the profile that gem-batch made a pair with; empty if it doesn't say."""
    try:
        with open(os.path.join(folder, "profile.txt"), encoding="utf-8") as file:
            return os.path.basename(file.readline(4096).strip())
    except (OSError, UnicodeDecodeError):
        return ""


def emulation_of(profile: files.Profile) -> str:
    """As gem-verify notes it: "emulated x1.00, x1.28"; empty for devices as they are and for simulated ones."""
    if profile.device_kind == "simulated" or np.all(profile.slowdowns == 1.0):
        return ""
    return "emulated " + ", ".join(f"x{slowdown:.2f}" for slowdown in profile.slowdowns)


def _newest(parts: list[Kind], results: Results, what: str) -> Kind | None:
    by_age = sorted(parts, key=lambda part: part.header.created)
    results.unused += [f"{part.header.path}: there is a newer {what}, which is drawn" for part in by_age[:-1]]
    return by_age[-1] if by_age else None


def _of(kind: type[Kind], parts: list[files.Noun]) -> list[Kind]:
    return [part for part in parts if isinstance(part, kind)]


METHOD_ORDER = ("linear", "round-robin", "eplb", "speed-aware", "paper", "gem")


def _order_of(method: str) -> int:
    return METHOD_ORDER.index(method) if method in METHOD_ORDER else len(METHOD_ORDER)


def _sort(results: Results, own: Sequence[files.Noun | None]) -> None:
    parts = [part for part in own if part is not None]
    results.report = _newest(_of(files.Report, parts), results, "report")
    results.adaptation = _newest(_of(files.Adaptation, parts), results, "report of gem-adapt")
    results.profile = _newest(_of(files.Profile, parts), results, "profile")
    model = results.model or next((part.header.model for part in parts), "")
    of_model: list[files.Trace | files.Mapping] = [*_of(files.Trace, parts), *_of(files.Mapping, parts)]
    for part in of_model:
        if part.header.model.lower() != model.lower():
            results.unused.append(f"{part.header.path}: is of model {part.header.model}, the rest of {model}")
        elif isinstance(part, files.Trace):
            results.traces.append(part)
        else:
            results.mappings.append(part)
    order = ("all", "train", "test")
    results.traces.sort(key=lambda trace: (order.index(trace.part), trace.header.path))
    results.mappings.sort(key=lambda mapping: (_order_of(mapping.method), mapping.header.path))
    for mapping in results.mappings:
        if sum(other.method == mapping.method for other in results.mappings) > 1:
            stem = os.path.splitext(os.path.basename(mapping.header.path))[0]
            mapping.name = mapping.method if stem == mapping.method else f"{mapping.method} ({stem})"
