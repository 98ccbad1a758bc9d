"""The mutants of mutants.txt; as a program, whether each still has its line: `mutants.py ROOT`."""

import os
import sys


def read_mutants(path):
    """Mutants from mutants.txt: a line with file and why, then a line `- old` and one `+ new`."""
    found = []
    with open(path, encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file if line.strip() and not line.startswith("#")]
    for head, old, new in zip(lines[0::3], lines[1::3], lines[2::3], strict=True):
        name, why = head.split(": ", 1)
        found.append((name, why, old.removeprefix("- "), new.removeprefix("+ ")))
    return found


def main():
    root = sys.argv[1]
    stale, found = [], read_mutants(os.path.join(root, "tests", "campaign", "mutants.txt"))
    for name, _, old, new in found:
        path = os.path.join(root, name)
        text = ""
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                text = file.read()
        if text.count(old) != 1 or old == new:
            stale.append(f"mutants.txt: {name} holds '{old}' {text.count(old)} times; once is wanted: name another line")
    print("\n".join(stale) or f"{len(found)} mutants have their line")
    sys.exit(1 if stale else 0)


if __name__ == "__main__":
    main()
