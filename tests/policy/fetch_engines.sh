#!/usr/bin/env bash
# fetch_engines.sh FOLDER: vLLM's and SGLang's own files for the tests of the
# policy, by pip into FOLDER (30 MB; the wheels, 370 MB, are removed again).
# Then: cmake -DGEM_POLICY_ENGINES=FOLDER -DGEM_POLICY_PYTHON=PYTHON, a Python
# with PyTorch.
set -euo pipefail
[ $# = 1 ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
mkdir -p "$1"
wheels=$(mktemp -d "$1/wheels.XXXXXX")
trap 'rm -rf "$wheels"' EXIT
python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$wheels" vllm==0.33.0 sglang==0.5.23
for wheel in "$wheels"/*.whl; do
  python3 - "$wheel" "$1" <<'PYTHON'
import sys
import zipfile

wheel = zipfile.ZipFile(sys.argv[1])
wheel.extractall(sys.argv[2], [name for name in wheel.namelist() if name.endswith(".py")])
PYTHON
done
