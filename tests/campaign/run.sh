#!/usr/bin/env bash
# Tries to break GEM for hours: kills, stalls, full disks, damaged files, random options, many devices, ranks and counts,
# other compilers, sanitizers, mutants. Not part of the tests that every change passes. What each part does:
#   tests/campaign/run.sh --list
#   tests/campaign/run.sh [--scale X] [--seed N] [--build DIR] [PART...]
# --scale 1 is the whole campaign, 0.02 about five minutes on two cores without the parts that build. Without names all
# parts run. The result is written to tests/campaign/RESULT.md if all parts were asked for, else printed alone.
# Exit codes: 0 nothing broke, 1 something did, 2 wrong usage.
set -euo pipefail
cd "$(dirname "$0")/../.."
for python in python3 /usr/bin/python3; do
  if "$python" -c 'import h5py, numpy' 2> /dev/null; then
    exec "$python" tests/campaign/campaign.py "$@"
  fi
done
echo "run.sh: Python with h5py and numpy is missing; on Debian and Ubuntu: apt-get install python3-h5py" >&2
exit 2
