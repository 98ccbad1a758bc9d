"""What can go wrong, as one sentence each, with the exit codes of every gem program (src/base/error.hpp)."""


class GemError(Exception):
    """A sentence that names file and field, says what was found and what to do."""

    exit_code = 4


class UsageError(GemError):
    """The program was called wrongly."""

    exit_code = 2


class DataError(GemError):
    """A file holds something else than it should."""

    exit_code = 3


class SystemFailure(GemError):
    """The machine failed us: disk full, no permission, a package missing."""

    exit_code = 4


class NotDrawn(Exception):
    """A picture lacks what it needs; the message says what, for the list of what is missing."""
