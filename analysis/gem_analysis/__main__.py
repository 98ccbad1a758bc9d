"""The command line: gem-analysis report FOLDER|FILES [-o report.html], replays FOLDER, or spread A.h5 B.h5."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from . import __version__
from .errors import DataError, GemError, SystemFailure, UsageError
from .terminal import complain, say
from .whole_file import temporary_name

EPILOG = """\
examples:
  gem-analysis report results/ -o report.html
  gem-analysis report profile.h5
  gem-analysis report results/ --format pdf -o figures/ --layer 11
  gem-analysis replays results/one-host
  gem-analysis spread profile.h5 profile-again.h5

Exit codes: 0 good, 2 wrong usage, 3 bad data (of a folder with some
bad files, the rest is drawn), 4 the system failed.
"""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see --help")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="gem-analysis",
        description="Pictures and a report of what GEM's programs wrote.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="report|replays|spread")
    report = commands.add_parser(
        "report",
        help="one HTML file, or each picture as a file",
        epilog=EPILOG,
        description="Draws a folder of results, or the files given: a page that opens anywhere,\n"
        "or pictures for a paper.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    report.add_argument("results", nargs="+", metavar="PATH", help="a folder of results, or .h5 files of GEM")
    report.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        help="file of the page, or folder of the pictures (default: report.html or figures, beside the results)",
    )
    report.add_argument(
        "--format",
        choices=("html", "png", "pdf", "svg"),
        default="html",
        help="html: the page; else each picture as a file of this kind, for papers",
    )
    report.add_argument("--layer", type=int, metavar="ID", help="layer of pictures of one layer (not for html)")
    report.add_argument("--step", type=int, metavar="N", help="step of pictures of one step (not for html)")
    report.add_argument("--quiet", action="store_true", help="print nothing but errors")
    replays = commands.add_parser(
        "replays",
        help="one table of many replays",
        description="Prints one Markdown table of every report.h5 below a folder, as slurm/one-host.sh leaves them.",
    )
    replays.add_argument("folder", metavar="FOLDER", help="a folder of results")
    replays.add_argument(
        "--short",
        action="store_true",
        help="one row for each workload and one column for each setting, with ratios only",
    )
    spread = commands.add_parser(
        "spread",
        help="how unequal devices are, and how repeatably",
        description="Compares two profiles of the same devices and loads: their speeds in both, the spread, whether the "
        "devices can be told apart, whether the same ones are slow again, and what that is worth.",
    )
    spread.add_argument("first", metavar="FIRST", help="a profile")
    spread.add_argument(
        "second", metavar="SECOND", nargs="?", help="another of the same sweep (default: the first alone)"
    )
    for command in (report, replays, spread):
        forms = command.add_mutually_exclusive_group()
        forms.add_argument("--json", action="store_true", help="print what was found as one JSON object")
        forms.add_argument("--csv", action="store_true", help="print it as tables of comma-separated values")
    parser.add_argument("--version", action="version", version=f"gem-analysis (GEM {__version__})")
    return parser.parse_args(arguments)


def write_whole(path: str, text: str) -> None:
    """Under a temporary name, renamed when whole."""
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with temporary_name(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SystemFailure(f"cannot write {path}: {error.strerror}; choose another --output") from None


def size_text(count: float) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def print_result(
    options: argparse.Namespace, record: Callable[[], dict[str, object]], text: Callable[[], None]
) -> None:
    """What was found, in the form that was asked for; both are functions without arguments."""
    if options.json:
        print(json.dumps({"program": "gem-analysis", "version": __version__, **record()}))
    elif options.csv:
        from .csv_tables import csv_text

        print(csv_text(record()), end="")
    else:
        text()


def run(options: argparse.Namespace) -> int:
    try:
        import h5py

        from .results import collect
        from .spread import spread_record, spread_text
    except ImportError as error:
        raise SystemFailure(
            f"{sys.executable} has no {error.name}; install python3-numpy and python3-h5py (Debian, Ubuntu) "
            "or use another Python"
        ) from None
    if options.command == "replays":
        from .replays import replay_records, replay_text

        print_result(
            options,
            lambda: {"replays": replay_records(options.folder)},
            lambda: say(replay_text(options.folder, options.short)),
        )
        return 0
    if options.command == "spread":
        print_result(
            options,
            lambda: spread_record(options.first, options.second),
            lambda: say(spread_text(options.first, options.second)),
        )
        return 0
    if options.format == "html" and not (options.layer is None and options.step is None):
        raise UsageError("--layer and --step choose for --format png, pdf or svg; the page shows all")
    results = collect(options.results)
    for problem in results.problems:
        complain(problem)
    if options.format == "html":
        from .page import render

        output = options.output or os.path.join(results.origin, "report.html")
        if os.path.isdir(output):
            output = os.path.join(output, "report.html")
        if os.path.isfile(output) and h5py.is_hdf5(output):
            raise UsageError(f"writing {output} would destroy a file of results; choose another --output")
        text = render(results)
        write_whole(output, text)
        written = f"Report: {output} ({size_text(len(text.encode()))})"
    else:
        from .paper import draw_files

        output = options.output or os.path.join(results.origin, "figures")
        count = draw_files(results, output, options.format, {"layer": options.layer, "step": options.step})
        written = f"Pictures: {count} in {output}"
    print_result(
        options,
        lambda: {"written": output, "problems": results.problems},
        lambda: None if options.quiet else say(written),
    )
    return DataError.exit_code if results.problems else 0


def main(arguments: list[str] | None = None) -> int:
    try:
        return run(parse(arguments))
    except GemError as error:
        complain(error)
        return error.exit_code
    except BrokenPipeError:  # who reads has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SystemFailure.exit_code
    except KeyboardInterrupt:
        complain("ended from outside; what was not finished is not written: start again")
        return SystemFailure.exit_code


if __name__ == "__main__":
    sys.exit(main())
