"""The tables of the report, as cells for the page and as text to paste."""

import textwrap
from dataclasses import dataclass

import numpy as np

from .arrays import Floats
from .latency import noise, relative_speeds, throttled
from .nouns import Profile, Report
from .results import Results

MOST_DEVICES = 32
STEPS_FOR_P99 = 100  # below, the 99th percentile is the slowest step under another name
PARTS = ("dispatch", "compute", "waiting", "combine")  # of a device's layer


@dataclass
class Table:
    title: str
    columns: list[tuple[str, str]]  # (name, unit)
    rows: list[list[str]]  # of cells
    judged: str = ""  # first cell of the row that the verdict is about
    note: str = ""
    # Names of columns that go first, in this order, where a terminal has no room for all.
    leave_out: tuple[str, ...] = ()

    @property
    def is_text(self) -> list[bool]:
        """[column] whether it holds words and not numbers."""
        return [any(cell[:1].isalpha() for cell in column) for column in zip(*self.rows)]

    @property
    def text(self) -> str:
        """A Markdown table that also reads well as plain text."""
        head = [f"{name} ({unit})" if unit else name for name, unit in self.columns]
        widths = [max(len(row[i]) for row in [head, *self.rows]) for i in range(len(head))]

        def line(cells: list[str]) -> str:
            return (
                "| "
                + " | ".join(
                    cell.ljust(width) if i == 0 else cell.rjust(width)
                    for i, (cell, width) in enumerate(zip(cells, widths))
                )
                + " |"
            )

        rule = "|" + "|".join("-" * (width + 1) + ("-" if i == 0 else ":") for i, width in enumerate(widths)) + "|"
        return "\n".join([line(head), rule, *map(line, self.rows)] + (["", self.note] if self.note else []))

    def fitted(self, width: int = 80) -> str:
        """Plain text of at most `width` columns: those named in `leave_out` go first, then the longest words lose their
        middle; a line below says so."""
        shown = list(range(len(self.columns)))
        cells = [[name for name, _ in self.columns], [unit for _, unit in self.columns], *self.rows]
        widths = [max(len(row[i]) for row in cells) for i in shown]
        gone = [next(i for i in shown if self.columns[i][0] == name) for name in self.leave_out]

        def total() -> int:
            return sum(widths[i] for i in shown) + 2 * (len(shown) - 1)

        left_out = []
        while total() > width and gone:
            left_out.append(gone.pop(0))
            shown.remove(left_out[-1])
        words = [i for i in shown if i == 0 or self.is_text[i]]
        cut = total() > width
        while total() > width and max(widths[i] for i in words) > 8:
            widths[max(words, key=lambda i: widths[i])] -= 1

        def fit(word: str, room: int) -> str:
            if len(word) <= room:
                return word
            head = (room - 2) // 2
            return f"{word[:head]}..{word[len(word) - (room - 2 - head) :]}"

        def line(row: list[str]) -> str:
            parts = [fit(row[i], widths[i]) for i in shown]
            parts = [part.ljust(widths[i]) if i in words else part.rjust(widths[i]) for i, part in zip(shown, parts)]
            return "  ".join(parts).rstrip()

        lines = [line(row).replace("**", "") for row in cells if any(row[i] for i in shown)]
        notes = ["no room for: " + ", ".join(self.columns[i][0] for i in sorted(left_out))] if left_out else []
        notes += ["long words are cut"] if cut else []
        if notes:
            lines.append(textwrap.fill(f"({'; '.join(notes)}; --json has all)", width))
        return "\n".join(lines + ([textwrap.fill(self.note, width)] if self.note else []))


def tables_of(results: Results) -> dict[str, list[Table]]:
    """{section: tables}, the most important first."""
    return {
        "Verification": verification_tables(results.report, results.device_note())
        if results.report is not None
        else [],
        "Batch": [batch_table(results)] if results.batch else [],
        "Devices": [device_table(results.profile)] if results.profile is not None else [],
    }


def slow_steps(report: Report) -> tuple[str, Floats]:
    """(name, [mapping] seconds) of the slow end of the steps: p99 where there are a hundred steps, else the slowest."""
    steps_s = report.straggler_s
    if steps_s.shape[1] >= STEPS_FOR_P99:
        return "p99", report.summary["p99_s"]
    return "slowest step", steps_s.max(axis=1)


def verification_tables(report: Report, device_note: str) -> list[Table]:
    """What gem-verify prints: times, details, then parts."""
    summary = report.summary
    times, details, parts = [], [], []
    tail, tail_s = slow_steps(report)
    for m, name in enumerate(report.names):

        def ms(field: str, m: int = m) -> str:
            return f"{1e3 * summary[field][m]:.3f}"

        interval = f"{summary['relative_low'][m]:.3f} – {summary['relative_high'][m]:.3f}" if m else "–"
        times.append(
            [
                name,
                ms("straggler_s"),
                f"{summary['relative'][m]:.3f}",
                interval,
                ms("predicted_s"),
                f"{100 * summary['median_error'][m]:.1f}",
                f"{1e3 * tail_s[m]:.3f}",
            ]
        )
        checked = not np.isnan(report.output_error[m])
        details.append(
            [
                name,
                ms("p50_s"),
                ms("p90_s"),
                f"{summary['imbalance'][m]:.3f}",
                f"{summary['raw_relative'][m]:.3f}",
                _or_dash(summary["layer_relative"][m], "{:.3f}"),
                str(int(report.wrong_values[m])) if checked else "–",
                _or_dash(report.output_error[m], "{:.1e}"),
            ]
        )
        parts.append(
            [
                name,
                *(_or_dash(1e3 * summary[f"{part}_s"][m], "{:.3f}") for part in PARTS),
                _or_dash(100 * summary["waiting_share"][m], "{:.1f}"),
                format_bytes(report.moved_bytes[m]),
                _or_dash(report.move_s[m], "{:.3f}"),
            ]
        )
    note = (
        f"{report.header.model}, {report.task}; {report.measured_s.shape[1]} steps, {report.rounds} round{'s' if report.rounds != 1 else ''}; "
        f"{report.sample_note}. {device_note}"
    )
    judged = report.names[report.judged_index]
    return [
        Table(
            "Verification",
            [
                ("mapping", ""),
                ("straggler", "ms/step"),
                (f"vs {report.names[0]}", "ratio"),
                ("95 % interval", "ratio"),
                ("predicted", "ms/step"),
                ("error", "%"),
                (tail, "ms/step"),
            ],
            times,
            judged,
            note.strip(),
        ),
        Table(
            "Verification, details",
            [
                ("mapping", ""),
                ("p50", "ms/step"),
                ("p90", "ms/step"),
                ("imbalance", "max/mean"),
                ("raw maxima", "ratio"),
                ("whole layer", "ratio"),
                ("#wrong", "values"),
                ("error", "output"),
            ],
            details,
            judged,
        ),
        Table(
            "The mean device's step",
            [
                ("mapping", ""),
                *((part, "ms/step") for part in PARTS),
                ("waiting", "%"),
                ("to move", ""),
                ("moved in", "s"),
            ],
            parts,
            judged,
        ),
    ]


def batch_table(results: Results) -> Table:
    """A row a run; columns that say the same of all runs stay, so that each row can be cut out alone."""
    pairs = sorted(results.batch, key=lambda pair: (pair.setting, pair.model, pair.task, pair.tokens))
    with_setting = any(pair.setting for pair in pairs)
    with_layers = any(not np.isnan(pair.layer) for pair in pairs)
    columns = [("setting", "")] if with_setting else []
    columns += [
        ("model", ""),
        ("task", ""),
        ("tokens", "a step"),
        ("steps", ""),
        ("devices", ""),
        ("speeds", ""),
        ("mapping", ""),
        ("measured", "vs linear"),
        ("95 % interval", "ratio"),
        ("predicted", "vs linear"),
    ]
    columns += [("whole layers", "vs linear")] if with_layers else []
    columns.append(("scored on", ""))
    rows = []
    for pair in pairs:
        interval = "–" if np.isnan(pair.low) or pair.method == "linear" else f"{pair.low:.3f} – {pair.high:.3f}"
        rows.append(
            ([pair.setting or "–"] if with_setting else [])
            + [
                pair.model,
                pair.task,
                f"{pair.tokens:,}" if pair.tokens else "–",
                str(pair.steps or "–"),
                f"{pair.devices or ''} {pair.device_kind}".strip() or "–",
                pair.speeds,
                pair.method or "–",
                _or_dash(pair.measured, "{:.3f}"),
                interval,
                _or_dash(pair.predicted, "{:.3f}"),
            ]
            + ([_or_dash(pair.layer, "{:.3f}")] if with_layers else [])
            + [pair.outcome or pair.note or "–"]
        )
    return Table("Batch", columns, rows, note=results.device_note())


def device_table(profile: Profile) -> Table:
    """What gem-profile prints; of many devices the fastest and the slowest."""
    speeds, deviation, held_down = relative_speeds(profile), noise(profile), throttled(profile).sum(axis=1)
    columns = [
        ("device", ""),
        ("rank", ""),
        ("host", ""),
        ("name", ""),
        ("speed", "fastest = 1"),
        ("noise", "%"),
        ("unsettled", "points"),
        ("throttled", "points"),
        ("drift", "%"),
    ]
    shown, note = np.arange(profile.device_count), ""
    if profile.device_count > MOST_DEVICES:
        by_speed = np.argsort(-speeds, kind="stable")
        shown = np.concatenate([by_speed[: MOST_DEVICES // 2], by_speed[-MOST_DEVICES // 2 :]])
        note = f"{profile.device_count - MOST_DEVICES} devices between the fastest and the slowest are not listed."
    rows = [
        [
            str(d),
            str(int(profile.ranks[d])),
            profile.hostnames[d] or "–",
            profile.names[d],
            f"{speeds[d]:.3f}",
            _or_dash(100 * deviation[d], "{:.2f}"),
            str(int((~profile.settled[d]).sum())),
            str(int(held_down[d])),
            _or_dash(100 * profile.drift[d], "{:+.2f}"),
        ]
        for d in shown
    ]
    if profile.pace == "serving":
        note += " Between samples the devices did what they do in a step (--pace serving)."
    return Table("Devices", columns, rows, note=note.strip())


def _or_dash(value: float, pattern: str) -> str:
    return "–" if np.isnan(value) else pattern.format(value)


def format_bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            return f"{count:.3g} {unit}" if unit != "B" else f"{int(count)} B"
        count = count / 1024
    return ""
