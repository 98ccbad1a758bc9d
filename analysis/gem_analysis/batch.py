"""Results of many (model, task) pairs: what gem-batch sums up, or the reports of sub-folders."""

import csv
import math
import os
from dataclasses import dataclass

from .errors import DataError

SUMMARY = "summary.csv"
COLUMNS = ("pair", "state", "method", "predicted_vs_linear", "measured_vs_linear", "low", "high", "in_sample", "error")


@dataclass
class PairResult:
    """One pair's best mapping against linear; ratios are NaN where unknown."""

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

    @property
    def ratio(self):
        """Measured, else predicted."""
        return self.predicted if math.isnan(self.measured) else self.measured

    @property
    def is_proven(self):
        """Whether the interval is clear of 1."""
        return self.high < 1 or self.low > 1


def of_report(report):
    """The judged mapping of a report of gem-verify."""
    m, summary = report.judged_index, report.summary
    return PairResult(
        report.header.model,
        report.task,
        report.names[m],
        float(summary["predicted_s"][m] / summary["predicted_s"][0]),
        *(float(summary[name][m]) for name in ("relative", "relative_low", "relative_high")),
        report.sample_note,
        report.device_kind,
    )


def read_summary(path):
    """The pairs of gem-batch's summary.csv: of each the method gem, else the last. DataError for anything else."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error}); let gem-batch --summary write it again") from None
    pairs = {}
    for row in rows:
        missing = [name for name in COLUMNS if row.get(name) is None]
        if missing:
            raise DataError(f"{path}: a row has no column '{missing[0]}'; let gem-batch --summary write it again")
        if row["pair"] not in pairs or pairs[row["pair"]]["method"] != "gem":
            pairs[row["pair"]] = row
    return [_of_row(path, row) for row in pairs.values()]


def _of_row(path, row):
    def number(name):
        try:
            return float(row[name]) if row[name] else math.nan
        except ValueError:
            raise DataError(
                f"{path}: column '{name}' holds '{row[name]}', but must hold a number; let gem-batch --summary write "
                "it again"
            ) from None

    folder, _, task = row["pair"].rpartition("/")
    failure = "" if row["state"] == "done" else row["error"] or row["state"]
    note = "in-sample" if row["in_sample"] == "1" else "held-out"
    ratios = (number(name) for name in ("predicted_vs_linear", "measured_vs_linear", "low", "high"))
    return PairResult(os.path.basename(folder), task, row["method"], *ratios, "" if failure else note, "", failure)
