#!/usr/bin/python3
"""Pages of the repository: the README has at most 150 lines, and every link and every file in backticks is there.

    tests/pages_test.py ROOT"""

import os
import re
import sys

LONGEST_README = 150
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
FILE = re.compile(r"`((?:jobs|src|analysis|slurm|tests|kernels)/[\w./-]+\.(?:md|sh|py|toml|csv|h5|cpp|hpp))`")


def main():
    root = sys.argv[1]
    problems, pages = [], 0
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith((".", "build")) and name != "results"]
        for name in names:
            if not name.endswith(".md"):
                continue
            pages += 1
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8") as file:
                text = file.read()
            targets = [os.path.join(folder, target) for target in LINK.findall(text)]
            targets += [os.path.join(root, target) for target in FILE.findall(text)]
            problems += [f"{path}: {target} is not there" for target in targets if not os.path.exists(target)]
    with open(os.path.join(root, "README.md"), encoding="utf-8") as file:
        lines = sum(1 for _ in file)
    if lines > LONGEST_README:
        problems.append(f"README.md has {lines} lines; at most {LONGEST_README} are read")
    print("\n".join(problems) or f"{pages} pages are good")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
