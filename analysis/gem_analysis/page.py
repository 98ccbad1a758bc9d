"""The report: one HTML file with everything in it."""

import base64
import importlib.resources
import json
import os
import re
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from . import palette
from .arrays import Array
from .errors import NotDrawn, SystemFailure
from .picture import Picture
from .pictures import SECTIONS, name_of
from .results import Results
from .tables import tables_of
from .verdict import tiles_of, verdict_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Drawn: TypeAlias = tuple[str, Picture]  # with its name
Section: TypeAlias = tuple[str, list[Drawn]]  # with its title

LEADS = {
    "Batch": "Each run: measured, or predicted where nothing was verified.",
    "Verification": "What the replay measured under each mapping, all of them interleaved.",
    "Adaptation": "A run in which tasks or devices drift, under each policy of re-mapping.",
    "Mapping": "Where the experts went, and how much is left to gain.",
    "Devices": "What gem-profile measured on each device, all at the same moments.",
    "Routing": "How the tokens use the experts, step by step.",
}
SCRIPTS = ("svg.js", "text.js", "lines.js", "heat.js", "spans.js", "forest.js", "report.js")
WIDE = {"mapping-ratio", "layer-timeline", "placement", "expert-loads", "batch-matrix", "all-replays"}


def draw_all(results: Results) -> tuple[list[Section], list[str]]:
    """([(section, [(name, picture)])], sentences on what could not be drawn)"""
    sections: list[Section] = []
    reasons: dict[str, list[str]] = {}
    for title, modules in SECTIONS.items():
        drawn = []
        for module in modules:
            try:
                drawn.append((name_of(module), module.draw(results)))
            except NotDrawn as reason:
                if title not in ("Batch", "Adaptation"):  # runs of their own
                    reasons.setdefault(str(reason), []).append(name_of(module).replace("-", " "))
        if drawn:
            sections.append((title, drawn))
    if results.batch and results.report is None:
        return sections, [f"{pair.model}, {pair.task}: {pair.failure}." for pair in results.batch if pair.failure] + [
            "Pictures of one pair: gem-analysis report with the pair's folder and its profile."
        ]
    return sections, [f"{', '.join(names).capitalize()}: {reason}." for reason, names in reasons.items()]


def render(results: Results) -> str:
    """The page's text."""
    try:
        import jinja2
    except ImportError:
        raise SystemFailure(
            "the report needs the Python package jinja2; install python3-jinja2 (Debian, Ubuntu) or jinja2 with pip"
        ) from None
    sections, missing = draw_all(results)
    data = {
        "scales": {"sequential": palette.SEQUENTIAL, "diverging": palette.DIVERGING},
        "markers": palette.MARKERS,
        "dashes": palette.DASHES,
        "pictures": [_packed(name, picture) for _, drawn in sections for name, picture in drawn],
    }
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["keep"] = keep_units
    template = environment.from_string(_resource("report.html.j2"))
    page: str = template.render(
        verdict=verdict_of(results),
        tiles=tiles_of(results),
        tables=[table for tables in tables_of(results).values() for table in tables],
        sections=[_section(results, title, drawn) for title, drawn in sections],
        missing=results.problems + missing + results.unused,
        provenance=_provenance(results),
        origin=os.path.basename(os.path.abspath(results.origin)),
        style=_style(),
        data=_json(data),
        script="\n".join(_resource(name) for name in SCRIPTS),
    )
    return page


def keep_units(text: str) -> str:
    """The text with units that stay on the line of their number."""
    return re.sub(r"(?<=\d) (?=(?:%|ms|µs|ns|s|MHz|W|°C)\b|%)", "\u00a0", text)


def _section(results: Results, title: str, drawn: list[Drawn]) -> dict[str, object]:
    tag = results.tag_of(title)
    pictures = [
        {
            "name": name,
            "title": picture.title,
            "sentence": picture.sentence,
            "notes": picture.notes,
            "wide": name in WIDE,
            "tag": tag,
        }
        for name, picture in drawn
    ]
    narrow = [picture for picture in pictures if not picture["wide"]]
    if len(narrow) % 2:  # the last one would have an empty place beside it
        narrow[-1]["wide"] = True
    return {"title": title, "anchor": title.lower(), "lead": LEADS[title], "pictures": pictures}


def _resource(name: str) -> str:
    return importlib.resources.files(__package__).joinpath("page", name).read_text(encoding="utf-8")


def _style() -> str:
    """The style sheet with the colours of all roles, for both themes."""
    light = ";".join(f"--{role}:{colours[0]}" for role, colours in palette.ROLES.items())
    dark = (
        ";".join(f"--{role}:{colours[1]}" for role, colours in palette.ROLES.items())
        + ";--ground:#0e1319;--card:#161c24;--ink:#e8edf3;--quiet:#9aa6b4;--line:#2a333f;--grid:#212933"
        ";--accent:#56B4E9;--good:#2fc998;--bad:#f0803c;--unsure:#e6b450;--shadow:none;color-scheme:dark"
    )
    roles = (
        f":root{{{light}}}\n@media (prefers-color-scheme: dark){{:root:not([data-theme=light]){{{dark}}}}}\n"
        f":root[data-theme=dark]{{{dark}}}"
    )
    return _resource("style.css").replace("/* roles */", roles)


def _packed(name: str, picture: Picture) -> dict[str, object]:
    """A picture as the script reads it. Frames are listed in the order of the choices, the last one fastest; each
    leaves out what it has in common with the first."""
    sizes = [len(choice.labels) for choice in picture.choices]
    frames = [_members(picture.frames[tuple(int(i) for i in index)]) for index in np.ndindex(*sizes)]
    first = frames[0]
    slim = [first] + [{key: value for key, value in frame.items() if value != first[key]} for frame in frames[1:]]
    return {
        "name": name,
        "title": picture.title,
        "x": _plain(picture.x),
        "y": _plain(picture.y),
        "value": _plain(picture.value),
        "choices": _plain(picture.choices),
        "legend": picture.legend,
        "height": picture.height,
        "frames": slim,
    }


def _plain(value: object) -> object:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, np.ndarray):
        if value.ndim == 2:
            return _packed_array(value)
        if value.dtype == bool:
            return [int(i) for i in np.flatnonzero(value)]
        return [_short(number) for number in value.tolist()]
    if isinstance(value, (float, np.floating, np.integer)):
        return _short(float(value))
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if is_dataclass(value) and not isinstance(value, type):
        parts = _members(value)
        # Rows and spans are many: lists are a third of the size.
        return list(parts.values()) if type(value).__name__ in ("Row", "Span", "Estimate") else parts
    raise TypeError(type(value).__name__)


def _members(value: "DataclassInstance") -> dict[str, object]:
    return {part.name: _plain(getattr(value, part.name)) for part in fields(value)}


def _short(number: float) -> float | None:
    """Five significant digits; NaN is null."""
    if isinstance(number, int):
        return number
    number = float(number)
    return None if not np.isfinite(number) else float(f"{number:.5g}")


FEW_CELLS = 4000


def _packed_array(values: Array) -> dict[str, object]:
    """Base64 of whole numbers as bytes or pairs of bytes, of few others in single precision, and of many in 65,535
    steps from the least to the greatest (the last code is NaN)."""
    known = values[np.isfinite(values)]
    whole = (
        len(known) == values.size
        and np.array_equal(values, np.floor(values))
        and known.min() >= 0
        and known.max() < 65536
    )
    if whole or values.size <= FEW_CELLS or not len(known):
        kind = ("u1" if known.max() < 256 else "u2") if whole else "f4"
        return {"type": kind, "data": _base64(values, kind)}
    low, step = float(known.min()), max(float(known.max() - known.min()), 1e-30) / 65534
    codes = np.where(np.isfinite(values), np.round((values - low) / step), 65535)
    return {"type": "u2", "low": low, "step": step, "data": _base64(codes, "u2")}


def _base64(values: Array, kind: str) -> str:
    return base64.b64encode(values.astype("<" + kind).tobytes()).decode()


def _json(data: object) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("</", "<\\/")


def _provenance(results: Results) -> list[dict[str, object]]:
    parts = [
        (results.report, "report of gem-verify"),
        (results.adaptation, "report of gem-adapt"),
        (results.profile, "profile of gem-profile"),
        *((mapping, f"mapping, method {mapping.method}") for mapping in results.mappings),
        *((trace, f"trace, {trace.label}, {len(trace.counts)} steps") for trace in results.traces),
    ]
    return [
        {
            "path": os.path.relpath(part.header.path, results.origin),
            "what": what,
            **{key: getattr(part.header, key) for key in ("created", "command_line", "software_version", "seed")},
        }
        for part, what in parts
        if part is not None
    ]
