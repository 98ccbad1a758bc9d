#!/usr/bin/python3
"""Runs the commands of a guide page as printed: the indented blocks between <!-- tested --> (or <!-- tested python -->) and
<!-- end -->, one after the other, in a folder where jobs/, analysis/ and slurm/ are those of the source tree.

    tests/guide_test.py PAGE.md --root GEM --programs FOLDER --work FOLDER"""

import argparse
import os
import re
import shutil
import subprocess
import sys

BLOCK = re.compile(r"<!-- tested(?P<kind> python)? -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)


def blocks_of(page):
    """[(kind, commands)] of a page; every line of a block is indented by four spaces or empty."""
    found = []
    for match in BLOCK.finditer(page):
        lines = match["body"].strip("\n").splitlines()
        wrong = [line for line in lines if line and not line.startswith("    ")]
        if wrong:
            raise SystemExit(f"a tested block holds a line that isn't indented: {wrong[0]}")
        found.append((match["kind"] or "", "\n".join(line[4:] for line in lines) + "\n"))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page")
    parser.add_argument("--root", required=True)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--work", required=True)
    options = parser.parse_args()
    try:
        import h5py  # noqa: F401
        import jinja2  # noqa: F401
    except ImportError as missing:
        print(f"skipped: {sys.executable} has no {missing.name}")
        sys.exit(77)
    with open(options.page, encoding="utf-8") as file:
        blocks = blocks_of(file.read())
    if not blocks:
        raise SystemExit(f"{options.page}: has no tested block")
    shutil.rmtree(options.work, ignore_errors=True)
    os.makedirs(options.work)
    for name in ("jobs", "analysis", "slurm"):
        os.symlink(os.path.join(os.path.abspath(options.root), name), os.path.join(options.work, name))
    environment = dict(
        os.environ,
        PATH=os.path.abspath(options.programs) + os.pathsep + os.environ["PATH"],
        PYTHONPATH=os.path.join(os.path.abspath(options.root), "analysis"),
        PYTHONDONTWRITEBYTECODE="1",
        # Open MPI: as root, in a container, more ranks than cores. Other MPIs don't look at these.
        OMPI_ALLOW_RUN_AS_ROOT="1",
        OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
        OMPI_MCA_rmaps_base_oversubscribe="1",
        OMPI_MCA_hwloc_base_binding_policy="none",
        OMPI_MCA_btl="self,vader",
        OMPI_MCA_btl_vader_single_copy_mechanism="none",
    )
    for kind, commands in blocks:
        command = [sys.executable, "-c", commands] if kind else ["bash", "-euo", "pipefail", "-c", commands]
        done = subprocess.run(command, cwd=options.work, env=environment, text=True, capture_output=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"ended with {done.returncode}:\n{commands}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        wide = [line for line in done.stdout.splitlines() if len(line) > 80 and "/" not in line]
        if wide and not kind:
            print(f"note: wider than 80 columns: {wide[0]}")
    print(f"{len(blocks)} blocks of {options.page} ran")


if __name__ == "__main__":
    main()
