"""Each picture as a file for papers, drawn by matplotlib from the same frames as the report's."""

import os
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .errors import SystemFailure, UsageError
from .page import draw_all
from .palette import DASHES, DIVERGING, MARKERS, ROLES, SEQUENTIAL
from .paper_layout import (
    LETTER_INCHES,
    MOST_LETTERS,
    SIZE_INCHES,
    axis_title,
    column_label,
    height_of,
    labels_along,
    legend_columns,
    shortened,
    stride,
    upright_title,
    width_of,
)
from .picture import Axis, Choice, Forest, Heat, Lines, Picture, Spans
from .results import Results
from .whole_file import temporary_name

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis as MatplotlibAxis
    from matplotlib.figure import Figure

LEGEND_BELOW_INCHES = 0.42  # the axis, for its ticks and title
SHAPES = {
    "circle": "o",
    "square": "s",
    "triangle": "^",
    "triangle-down": "v",
    "diamond": "D",
    "cross": "x",
    "plus": "+",
    "star": "*",
}
HATCHES = {"wait": "////", "temporal": "..", "combine": "\\\\\\"}


def draw_files(results: Results, folder: str, kind: str, wanted: dict[str, int | None]) -> int:
    """Writes each picture as `folder`/NAME.`kind`; `wanted` {choice: value} picks layer and step. -> how many."""
    try:
        import matplotlib
    except ImportError:
        raise SystemFailure(
            "pictures as files need the Python package matplotlib; install python3-matplotlib (Debian, Ubuntu) "
            "or matplotlib with pip"
        ) from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sections, _ = draw_all(results)
    count = 0
    with plt.rc_context(
        {
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "pdf.fonttype": 42,
            "svg.hashsalt": "gem",
            "axes.grid": False,
            "legend.frameon": False,
        }
    ):
        for title, drawn in sections:
            for name, picture in drawn:
                figure = draw_picture(picture, wanted, results.tag_of(title))
                _save(figure, os.path.join(folder, f"{name}.{kind}"), kind)
                plt.close(figure)
                count += 1
    return count


def draw_picture(picture: Picture, wanted: dict[str, int | None], tag: str) -> "Figure":
    """A figure of one frame: the one that is asked for, else the one that the page shows first."""
    import matplotlib.pyplot as plt

    index = tuple(_position(choice, wanted.get(choice.name)) for choice in picture.choices)
    frame = picture.frames[index]
    chosen = ", ".join(f"{choice.name} {choice.labels[i]}" for choice, i in zip(picture.choices, index))
    size = width_of(frame), height_of(picture, frame)
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    if isinstance(frame, Lines):
        _draw_lines(axes, picture, frame)
    elif isinstance(frame, Heat):
        _draw_heat(figure, axes, picture, frame)
    elif isinstance(frame, Spans):
        _draw_spans(axes, picture, frame)
    else:
        _draw_forest(axes, picture, frame)
    title = picture.title + (f" ({shortened(chosen)})" if chosen else "")
    if chosen and LETTER_INCHES * (1.15 * len(title) + len(tag)) > size[0] - 0.3:  # beside the tag
        title = title.replace(" (", "\n(", 1)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    if tag:
        figure.text(0.995, 0.995, tag, ha="right", va="top", fontsize=8, color="#8a6100")
    return figure


def _position(choice: Choice, value: int | None) -> int:
    if value is None:
        return choice.start
    if str(value) not in choice.labels:
        raise UsageError(
            f"--{choice.name} {value}: this can be {choice.labels[0]} to {choice.labels[-1]} here "
            f"({len(choice.labels)} of them)"
        )
    return choice.labels.index(str(value))


def _save(figure: "Figure", path: str, kind: str) -> None:
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with temporary_name(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=160, metadata={"Date": None} if kind == "svg" else None)
    except OSError as error:
        raise SystemFailure(f"cannot write {path}: {error.strerror}; choose another --output") from None


def _colour(role: str) -> str:
    return ROLES[role][0]


def _draw_lines(axes: "Axes", picture: Picture, frame: Lines) -> None:
    named = set()
    for series in frame.series:
        colour, label = _colour(series.role), None if series.name in named else series.name
        named.add(series.name)
        x, y = np.asarray(series.x, float), np.asarray(series.y, float)
        if series.low is not None:
            axes.errorbar(x, y, [y - series.low, series.high - y], fmt="none", ecolor=colour, elinewidth=1, capsize=2)
        if "line" in series.mark:
            dashes = (0, (6, 4)) if series.dashed else (0, DASHES[series.role]) if series.role in DASHES else "-"
            axes.plot(x, y, color=colour, linestyle=dashes, linewidth=1.5, label=label)
            label = None
        if "dots" in series.mark:
            hollow = np.zeros(len(x), bool) if series.hollow is None else np.asarray(series.hollow)
            size, shape = 6 if len(x) > 150 else 16, SHAPES[MARKERS.get(series.role, "circle")]
            axes.scatter(
                x[~hollow],
                y[~hollow],
                size,
                color=colour,
                marker=shape,
                label=label,
                zorder=3,
                alpha=0.6 if len(x) > 150 else 1,
                linewidths=1 if shape in "x+" else 0,
            )
            if hollow.any():
                face, edge = _colours_of(shape, colour, True)
                axes.scatter(x[hollow], y[hollow], size, marker=shape, zorder=3, facecolors=face, edgecolors=edge)
    _scale_axes(axes, picture, frame.y or picture.y)
    for guide in frame.guides:
        if guide.y is not None:
            drawn = axes.axhline(guide.y)
        elif guide.x is not None:
            drawn = axes.axvline(guide.x)
        else:
            limits = [min(axes.get_xlim()[0], axes.get_ylim()[0]), max(axes.get_xlim()[1], axes.get_ylim()[1])]
            (drawn,) = axes.plot(limits, limits)
            axes.set(xlim=limits, ylim=limits)
        drawn.set(color="#5b6675", linestyle=":", linewidth=1, zorder=1)
    axes.grid(axis="y", color="#e8ebee", linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)
    if len(named) > 1:
        axes.legend(fontsize=8, ncols=2 if len(named) > 4 else 1)


def _scale_axes(axes: "Axes", picture: Picture, y: Axis) -> None:
    axes.set(xlabel=axis_title(picture.x), ylabel=upright_title(y, SIZE_INCHES[1]))
    for axis, drawn, set_scale, set_limits in (
        (picture.x, axes.xaxis, axes.set_xscale, axes.set_xlim),
        (y, axes.yaxis, axes.set_yscale, axes.set_ylim),
    ):
        if axis.log:
            set_scale("log")
            _round_log_ticks(drawn)
        elif axis.zero:
            set_limits(0)
    if picture.x.labels:
        picked = labels_along(picture.x.labels, SIZE_INCHES[0] - 0.9)
        axes.set_xticks(list(picked), list(picked.values()))
        axes.set_xlim(-0.5, len(picture.x.labels) - 0.5)


def _round_log_ticks(axis: "MatplotlibAxis", narrow: float = 8) -> None:
    """1, 2, 5, 10 ... as plain numbers; over a range of less than `narrow` every digit."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low > narrow else range(1, 10)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _draw_heat(figure: "Figure", axes: "Axes", picture: Picture, frame: Heat) -> None:
    from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize

    stops = (DIVERGING if frame.scale == "diverging" else SEQUENTIAL)[0]
    norm = (LogNorm if frame.scale == "logarithmic" else Normalize)(frame.low, frame.high)
    image = axes.imshow(
        frame.values,
        aspect="auto",
        norm=norm,
        cmap=LinearSegmentedColormap.from_list("gem", stops),
        interpolation="nearest",
    )
    if frame.cell_texts:
        axes.set_xticks(range(len(frame.column_labels)), [column_label(label) for label in frame.column_labels])
        axes.set_yticks(range(len(frame.row_labels)), [shortened(label) for label in frame.row_labels])
    else:
        along = labels_along(frame.column_labels, SIZE_INCHES[0] - 1.6)
        axes.set_xticks(list(along), list(along.values()))
        each = stride(len(frame.row_labels), 0.15, height_of(picture, frame) - 1.1)
        upward = range(0, len(frame.row_labels), each)
        axes.set_yticks(upward, [shortened(frame.row_labels[i]) for i in upward])
    if frame.measured is not None:
        rows, columns = np.nonzero(frame.measured)
        axes.plot(columns, rows, ".", color="white", markeredgecolor="black", markeredgewidth=0.3, markersize=4)
    for row, texts in enumerate(frame.cell_texts or []):
        for column, text in enumerate(texts):
            axes.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                fontsize=8,
                bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "alpha": 0.75, "linewidth": 0},
            )
    for row, role in enumerate(frame.row_roles or []):
        axes.plot(
            [-0.5, -0.5], [row - 0.5, row + 0.5], color=_colour(role), linewidth=4, clip_on=False, solid_capstyle="butt"
        )
    axes.set(xlabel=axis_title(picture.x), ylabel=upright_title(picture.y, height_of(picture, frame)))
    bar = figure.colorbar(image, ax=axes, label=axis_title(picture.value) if picture.value else "", pad=0.01)
    if frame.scale == "logarithmic":
        _round_log_ticks(bar.ax.yaxis, 3)
    _legend(axes, picture)


def _draw_spans(axes: "Axes", picture: Picture, frame: Spans) -> None:
    position, ticks, labels = 0.0, [], []
    for title, rows in frame.groups:
        axes.text(0, position + 0.25, shortened(title), fontweight="bold", fontsize=9, va="center")
        for row in rows:
            position += 1
            for span in row.spans:
                axes.barh(
                    position,
                    span.end - span.start,
                    0.72,
                    span.start,
                    color=_colour(span.role),
                    edgecolor="white",
                    linewidth=0.5,
                    hatch=HATCHES.get(span.role),
                )
            if row.mark is not None:
                axes.plot([row.mark, row.mark], [position - 0.5, position + 0.5], color="black", linewidth=1.5)
            ticks.append(position)
            labels.append(shortened(row.label))
        position += 1.4
    axes.set_yticks(ticks, labels)
    axes.set_ylim(position - 0.7, -0.4)
    axes.set_xlim(0)
    axes.set_xlabel(axis_title(picture.x) + (f"; line: {frame.mark_label}" if frame.mark_label else ""))
    drawn = {span.role for _, rows in frame.groups for row in rows for span in row.spans}
    _legend(axes, picture, drawn)


def _draw_forest(axes: "Axes", picture: Picture, frame: Forest) -> None:
    position, ticks, labels = 0.0, [], []
    for title, rows in frame.groups:
        first, *rest = title.split(" · ")
        axes.text(
            0,
            position + 0.25,
            " · ".join([shortened(first, MOST_LETTERS // 2 + 2), *rest]),
            fontweight="bold",
            fontsize=8,
            va="center",
            transform=axes.get_yaxis_transform(),
        )
        for row in rows:
            position += 1
            for role, value in row.others:
                _mark(axes, value, position, role, 18, True)
            if np.isfinite(row.low):
                axes.plot([row.low, row.high], [position, position], color=_colour(row.role), linewidth=1.5)
            _mark(axes, row.value, position, row.role, 26, not np.isfinite(row.low))
            ticks.append(position)
            labels.append(shortened(row.label))
        position += 1.4
    axes.axvline(frame.reference, color="#5b6675", linestyle=":", linewidth=1, zorder=1)
    axes.set_yticks(ticks, labels, fontsize=7)
    axes.set_ylim(position - 0.7, -0.4)
    axes.set_xlabel(axis_title(picture.x))
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="", marker=SHAPES[MARKERS.get(role, "circle")], color=_colour(role), label=name)
        for name, role in picture.legend
    ]
    _legend_below(axes, handles)


def _legend_below(axes: "Axes", handles: "Sequence[Artist]") -> None:
    """Under the title of the axis, as many names beside each other as fit."""
    from matplotlib.transforms import ScaledTranslation

    below = ScaledTranslation(0, -LEGEND_BELOW_INCHES, axes.figure.dpi_scale_trans)
    axes.legend(
        handles=handles,
        fontsize=8,
        ncols=legend_columns([str(handle.get_label()) for handle in handles]),
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=axes.transAxes + below,
    )


def _mark(axes: "Axes", x: float, y: float, role: str, size: float, hollow: bool) -> None:
    shape = SHAPES[MARKERS.get(role, "circle")]
    face, edge = _colours_of(shape, _colour(role), hollow)
    axes.scatter([x], [y], size, marker=shape, zorder=3, linewidths=1, facecolors=face, edgecolors=edge)


def _colours_of(shape: str, colour: str, hollow: bool) -> tuple[str, str | None]:
    """Of a point's face and edge; crosses have no edge."""
    if shape in "x+":
        return colour, None
    return "white" if hollow else colour, colour


def _legend(axes: "Axes", picture: Picture, drawn: Container[str] | None = None) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(color=_colour(role), label=name) for name, role in picture.legend if drawn is None or role in drawn
    ]
    if patches:
        _legend_below(axes, patches)
