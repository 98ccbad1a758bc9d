#!/usr/bin/env bash
# Tries to break GEM for hours: kills, stalls, full disks, damaged files, random options, many devices, ranks and counts,
# other compilers, sanitizers, mutants. Not part of the tests that every change passes. What each part does:
#   tests/campaign/run.sh --list
#   tests/campaign/run.sh [--scale X] [--seed N] [--jobs N] [--build DIR] [--minutes M] [--state FILE] [--write] [PART...]
# --scale 1 is the whole campaign. What is done is kept in build/campaign.json after each unit of work (--state FILE),
# with its revision, day and machine: the same command goes on there, --again begins the named parts anew, --minutes M
# stops after M minutes. --write writes the page RESULT.md from all that is kept; it is printed in any case.
# Exit codes: 0 all is done and nothing broke, 1 something did, 2 wrong usage, 75 the time was up: some is left to do,
# 77 Python's h5py or numpy is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
for python in python3 /usr/bin/python3; do
  if "$python" -c 'import h5py, numpy' 2> /dev/null; then
    exec "$python" tests/campaign/campaign.py "$@"
  fi
done
echo "run.sh: Python with h5py and numpy is missing; on Debian and Ubuntu: apt-get install python3-h5py" >&2
exit 77
