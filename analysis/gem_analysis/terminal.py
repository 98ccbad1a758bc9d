"""What is printed: at most 80 columns wide on a terminal; whole lines and Markdown in files and pipes, to paste and search."""

import sys
import textwrap
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from .tables import Table

WIDTH = 80
# Names of files, and texts in them, may have control characters, which a terminal would obey, and bytes that are no text.
SHOWN_CONTROLS = {
    code: f"\\x{code & 0xFF:02x}"
    for code in (*range(32), *range(127, 160), *range(0xDC80, 0xDD00))
    if chr(code) not in "\t\n"
}


def said(sentence: str, stream: TextIO | None = None) -> str:
    """A sentence as the stream (default: standard output) takes it, without the last line break."""
    stream = stream if stream is not None else sys.stdout
    if not stream.isatty():
        return sentence
    return textwrap.fill(sentence, WIDTH, break_long_words=False, break_on_hyphens=False)


def shown(table: "Table") -> str:
    """A table as standard output takes it."""
    return table.fitted(WIDTH) if sys.stdout.isatty() else table.text


def say(text: str, stream: TextIO | None = None) -> None:
    """Prints a text, on standard output by default."""
    print(text.translate(SHOWN_CONTROLS), file=stream if stream is not None else sys.stdout)


def complain(sentence: object) -> None:
    """An error or a warning, on standard error."""
    say(said(f"gem-analysis: {sentence}", sys.stderr), sys.stderr)
