"""Settings: environment variables GEM_POLICY_NAME, or lines `name = value` of the file GEM_POLICY_CONFIG; the
environment wins. All ranks of an engine must have the same."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, TypeVar

_Value = TypeVar("_Value", bool, int, float, str)


class SettingError(ValueError):
    """A setting that is unknown or can't be read; the message names it."""


def _setting(default: _Value, meaning: str) -> _Value:
    return dataclasses.field(default=default, metadata={"meaning": meaning})


@dataclasses.dataclass(frozen=True)
class Settings:
    enabled: bool = _setting(True, "0: the engine's own policy places experts, as if this package weren't there")
    library: str = _setting("", "path of libgem_policy.so.1; empty: beside the package, then where the system looks")
    profile: str = _setting("", "text that gem-deploy profile wrote; empty: all devices are taken to be equal")
    steps: int = _setting(32, "steps of the load window that are searched on")
    judged_steps: int = _setting(32, "further steps that decide whether what was found is worth its moves")
    max_moves: int = _setting(8, "experts of a layer that may change their device at a time; -1: any number")
    max_total_moves: int = _setting(-1, "the same of all layers together")
    horizon: int = _setting(0, "steps for which a placement serves; 0: until the engine's next rearrangement")
    iterations: int = _setting(0, "of the search beyond its first local optimum: better placements, longer calls")
    move_gbps: float = _setting(20.0, "gigabytes a second at which the engine brings an expert to another device")
    memory_gbps: float = _setting(3000.0, "of a device, where nothing was measured: an expert's weights are read once")
    tflops: float = _setting(400.0, "of a device, where nothing was measured")
    tile_tokens: int = _setting(64, "rows that the kernel computes together, where nothing was measured")
    clocks: bool = _setting(False, "1: latencies are scaled by each GPU's clock now against that of its profile")

    @staticmethod
    def load(environment: Mapping[str, str] = os.environ) -> Settings:
        """Of the environment and the file that it names; SettingError for what can't be."""
        texts: dict[str, tuple[str, str]] = {}
        path = environment.get("GEM_POLICY_CONFIG", "")
        if path:
            texts.update(_read_file(path))
        for key, text in environment.items():
            if key.startswith("GEM_POLICY_") and key != "GEM_POLICY_CONFIG":
                texts[key.removeprefix("GEM_POLICY_").lower()] = (key, text)
        kinds = {name: type(default) for name, default in dataclasses.asdict(Settings()).items()}
        values: dict[str, Any] = {}  # each as its field wants it
        for name, (origin, text) in texts.items():
            if name not in kinds:
                raise SettingError(f"{origin} is no setting; there are {', '.join(sorted(kinds))}")
            values[name] = _parse(origin, text.strip(), kinds[name])
        settings = Settings(**values)
        settings._check({name: origin for name, (origin, _) in texts.items()})
        return settings

    def _check(self, origins: Mapping[str, str]) -> None:
        def said(name: str) -> str:
            return f"{origins.get(name, name)} is {getattr(self, name)}, but must be"

        for name, least in (("steps", 1), ("judged_steps", 0), ("max_moves", -1), ("max_total_moves", -1),
                            ("horizon", 0), ("iterations", 0), ("tile_tokens", 1)):
            if not least <= getattr(self, name) < 1 << 20:
                raise SettingError(f"{said(name)} {least} to {(1 << 20) - 1}")
        for name in ("move_gbps", "memory_gbps", "tflops"):
            if not 0.0 < getattr(self, name) < 1e9:
                raise SettingError(f"{said(name)} above 0 and below 1e9")


def _read_file(path: str) -> dict[str, tuple[str, str]]:
    """{name: (where it stands, its text)}"""
    texts = {}
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"GEM_POLICY_CONFIG: cannot read {path}: {error}") from error
    for number, line in enumerate(lines, 1):
        line = line.split("#", 1)[0].strip()
        if not line:
            continue
        name, equals, text = line.partition("=")
        if not equals:
            raise SettingError(f"{path}:{number}: is '{line}', but must be 'name = value'")
        name = name.strip().lower()
        texts[name] = (f"{path}:{number}: {name}", text)
    return texts


def _parse(origin: str, text: str, kind: type[bool | int | float | str]) -> bool | int | float | str:
    if kind is str:
        return text
    if kind is bool:
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off", ""):
            return False
        raise SettingError(f"{origin} is '{text}', but must be 0 or 1")
    try:
        return kind(text)
    except ValueError:
        noun = "a whole number" if kind is int else "a number"
        raise SettingError(f"{origin} is '{text}', but must be {noun}") from None
