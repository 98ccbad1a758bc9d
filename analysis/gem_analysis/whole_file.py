"""Files that are there whole or not at all, as GEM's programs write them."""

import contextlib
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator

_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LONGEST_NAME = 255  # of most file systems, bytes


def _sweep_up(folder: str, beginning: str) -> None:
    """Removes what killed runs left of this file; who writes one holds a lock on it."""
    for name in os.listdir(folder):
        if not re.fullmatch(re.escape(beginning) + r"[0-9a-z]{12}\.tmp", name):
            continue
        with contextlib.suppress(OSError):
            descriptor = os.open(os.path.join(folder, name), os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(os.path.join(folder, name))
            finally:
                os.close(descriptor)


@contextlib.contextmanager
def temporary_name(path: str, locked: bool = True) -> Iterator[str]:
    """A name that can't be foreseen, of a file beside `path` that takes its place when all went well; else it is removed.
    A link is written through, only a regular file is replaced, and it keeps its mode. Not `locked` for who locks the file
    by itself, as HDF5 does. OSError for what can't be."""
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    mode = None
    if os.path.lexists(target):
        found = os.stat(target).st_mode
        if not stat.S_ISREG(found):
            raise OSError(0, "it is not a regular file")
        mode = stat.S_IMODE(found) & 0o777
    beginning = os.fsdecode(os.fsencode(name)[: _LONGEST_NAME - 21]) + ".gem-"
    _sweep_up(folder, beginning)
    temporary = os.path.join(folder, beginning + "".join(secrets.choice(_LETTERS) for _ in range(12)) + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    try:
        with contextlib.suppress(OSError):  # a file system may know no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX if locked else fcntl.LOCK_UN)
        if mode is not None:
            os.fchmod(descriptor, mode)
        yield temporary
        os.replace(temporary, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        os.close(descriptor)
