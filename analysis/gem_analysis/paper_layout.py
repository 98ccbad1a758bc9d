"""How large a picture file is, and how its labels fit: shortened, on several lines, or each second, third ... alone."""

import math
import textwrap

from .picture import Axis, Forest, Frame, Heat, Picture, Spans

SIZE_INCHES = (6.0, 3.2)
LETTER_INCHES = 0.075  # of labels, on average
MOST_LETTERS = 44  # of a label
LEGEND_INCHES = 3.6  # room below a picture
FEW_LABELS = 8  # along an axis: all are shown, shortened if need be


def axis_title(axis: Axis) -> str:
    return axis.label + (f" ({axis.unit})" if axis.unit else "")


def upright_title(axis: Axis, height: float) -> str:
    """The title of an axis beside a figure of that height, inches, on as many lines as it needs."""
    return textwrap.fill(axis_title(axis), max(20, int((height - 0.8) / LETTER_INCHES)))


def width_of(frame: Frame) -> float:
    """Inches; a matrix with texts is as wide as these need."""
    if not isinstance(frame, Heat) or not frame.cell_texts:
        return SIZE_INCHES[0]
    lines = [line for row in frame.cell_texts for text in row for line in text.split("\n")]
    lines += [line for label in frame.column_labels for line in column_label(label).split("\n")]
    labels = max(len(shortened(label)) for label in frame.row_labels)
    columns = len(frame.column_labels) * (max(map(len, lines)) + 2)
    return max(SIZE_INCHES[0], LETTER_INCHES * (labels + columns) + 1.3)  # with the bar of colours


def shortened(label: str, most: int = MOST_LETTERS) -> str:
    """Without so much of its middle that it isn't longer than `most` letters."""
    if len(label) <= most:
        return label
    head = (most - 1) // 2
    return f"{label[:head]}…{label[len(label) - (most - 1 - head) :]}"


def stride(count: int, each: float, room: float) -> int:
    """Of labels that take so many inches each: every how many-th has room."""
    return max(1, math.ceil(count * each / room))


def labels_along(labels: list[str], room: float) -> dict[int, str]:
    """{place: label} beside each other in so many inches: few are shortened, of many each second, third ... is shown."""
    if len(labels) <= FEW_LABELS:
        letters = max(6, int((room / max(1, len(labels)) - 0.1) / LETTER_INCHES))
        return {i: shortened(label, letters) for i, label in enumerate(labels)}
    each = LETTER_INCHES * max(map(len, labels)) + 0.1
    return {i: labels[i] for i in range(0, len(labels), stride(len(labels), each, room))}


def column_label(label: str) -> str:
    """A setting of two parts, "both-ends/spread-1.28", on two lines."""
    return "\n".join(shortened(line, MOST_LETTERS // 2) for line in label.replace("/", "/\n").split("\n"))


def height_of(picture: Picture, frame: Frame) -> float:
    """Inches."""
    names = [name for name, _ in picture.legend]
    legend = 0.17 * -(-len(names) // legend_columns(names))
    if isinstance(frame, Spans):
        return 1.0 + legend + 0.24 * sum(len(rows) + 1.4 for _, rows in frame.groups)
    if isinstance(frame, Forest):
        return 1.0 + legend + 0.2 * sum(len(estimates) + 1.4 for _, estimates in frame.groups)
    return max(2.2, picture.height / 110) if isinstance(frame, Heat) else SIZE_INCHES[1]


def legend_columns(names: list[str]) -> int:
    """How many names stand beside each other."""
    longest = max(map(len, names), default=0)
    return max(1, min(len(names), int(LEGEND_INCHES / (0.45 + LETTER_INCHES * longest))))
