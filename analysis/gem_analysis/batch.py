"""Results of several runs: the (model, task) pairs that gem-batch sums up, or the reports of sub-folders."""

import csv
import math
import os
from dataclasses import dataclass, field

from .errors import DataError
from .nouns import Report

Row = dict[str, str]  # by column

SUMMARY = "summary.csv"
NOT_RUN = "not run"
COLUMNS = ("pair", "state", "method", "predicted_vs_linear", "measured_vs_linear", "low", "high", "in_sample", "error")


@dataclass
class PairResult:
    """One run's best mapping against linear; ratios are NaN where unknown."""

    model: str
    task: str
    method: str
    predicted: float
    measured: float
    low: float  # of the 95 % interval of what was measured
    high: float
    note: str  # how scored and trained requests relate
    device_kind: str = ""
    failure: str = ""  # why there is no result
    setting: str = ""  # folder above the run's own, which tells it from other runs of the same model and task
    tokens: int = 0  # a step; 0 where unknown
    steps: int = 0  # replayed or scored; 0 where unknown
    devices: int = 0  # 0 where unknown
    emulation: str = ""  # "emulated x1.00, x1.28"; empty for devices as they are
    spread: float = math.nan  # the slowest device's time over the fastest's at heavy loads
    layer: float = math.nan  # whole layers against linear, exchange included
    layer_low: float = math.nan
    layer_high: float = math.nan
    others: dict[str, float] = field(default_factory=dict)  # the other mappings' names -> ratio, linear's left out

    @property
    def ratio(self) -> float:
        """Measured, else predicted."""
        return self.predicted if math.isnan(self.measured) else self.measured

    @property
    def is_measured(self) -> bool:
        return not math.isnan(self.measured)

    @property
    def is_proven(self) -> bool:
        """Whether the interval is clear of 1."""
        return self.high < 1 or self.low > 1

    @property
    def outcome(self) -> str:
        """Why there is no result, in a word or a sentence; empty where there is one."""
        return self.failure if self.failure in ("", NOT_RUN) else f"failed: {self.failure}"

    @property
    def is_in_sample(self) -> bool:
        return "in-sample" in self.note

    @property
    def speeds(self) -> str:
        """What has to be said of the devices beside every figure of this run."""
        if self.device_kind == "simulated":
            return "simulated"
        return short_emulation(self.emulation) if self.emulation else "as they are" if self.device_kind else "unknown"

    @property
    def workload(self) -> str:
        tokens = f", {self.tokens:,} tokens" if self.tokens else ""
        return f"{self.model} {self.task}{tokens}"


def short_emulation(note: str) -> str:
    """ "emulated x1.00, x1.03, x1.28" as "emulated, up to x1.28"; other notes as they are."""
    factors = [part.strip() for part in note.removeprefix("emulated").split(",")]
    numbers = [
        float(factor[1:]) for factor in factors if factor[:1] == "x" and factor[1:].replace(".", "", 1).isdigit()
    ]
    if not note.startswith("emulated") or len(numbers) != len(factors):
        return note
    return f"emulated, up to x{max(numbers):.2f}"


def of_report(report: Report, setting: str = "") -> PairResult:
    """The judged mapping of a report of gem-verify."""
    m, summary = report.judged_index, report.summary
    speeds = report.device_speeds
    return PairResult(
        report.header.model,
        report.task,
        report.names[m],
        float(summary["predicted_s"][m] / summary["predicted_s"][0]),
        float(summary["relative"][m]),
        float(summary["relative_low"][m]),
        float(summary["relative_high"][m]),
        report.sample_note,
        report.device_kind,
        setting=setting,
        tokens=report.tokens_per_step,
        steps=report.measured_s.shape[1],
        devices=report.measured_s.shape[3],
        emulation=report.device_note,
        spread=float(speeds.max() / speeds.min()) if len(speeds) else math.nan,
        layer=float(summary["layer_relative"][m]),
        layer_low=float(summary["layer_relative_low"][m]),
        layer_high=float(summary["layer_relative_high"][m]),
        others={name: float(summary["relative"][i]) for i, name in enumerate(report.names) if i not in (0, m)},
    )


def read_summary(path: str) -> dict[str, PairResult]:
    """The pairs of gem-batch's summary.csv: of each the method gem, else the last. DataError for anything else."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error}); let gem-batch --summary write it again") from None
    pairs: dict[str, list[Row]] = {}
    for row in rows:
        missing = [name for name in COLUMNS if row.get(name) is None]
        if missing:
            raise DataError(f"{path}: a row has no column '{missing[0]}'; let gem-batch --summary write it again")
        pairs.setdefault(row["pair"], []).append(row)
    return {name: _of_rows(path, name, rows) for name, rows in pairs.items()}


def _of_rows(path: str, pair: str, rows: list[Row]) -> PairResult:
    def number(row: Row, name: str) -> float:
        try:
            return float(row[name]) if row[name] else math.nan
        except ValueError:
            raise DataError(
                f"{path}: column '{name}' holds '{row[name]}', but must hold a number; let gem-batch --summary write "
                "it again"
            ) from None

    row = next((row for row in rows if row["method"] == "gem"), rows[-1])
    folder, _, task = pair.rpartition("/")
    failure = (
        ""
        if row["state"] in ("done", "stale")
        else row["error"] or {"missing": NOT_RUN}.get(row["state"], row["state"])
    )
    notes = ["in-sample" if row["in_sample"] == "1" else "held-out"] + (["stale"] if row["state"] == "stale" else [])
    ratios = {
        name: [number(row, name) for row in rows]
        for name in ("predicted_vs_linear", "measured_vs_linear", "low", "high")
    }
    chosen = rows.index(row)
    result = PairResult(
        os.path.basename(folder),
        task,
        row["method"],
        ratios["predicted_vs_linear"][chosen],
        ratios["measured_vs_linear"][chosen],
        ratios["low"][chosen],
        ratios["high"][chosen],
        "" if failure else ", ".join(notes),
        failure=failure,
    )
    figure = "measured_vs_linear" if result.is_measured else "predicted_vs_linear"
    result.others = {
        other["method"]: ratios[figure][i]
        for i, other in enumerate(rows)
        if i != chosen and other["method"] not in ("", "linear") and not math.isnan(ratios[figure][i])
    }
    return result
