#!/usr/bin/python3
"""Runs the commands of a page as printed, one block of indented lines after the other, in a folder where jobs/, analysis/,
slurm/ and kernels/ are those of the source tree. A mark, which readers don't see, stands at the end of the last line before
each block that holds a command:

    <!-- tested -->                      the block is run by bash; what it exports holds in the blocks that follow
    <!-- tested python -->               it is run by Python
    <!-- tested, stand-ins: sbatch -->   it is run where these programs only say that they were called
    <!-- printed -->                     its lines were printed by the block before
    <!-- not run: a GPU -->              what is missing here
    <!-- given: COMMANDS -->             (anywhere) run at that place by bash: files that a reader has by then

    tests/guide_test.py PAGE.md --root GEM --programs FOLDER --work FOLDER
    tests/guide_test.py --marks ROOT     whether every block of the guides that holds a command has a mark"""

import argparse
import os
import re
import shutil
import subprocess
import sys

GUIDES = ("README.md", "jobs/README.md", "analysis/README.md", "slurm/README.md", "kernels/engines/README.md",
          "src/policy/README.md", "src/device/command/README.md", "CONTRIBUTING.md", "tests/campaign/README.md")
MARK = re.compile(r"<!-- (tested|not run: |printed)(.*?) -->$")
GIVEN = re.compile(r"<!-- given: (.*?) -->", re.DOTALL)
COMMAND = re.compile(r"(\w+=\S+ )*(gem-|mpirun|srun|export|cmake|cpack|pip|python3|vllm|apptainer|spack|cp |mkdir|printf|for "
                     r"|(tests|jobs|slurm|analysis)/[\w/.-]+)")
FOLDERS = {"jobs": False, "analysis": False, "kernels": False, "slurm": True}  # whether a copy, which a page may write to
STAND_IN = """#!/bin/sh
# Says that it was called; a job's number is what --parsable asks for. The last file named has to be there.
for word; do case $word in -*) ;; *.sbatch) [ -e "$word" ] || { echo "$word is not there" >&2; exit 1; } ;; esac; done
case " $* " in *" --parsable "*) echo 1 ;; esac
"""


class Block:
    """A step of a page: `kind` is tested, python, printed, given, not run, or empty where no mark stands."""

    def __init__(self, kind, text, stand_ins=()):
        self.kind, self.text, self.stand_ins = kind, text, stand_ins


def block_of(mark, lines):
    text = "\n".join(line[4:] for line in lines).strip("\n") + "\n"
    if mark is None:
        return Block("", text)
    word, rest = mark
    if word != "tested":
        return Block(word.rstrip(": "), text)
    stand_ins = rest.partition("stand-ins:")[2].replace(",", " ").split()
    return Block("python" if rest.strip() == "python" else "tested", text, stand_ins)


def blocks_of(page):
    """The page's blocks of lines that are indented by four spaces after an empty line, and what is given between them."""
    found, lines, mark, previous = [], [], None, ""
    text = GIVEN.sub(lambda match: "\0" + match[1].replace("\n", "\1"), page)
    for line in [*text.splitlines(), ""]:
        indented = line.startswith("    ") and (lines or not previous.strip())
        if indented or (lines and not line.strip()):
            lines.append(line)
        else:
            if lines:
                found.append(block_of(mark, lines))
                lines, mark = [], None
            if "\0" in line:
                found.append(Block("given", line.partition("\0")[2].replace("\1", "\n") + "\n"))
            elif line.strip():
                match = MARK.search(line)
                mark = (match[1], match[2]) if match else None
        previous = line
    if lines:
        found.append(block_of(mark, lines))
    return found


def holds_command(block):
    return any(COMMAND.match(line) and "─" not in line for line in block.text.splitlines())


def check_marks(root):
    problems, marked = [], 0
    for page in GUIDES:
        with open(os.path.join(root, page), encoding="utf-8") as file:
            blocks = blocks_of(file.read())
        for block in blocks:
            if not block.kind and holds_command(block):
                problems.append(f"{page}: a block has neither <!-- tested --> nor <!-- not run: WHY -->: {block.text}")
            marked += block.kind in ("tested", "python")
    print("\n".join(problems) or f"{marked} blocks are run, all others say why not")
    sys.exit(1 if problems else 0)


def prepare(options, blocks):
    shutil.rmtree(options.work, ignore_errors=True)
    os.makedirs(os.path.join(options.work, ".stand-ins"))
    for name, copied in FOLDERS.items():
        place = shutil.copytree if copied else os.symlink
        place(os.path.join(os.path.abspath(options.root), name), os.path.join(options.work, name))
    for name in {name for block in blocks for name in block.stand_ins}:
        path = os.path.join(options.work, ".stand-ins", name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(STAND_IN)
        os.chmod(path, 0o755)


def run(block, options, environment):
    if block.kind == "python":
        command = [sys.executable, "-c", block.text]
    else:
        around = f"[ ! -e .exported ] || . ./.exported\n{block.text}\nexport -p | grep -v ' PATH=' > .exported"
        command = ["bash", "-euo", "pipefail", "-c", around]
    path = environment["PATH"]
    if block.stand_ins:
        path = os.path.join(os.path.abspath(options.work), ".stand-ins") + os.pathsep + path
    done = subprocess.run(command, cwd=options.work, env=dict(environment, PATH=path), text=True, capture_output=True,
                          check=False)
    if done.returncode != 0:
        raise SystemExit(f"ended with {done.returncode}:\n{block.text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", nargs="?")
    parser.add_argument("--root")
    parser.add_argument("--programs")
    parser.add_argument("--work")
    parser.add_argument("--marks", metavar="ROOT")
    options = parser.parse_args()
    if options.marks:
        check_marks(options.marks)
    try:
        import h5py  # noqa: F401
        import jinja2  # noqa: F401
    except ImportError as missing:
        print(f"skipped: {sys.executable} has no {missing.name}")
        sys.exit(77)
    with open(options.page, encoding="utf-8") as file:
        blocks = blocks_of(file.read())
    if not any(block.kind in ("tested", "python") for block in blocks):
        raise SystemExit(f"{options.page}: has no tested block")
    prepare(options, blocks)
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
    printed, count = "", 0
    for block in blocks:
        if block.kind == "printed":
            lines = [line.strip() for line in printed.splitlines()]
            for line in block.text.splitlines():
                if line.strip() not in lines:
                    raise SystemExit(f"{options.page} shows a line that isn't printed:\n{line}\n{printed}")
        elif block.kind in ("tested", "python", "given"):
            printed = run(block, options, environment)
            count += block.kind != "given"
            # Sentences are broken on a terminal; tables and commands are laid out already.
            wide = [line for line in printed.splitlines() if len(line) > 80 and "  " in line and "/" not in line]
            if wide and block.kind == "tested":
                raise SystemExit(f"{options.page}: a command prints a line wider than 80 columns:\n{wide[0]}")
    print(f"{count} blocks of {options.page} ran")


if __name__ == "__main__":
    main()
