"""What is printed: at most 80 columns wide on a terminal; whole lines and Markdown in files and pipes, to paste and search."""

import sys
import textwrap

WIDTH = 80


def said(sentence, stream=None):
    """A sentence as the stream (default: standard output) takes it, without the last line break."""
    stream = stream if stream is not None else sys.stdout
    if not stream.isatty():
        return sentence
    return textwrap.fill(sentence, WIDTH, break_long_words=False, break_on_hyphens=False)


def shown(table):
    """A table as standard output takes it."""
    return table.fitted(WIDTH) if sys.stdout.isatty() else table.text


def complain(sentence):
    """An error or a warning, on standard error."""
    print(said(f"gem-analysis: {sentence}", sys.stderr), file=sys.stderr)
