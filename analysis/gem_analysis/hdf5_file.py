"""Checked access to one HDF5 file of GEM: every refusal names file, field, what was found and what to do."""

import errno
import os
import stat
import zlib
from types import TracebackType
from typing import NoReturn, TypeAlias, TypeVar, overload

import h5py
import numpy as np

from .errors import DataError, SystemFailure

# Deflate shrinks at most 1032 times; a dataset that claims more lies about its size.
GREATEST_COMPRESSION = 1100
BYTE_SLACK = 64 << 20
# Programs end their files so, behind the last byte that HDF5 knows of; files of earlier versions have no such end, and
# those that others have changed lose it.
SEAL_START = b"\nGEM checksum crc32 "
SEAL_BYTES = len(SEAL_START) + 9

Array: TypeAlias = np.ndarray  # of numbers
Shape = tuple[int | None, ...]  # the length that a dimension must have, or None for any


class _Required:
    """Stands for no default."""


_REQUIRED = _Required()
Value = TypeVar("Value", str, int)


def _seal_is_broken(path: str) -> bool:
    """Whether a file ends with a checksum that is not that of what stands before it."""
    with open(path, "rb") as file:
        left = os.fstat(file.fileno()).st_size - SEAL_BYTES
        file.seek(max(0, left))
        seal = file.read()
        if left < 0 or not seal.startswith(SEAL_START):
            return False
        file.seek(0)
        checksum = 0
        while left > 0 and (part := file.read(min(left, 1 << 24))):
            checksum = zlib.crc32(part, checksum)
            left -= len(part)
    return seal != SEAL_START + f"{checksum:08x}\n".encode()


class Hdf5File:
    """A file opened for reading; use it in a `with` statement. DataError if it is not a whole HDF5 file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = str(path)
        self._byte_limit = GREATEST_COMPRESSION * self._size_of_regular_file() + BYTE_SLACK
        if not h5py.is_hdf5(self.path):
            self.reject("is not an HDF5 file (or its beginning is damaged); give a file that GEM wrote")
        if _seal_is_broken(self.path):
            self.reject("is damaged (its checksum is not that of its content); copy or make it again")
        try:
            self._file = h5py.File(self.path, "r", locking=False)
        except OSError as error:
            self.reject(f"is truncated or damaged (HDF5: {_first_line(error)}); copy or make it again")

    def __enter__(self) -> "Hdf5File":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def reject(self, what: str) -> NoReturn:
        raise DataError(f"{self.path}: {what}")

    def _size_of_regular_file(self) -> int:
        try:
            status = os.stat(self.path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                self.reject("there is no such file; check the name")
            raise SystemFailure(f"cannot read {self.path}: {error.strerror}") from None
        if not stat.S_ISREG(status.st_mode):
            self.reject("is not a regular file; give a file that GEM wrote")
        if not os.access(self.path, os.R_OK):
            raise SystemFailure(f"cannot read {self.path}: permission denied; check its permissions")
        if status.st_size == 0:
            self.reject("is empty, not an HDF5 file; make it again")
        return status.st_size

    # Attributes

    @overload
    def text_attribute(self, name: str, default: str | _Required = ...) -> str: ...
    @overload
    def text_attribute(self, name: str, default: None) -> str | None: ...
    def text_attribute(self, name: str, default: str | _Required | None = _REQUIRED) -> str | None:
        """A text; DataError if it is missing and there is no default, or no text."""
        value = self._attribute(name)
        if value is None:
            return self._default_of(name, default)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if not isinstance(value, str):
            self.reject(f"attribute '{name}' is {value!r}, but must be a text; make the file again")
        return value

    def text_or_number_attribute(self, name: str) -> str:
        """A text, or a number as text."""
        value = self._attribute(name)
        return f"{value:g}" if isinstance(value, (np.number, int, float)) else self.text_attribute(name)

    @overload
    def count_attribute(self, name: str, least: int = ..., default: int | _Required = ...) -> int: ...
    @overload
    def count_attribute(self, name: str, least: int = ..., *, default: None) -> int | None: ...
    def count_attribute(self, name: str, least: int = 0, default: int | _Required | None = _REQUIRED) -> int | None:
        """A whole number, `least` or more."""
        value = self._attribute(name)
        if value is None:
            return self._default_of(name, default)
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
            self.reject(
                f"attribute '{name}' is {value!r}, but must be a whole number, {least} or more; make the file again"
            )
        return int(value)

    def _default_of(self, name: str, default: Value | _Required | None) -> Value | None:
        if isinstance(default, _Required):
            self.reject(f"attribute '{name}' is missing; make the file again")
        return default

    def _attribute(self, name: str) -> object:
        """None where the file has none."""
        try:
            if name in self._file.attrs:
                value = self._file.attrs[name]
                return value.flat[0] if isinstance(value, np.ndarray) and value.size == 1 else value
        except (OSError, RuntimeError, TypeError, ValueError, KeyError) as error:
            self.reject(f"attribute '{name}' cannot be read (HDF5: {_first_line(error)}); make the file again")
        return None

    # Datasets

    def has(self, name: str) -> bool:
        """Whether the dataset is in this file; links into other files do not count."""
        try:
            link = self._file.get(name, getlink=True)
            return isinstance(link, h5py.HardLink) and isinstance(self._file[name], h5py.Dataset)
        except (OSError, RuntimeError, KeyError):
            return False

    def numbers(self, name: str, shape: Shape) -> Array:
        """A dataset of numbers. `shape` has one entry a dimension: the length that it must have, or None for any."""
        dataset = self._dataset(name, shape)
        if dataset.dtype.kind not in "iuf":
            self.reject(f"{name} holds {dataset.dtype}, but must hold numbers; make the file again")
        return self._read(name, dataset)

    def times(self, name: str, shape: Shape, unknown_allowed: bool = False) -> Array:
        """A dataset of seconds, none negative, none infinite, and NaN only where that may be."""
        values = self.numbers(name, shape)
        units = self._file[name].attrs.get("units", "s")
        if units not in ("s", "second", "seconds"):
            self.reject(f"{name} is in units of {units!r}, but must be in 's'; convert it")
        good = (values >= 0.0) & np.isfinite(values)
        if unknown_allowed:
            good |= np.isnan(values)
        self.check(name, values, good, "0 or more seconds" + (", or NaN where unknown" if unknown_allowed else ""))
        return values

    def texts(self, name: str, count: int | None) -> list[str]:
        """`count` texts."""
        dataset = self._dataset(name, (count,))
        if h5py.check_string_dtype(dataset.dtype) is None:
            self.reject(f"{name} holds {dataset.dtype}, but must hold texts; make the file again")
        return [
            text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
            for text in self._read(name, dataset)
        ]

    def check(self, name: str, values: Array, good: Array, must_hold: str) -> None:
        """DataError for the first value that is not good, saying where it is."""
        if np.all(good):
            return
        position = np.unravel_index(int(np.argmin(good)), values.shape)
        where = ", ".join(str(int(index)) for index in position)
        self.reject(f"{name} holds {values[position]:.9g} at [{where}], but must hold {must_hold}; make the file again")

    def _dataset(self, name: str, shape: Shape) -> h5py.Dataset:
        if not self.has(name):
            self.reject(f"dataset {name} is missing; make the file again")
        dataset = self._file[name]
        fits = (
            dataset.shape is not None
            and len(dataset.shape) == len(shape)
            and all(found == wanted if wanted is not None else found > 0 for found, wanted in zip(dataset.shape, shape))
        )
        if not fits:
            wanted = ", ".join("any" if length is None else str(length) for length in shape)
            self.reject(
                f"{name} has extents {list(dataset.shape or [])}, but must have [{wanted}]; make the file again"
            )
        if dataset.size * dataset.dtype.itemsize > self._byte_limit:
            self.reject(
                f"{name} claims extents {list(dataset.shape)}, more than a file of this size can hold; make it again"
            )
        return dataset

    def _read(self, name: str, dataset: h5py.Dataset) -> Array:
        try:
            return np.asarray(dataset[...])
        except (OSError, RuntimeError, TypeError, ValueError, KeyError) as error:
            self.reject(f"{name} cannot be read (HDF5: {_first_line(error)}); copy or make the file again")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
