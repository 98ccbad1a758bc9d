#!/usr/bin/python3
"""Every GEM command that a page prints, in blocks and in the text, has options that its program knows.

    tests/printed_commands_test.py ROOT --programs FOLDER"""

import argparse
import functools
import os
import re
import subprocess
import sys

INLINE = re.compile(r"`([^`\n]*\bgem-[^`\n]*)`")
COMMANDS = {"gem-trace": {"import", "batch", "synthesize", "describe", "split"},
            "gem-deploy": {"export", "import", "moves", "permute", "profile", "check"},
            "gem-profile": set(), "gem-map": set(), "gem-verify": set(), "gem-batch": set(), "gem-adapt": set()}
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z0-9-]+)")


def pages_of(root):
    """All pages but the changelog, which tells of what was, too."""
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith((".", "build")) and name != "results"]
        yield from (os.path.join(folder, name) for name in names if name.endswith(".md") and name != "CHANGELOG.md")


def printed(text):
    """Lines of blocks, with what they go on with, and what stands in backticks."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [line[4:] for line in joined.splitlines() if line.startswith("    ")] + INLINE.findall(text)


def calls(line):
    """[(program and command, options)] of a line: up to where the next command begins, or a remark."""
    found = []
    for part in re.split(r"[;|&)]| # ", line):
        words = part.split()
        at = next((index for index, word in enumerate(words) if os.path.basename(word) in COMMANDS), None)
        if at is None:
            continue
        program = os.path.basename(words[at])
        command = words[at + 1] if len(words) > at + 1 and words[at + 1] in COMMANDS[program] else ""
        if command or not COMMANDS[program]:
            found.append((f"{program} {command}".strip(), OPTION.findall(" ".join(words[at + 1 :]))))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root")
    parser.add_argument("--programs", required=True)
    options = parser.parse_args()

    @functools.cache
    def known(call):
        program, *command = call.split()
        done = subprocess.run([os.path.join(options.programs, program), *command, "--help"], capture_output=True, text=True,
                              check=True)
        return set(OPTION.findall(done.stdout)) | {"--help"}

    problems, count = [], 0
    for page in pages_of(options.root):
        with open(page, encoding="utf-8") as file:
            text = file.read()
        for call, words in [found for line in printed(text) for found in calls(line)]:
            count += 1
            problems += [f"{page}: {call} has no option {word}" for word in words if word not in known(call)]
    print("\n".join(sorted(set(problems))) or f"{count} printed commands have options that there are")
    sys.exit(1 if problems or count == 0 else 0)


if __name__ == "__main__":
    main()
