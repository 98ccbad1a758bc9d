"""What a picture is, whatever draws it: a title, a sentence, axes and the data of one of four kinds.

A picture with choices (of a layer, a step, a device) holds one frame for each combination. The report's script
(page/*.js) and paper.py draw the same frames.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Array, Bools, Integers


@dataclass
class Axis:
    """`labels` makes it an axis of categories at 0, 1, 2 ..."""

    label: str
    unit: str = ""
    log: bool = False
    zero: bool = False  # begins at zero
    labels: list[str] | None = None


@dataclass
class Series:
    """Points of one colour (`role`, see palette.py), joined or not. `low` and `high` are whiskers."""

    name: str
    role: str
    x: Array  # [point]
    y: Array  # [point]
    mark: str = "line"  # line, dots, line+dots
    low: Array | None = None  # [point]
    high: Array | None = None  # [point]
    hollow: Bools | None = None  # [point] those that are marked as doubtful
    notes: list[str] | None = None  # [point]
    dashed: bool = False


@dataclass
class Guide:
    """A thin line to compare with: horizontal at `y`, vertical at `x`, or y = x if neither is given."""

    label: str
    x: float | None = None
    y: float | None = None


@dataclass
class Lines:
    """`y` is this frame's own vertical axis where frames differ in it, else None."""

    series: list[Series]
    guides: list[Guide] = field(default_factory=list)
    y: Axis | None = None
    kind: str = "lines"


@dataclass
class Heat:
    """`values` [row, column], NaN for no cell. `scale` is sequential, logarithmic or diverging."""

    values: Array
    scale: str
    low: float
    high: float
    row_labels: list[str]
    column_labels: list[str]
    cell_texts: list[list[str]] | None = None  # [row][column], written into the cells
    measured: Array | None = None  # [row, column] 1 where a value was measured, 0 where it is interpolated
    row_roles: list[str] | None = None  # a colour beside each row
    column_roles: list[str] | None = None
    kind: str = "heat"


@dataclass
class Span:
    start: float
    end: float
    role: str
    note: str = ""


@dataclass
class Row:
    label: str
    mark: float | None  # a tick across the row
    spans: list[Span]


@dataclass
class Spans:
    """Groups of rows of spans along a common axis: timelines, stacked bars."""

    groups: list[tuple[str, list[Row]]]  # with their titles
    mark_label: str = ""
    kind: str = "spans"


@dataclass
class Estimate:
    """A row of a forest plot: a value with its interval (NaN where unknown), and others to compare it with."""

    label: str
    role: str
    value: float
    low: float
    high: float
    others: list[tuple[str, float]]  # (role, value)
    note: str = ""


@dataclass
class Forest:
    """Rows of estimates along a common axis; a dashed line at `reference`."""

    groups: list[tuple[str, list[Estimate]]]  # with their titles
    reference: float
    kind: str = "forest"


Frame: TypeAlias = Lines | Heat | Spans | Forest
Frames: TypeAlias = dict[tuple[int, ...], Frame]  # by one index a choice


@dataclass
class Choice:
    """`ordered`: a slider suits it."""

    name: str
    labels: list[str]
    start: int = 0
    ordered: bool = False


@dataclass
class Picture:
    title: str
    sentence: str  # what one sees, with the figures that matter
    x: Axis
    y: Axis
    frames: Frames
    choices: list[Choice] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what is emulated, simulated, left out
    value: Axis | None = None  # of a heat map's colours
    legend: list[tuple[str, str]] = field(default_factory=list)  # (name, role) beyond the series
    height: int = 300  # suggested, pixels


def only(frame: Frame) -> Frames:
    """Frames of a picture without choices."""
    return {(): frame}


TIME_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def time_unit(seconds: ArrayLike) -> tuple[float, str]:
    """(length in seconds, name) of the unit that suits the median of positive times."""
    times_s = np.asarray(seconds, float)
    times_s = times_s[np.isfinite(times_s) & (times_s > 0)]
    typical = np.median(times_s) if times_s.size else 1.0
    return next((unit for unit in TIME_UNITS if typical >= unit[0]), TIME_UNITS[-1])


def format_time(seconds: float) -> str:
    """Three significant digits with the unit that suits."""
    length, name = time_unit([seconds])
    return f"{seconds / length:.3g} {name}"


def evenly(count: int, most: int) -> Integers:
    """At most `most` of the indices 0 .. count - 1, evenly spread, the first and the last among them."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, max(most, 2)).round().astype(int))


def percent(ratio: float) -> str:
    """Signed change: 0.893 is -10.7 %."""
    return f"{100 * (ratio - 1):+.1f} %".replace("-", "−")


def less_or_more(ratio: float) -> str:
    """0.893 is "10.7 % less", 1.02 "2.0 % more"."""
    return f"{100 * abs(ratio - 1):.1f} % {'less' if ratio <= 1 else 'more'}"
