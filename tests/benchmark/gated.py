"""Runs an adapter to an engine's kernel (python3 gated.py MODULE), for engine_kernels.sh: imports what takes seconds,
but leaves the device alone until the file that GEM_GATE names is there. If that holds anything, nothing runs."""
import argparse
import importlib
import os
import runpy
import sys
import time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("module", metavar="MODULE")
parser.add_argument("arguments", metavar="...", nargs=argparse.REMAINDER, help="the adapter's own")
module, gate = parser.parse_args().module, os.environ.get("GEM_GATE")
for name in ("numpy",) if module.endswith(".numpy") else ("torch", "triton", "triton.language"):
    try:
        importlib.import_module(name)
    except ImportError:
        pass  # the adapter says what is missing
if gate:
    while not os.path.exists(gate):
        time.sleep(0.01)
    if os.path.getsize(gate):
        sys.exit("time is up before this one's turn")
sys.argv[:2] = [module]
runpy.run_module(module, run_name="__main__", alter_sys=True)
