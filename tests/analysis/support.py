"""What the tests of analysis/ share."""

import contextlib
import io
import os
import shutil
import sys
import tempfile
import unittest

SKIPPED = 77  # SKIP_RETURN_CODE in CMakeLists.txt

try:
    import h5py  # noqa: F401
    import jinja2  # noqa: F401
    import matplotlib  # noqa: F401
    import numpy  # noqa: F401
except ImportError as missing:
    print(f"skipped: {sys.executable} has no {missing.name}; install python3-{missing.name}")
    sys.exit(SKIPPED)

from gem_analysis.__main__ import main

RESULTS = os.environ["GEM_ANALYSIS_RESULTS"]


def result(*parts):
    """Path of a file that make_results.py made."""
    return os.path.join(RESULTS, *parts)


def printed(*parts):
    """What a program printed when it made the results."""
    with open(result(*parts), encoding="utf-8") as file:
        return file.read()


def table_rows(text, first_cells):
    """{first cell: cells} of the lines of a printed table that begin with one of these words."""
    rows = {}
    for line in text.splitlines():
        cells = line.split()
        if cells and cells[0] in first_cells:
            rows.setdefault(cells[0], cells)
    return rows


class TestCase(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="gem_analysis_test_")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def copy(self, *parts):
        """A copy of a result in this test's folder."""
        return shutil.copy(result(*parts), self.path(parts[-1]))

    def run_program(self, *arguments):
        """-> exit code, standard output, standard error"""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
        return code, out.getvalue(), err.getvalue()

    def page_of(self, *paths):
        code, out, err = self.run_program("report", *paths, "-o", self.path("page.html"))
        self.assertEqual((code, err), (0, ""))
        self.assertIn("page.html", out)
        with open(self.path("page.html"), encoding="utf-8") as file:
            return file.read()
