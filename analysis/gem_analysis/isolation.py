"""Calls a function in a child process: some damaged files crash the HDF5 library itself or keep it busy for ever, and
that has to end in a sentence too."""

import os
import pickle
import signal
import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

from .errors import DataError, GemError

TIME_LIMIT_S = 120

Result = TypeVar("Result")


def call_apart(function: Callable[[str], Result], path: str) -> Result:
    """function(path), or the GemError that it raised; DataError if the child died or took too long."""
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(function, path, reading, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if status != 0 or not answer:
        how = (
            "takes for ever"
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
            else "crashes the HDF5 library"
        )
        raise DataError(f"{path}: is damaged so that reading it {how}; copy or make it again")
    result: Result | GemError = pickle.loads(answer)
    if isinstance(result, GemError):
        raise result
    return result


def _answer(function: Callable[[str], Result], path: str, reading: int, writing: int) -> NoReturn:
    """The child's part; does not return."""
    status = 1
    try:
        os.close(reading)
        signal.alarm(TIME_LIMIT_S)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the crash's own words help nobody
        try:
            result: Result | GemError = function(path)
        except GemError as error:
            result = error
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(result, pipe, protocol=pickle.HIGHEST_PROTOCOL)
        status = 0
    finally:
        os._exit(status)
