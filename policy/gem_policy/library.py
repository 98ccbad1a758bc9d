"""libgem_policy.so through ctypes; src/policy/gem_policy.h says what everything means."""

from __future__ import annotations

import ctypes
import dataclasses
import math
import os
import pathlib
from collections.abc import Sequence
from typing import TypeAlias

import numpy
import numpy.typing

ABI = 1
Integers: TypeAlias = numpy.typing.NDArray[numpy.integer]  # of any width; the axes stand beside each in square brackets


class PolicyError(RuntimeError):
    """The library can't be loaded, or refused what it was asked; the message says why."""


class _Question(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), *((name, ctypes.c_int32) for name in (
        "step_count", "judged_steps", "layer_count", "expert_count", "device_count", "slots_per_device")),
        ("counts", ctypes.c_void_p), ("present", ctypes.c_void_p), ("devices", ctypes.c_void_p),
        ("slowdowns", ctypes.c_void_p), ("max_moves", ctypes.c_int32), ("max_total_moves", ctypes.c_int32),
        ("move_s", ctypes.c_double), ("horizon_steps", ctypes.c_double), ("iterations", ctypes.c_int32),
        ("seed", ctypes.c_uint64)]


class _Answer(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("map", ctypes.c_void_p), ("moves", ctypes.c_int32),
                ("changed_layers", ctypes.c_int32), ("present_s", ctypes.c_double), ("placed_s", ctypes.c_double),
                ("moves_s", ctypes.c_double)]


_Kind: TypeAlias = type[ctypes.c_int32] | type[ctypes.c_double] | type[ctypes.c_char_p] | type[ctypes.c_void_p]
# name, what it gives, what it takes
_FUNCTIONS: tuple[tuple[str, _Kind | None, Sequence[_Kind]], ...] = (
    ("abi", ctypes.c_int32, []), ("version", ctypes.c_char_p, []), ("error", ctypes.c_char_p, []),
    ("open", ctypes.c_int32, [ctypes.c_char_p, ctypes.c_void_p]),
    ("open_equal", ctypes.c_int32,
     [ctypes.c_int32, ctypes.c_int32, ctypes.c_double, ctypes.c_double, ctypes.c_void_p]),
    ("open_mean", ctypes.c_int32, [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p]),
    ("close", None, [ctypes.c_void_p]), ("device_count", ctypes.c_int32, [ctypes.c_void_p]),
    ("device_uuid", ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_int32]),
    ("device_name", ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_int32]),
    ("device_clock", ctypes.c_double, [ctypes.c_void_p, ctypes.c_int32]),
    ("place", ctypes.c_int32, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]))


@dataclasses.dataclass(frozen=True)
class Placing:
    """An answer: the map, [layer, slot] experts, and what it is predicted to bring and cost."""

    map: Integers
    moves: int
    changed_layers: int
    present_s: float  # seconds of a mean step, all layers, before
    placed_s: float  # and after
    moves_s: float


def _candidates(path: str) -> list[str]:
    if path:
        return [path]
    here = pathlib.Path(__file__).resolve().parent
    name = "libgem_policy.so.1"
    # Beside the package; where cmake --install put both (share/gem/policy/gem_policy, lib or lib/x86_64-linux-gnu).
    found = [here / name]
    for library in ("lib", f"lib/{os.uname().machine}-linux-gnu", "lib64"):
        found.append(here.parents[3] / library / name if len(here.parents) > 3 else here / name)
    return [str(file) for file in found if file.exists()] + [name]


class Library:
    """The loaded library; PolicyError naming the file where it isn't to be had."""

    def __init__(self, path: str = "") -> None:
        errors = []
        for candidate in _candidates(path):
            try:
                self._c = ctypes.CDLL(candidate)
                self.path = candidate
                break
            except OSError as error:
                errors.append(f"cannot load {candidate}: {error}")
        else:
            raise PolicyError("; ".join(errors) + "; set GEM_POLICY_LIBRARY to libgem_policy.so.1")
        for name, result, arguments in _FUNCTIONS:
            try:
                function = self.function(name)
            except AttributeError:
                raise PolicyError(f"{self.path} has no function gem_policy_{name}, so it isn't libgem_policy.so.1 of this "
                                  "version; set GEM_POLICY_LIBRARY to it") from None
            function.restype, function.argtypes = result, arguments
        if self.function("abi")() != ABI:
            raise PolicyError(f"{self.path} speaks version {self.function('abi')()} of its interface, but this package "
                              f"needs {ABI}; install both from one version of GEM")

    def function(self, name: str) -> ctypes._NamedFuncPointer:  # ctypes has no public name for it
        found: ctypes._NamedFuncPointer = getattr(self._c, f"gem_policy_{name}")
        return found

    def version(self) -> str:
        text: bytes = self.function("version")()
        return text.decode()

    def check(self, code: int) -> None:
        if code != 0:
            raise PolicyError(self.function("error")().decode(errors="replace"))


class Devices:
    """What is known of the devices of an engine's ranks."""

    def __init__(self, library: Library, opener: str, *arguments: bytes | int | float | ctypes.c_void_p) -> None:
        self._library = library
        self._handle = ctypes.c_void_p()
        library.check(library.function(opener)(*arguments, ctypes.byref(self._handle)))

    @staticmethod
    def measured(library: Library, path: str) -> Devices:
        """Of a text that gem-deploy profile wrote."""
        return Devices(library, "open", os.fsencode(path))

    @staticmethod
    def equal(library: Library, count: int, tile_tokens: int, tile_s: float, expert_s: float) -> Devices:
        return Devices(library, "open_equal", count, tile_tokens, tile_s, expert_s)

    def mean(self, count: int) -> Devices:
        """As if all were alike: each the mean of these."""
        return Devices(self._library, "open_mean", self._handle, count)

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.function("close")(self._handle)

    def __len__(self) -> int:
        count: int = self._library.function("device_count")(self._handle)
        return count

    def uuids(self) -> list[str]:
        return [self._library.function("device_uuid")(self._handle, d).decode() for d in range(len(self))]

    def names(self) -> list[str]:
        return [self._library.function("device_name")(self._handle, d).decode() for d in range(len(self))]

    def clocks_hz(self) -> list[float]:
        """At which they were measured; NaN where unknown."""
        return [self._library.function("device_clock")(self._handle, d) for d in range(len(self))]

    def place(self, counts: Integers, present: Integers | None, slots_per_device: int, device_count: int, *,
              judged_steps: int = 0, devices: Sequence[int] | None = None, slowdowns: Sequence[float] | None = None,
              max_moves: int = -1, max_total_moves: int = -1, move_s: float = 0.0, horizon_steps: float = math.inf,
              iterations: int = 0, seed: int = 1) -> Placing:
        """A Placing of `counts` [step, layer, expert] from `present` [layer, slot], or None if nothing is placed."""
        counts = numpy.ascontiguousarray(counts, dtype=numpy.uint32)
        steps, layers, experts = counts.shape
        placed = numpy.empty((layers, device_count * slots_per_device), dtype=numpy.int32)
        arrays: list[numpy.typing.NDArray[numpy.generic]] = [counts, placed]  # kept alive for the call

        def pointer(values: Integers | Sequence[float] | None, kind: type[numpy.int32 | numpy.float64],
                    shape: tuple[int, ...]) -> int | None:
            if values is None:
                return None
            array = numpy.ascontiguousarray(values, dtype=kind)
            if array.shape != shape:
                raise PolicyError(f"an array has the shape {array.shape}, but must have {shape}")
            arrays.append(array)
            address: int = array.ctypes.data
            return address

        question = _Question(
            ctypes.sizeof(_Question), steps, judged_steps, layers, experts, device_count, slots_per_device,
            counts.ctypes.data, pointer(present, numpy.int32, placed.shape),
            pointer(devices, numpy.int32, (device_count,)), pointer(slowdowns, numpy.float64, (device_count,)),
            max_moves, max_total_moves, move_s, min(horizon_steps, 1e15), iterations, seed)
        answer = _Answer(ctypes.sizeof(_Answer), placed.ctypes.data)
        place = self._library.function("place")
        self._library.check(place(self._handle, ctypes.byref(question), ctypes.byref(answer)))
        return Placing(placed, answer.moves, answer.changed_layers, answer.present_s, answer.placed_s, answer.moves_s)
