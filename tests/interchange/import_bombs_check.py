#!/usr/bin/env python3
"""Imports small files that would take gigabytes: each is refused in one sentence, with a gigabyte of memory and soon.

    import_bombs_check.py GEM_TRACE
"""

import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import zipfile

MOST_BYTES = 1 << 30


def refuse(gem_trace, path, words):
    output = path + ".h5"
    done = subprocess.run(
        [gem_trace, "import", "--input", path, "--output", output, "--top-k", "2"],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES)),
    )
    assert done.returncode == 3 and words in done.stderr and done.stderr.count("\n") == 1, (
        f"{os.path.basename(path)}: code {done.returncode}: {done.stderr[-300:]}"
    )
    assert not os.path.exists(output)
    print(f"{os.path.basename(path)}: {os.path.getsize(path)} bytes, refused", flush=True)


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value


def pickled(path, *opcodes):
    """A .pt file with a pickle of these opcodes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + b"".join(opcodes) + b".")
    return path


def check_pickles(gem_trace, folder):
    """Pickles that refer to a long part of them again and again, or have a value in every byte."""
    storage = b"(" + text(b"storage") + b"ctorch\nLongStorage\n"
    small = storage + text(b"0") + text(b"cpu") + b"K\x01tQq\x00"
    extents = b"(" + b"K\x01" * 100000 + b"tq\x01"
    call = b"ctorch._utils\n_rebuild_tensor_v2\nq\x02(h\x00K\x00h\x01h\x01tq\x03"
    path = pickled(os.path.join(folder, "extents.pt"), small, extents, call, b"]" + b"h\x02h\x03Ra" * 3000)
    refuse(gem_trace, path, "a tensor without extents, or with far too many")
    long = text(b"x" * (1 << 20))
    path = pickled(os.path.join(folder, "names.pt"), storage, long, text(b"cpu"), b"K\x01tq\x00](", b"h\x00Q" * 5000, b"e")
    refuse(gem_trace, path, "a name of absurd length")
    path = pickled(os.path.join(folder, "texts.pt"), b"](", long, b"q\x00", b"h\x00" * 5000, b"e")
    refuse(gem_trace, path, "holds too many values")
    path = pickled(os.path.join(folder, "lists.pt"), b"(" + b"]" * (15 << 20) + b"t")
    refuse(gem_trace, path, "more values than are read")


def check_json(gem_trace, folder):
    """A long name stands in the place of each value in it."""
    path = os.path.join(folder, "names.json")
    with open(path, "w", encoding="ascii") as file:
        json.dump({"k" * 300000: [{"a": 1}] * 20000}, file)
    refuse(gem_trace, path, "names.json: ")


def check_endless(gem_trace, folder):
    """A pipe that nobody writes to, and a line without end."""
    for ending in ("json", "jsonl", "csv", "npy", "npz", "pt"):
        path = os.path.join(folder, "pipe." + ending)
        os.mkfifo(path)
        refuse(gem_trace, path, "is not a regular file")
    path = os.path.join(folder, "line.jsonl")
    with open(path, "wb") as file:
        file.truncate(64 << 30)  # a hole
    refuse(gem_trace, path, "is longer than 64 MiB")


def main():
    with tempfile.TemporaryDirectory() as folder:
        check_pickles(sys.argv[1], folder)
        check_json(sys.argv[1], folder)
        check_endless(sys.argv[1], folder)


if __name__ == "__main__":
    main()
