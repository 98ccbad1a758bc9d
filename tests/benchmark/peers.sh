#!/usr/bin/env bash
# Fetches the placement policies of vLLM, SGLang and vllm-ascend by pip into
# FOLDER (60 MB; their wheels, 400 MB, are removed again), and what they need
# into an environment there, and measures GEM beside them (peers.md).
#
#   tests/benchmark/peers.sh BIN_DIRECTORY FOLDER [OPTIONS OF peers.py]
#
# tests/benchmark/peers.py --help has these.
set -euo pipefail
case ${1:-} in --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
[ $# -ge 2 ] || { echo "peers.sh: give the folder of the programs and one for the engines; see peers.sh --help" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd) bin=$1 folder=$2
shift 2
[ -d "$folder/vllm" ] || "$here/../policy/fetch_engines.sh" "$folder"
if [ ! -d "$folder/vllm_ascend" ]; then
  wheels=$(mktemp -d "$folder/wheels.XXXXXX")
  trap 'rm -rf "$wheels"' EXIT
  python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$wheels" vllm-ascend==0.23.0
  python3 -m zipfile -e "$wheels"/*.whl "$wheels/all"
  mv "$wheels/all/vllm_ascend" "$folder/vllm_ascend"
fi
python=${GEM_PEERS_PYTHON:-$folder/python/bin/python}
if [ ! -x "$python" ]; then
  python3 -m venv "$folder/python"
  "$python" -m pip install --quiet torch numba scipy h5py
fi
exec "$python" "$here/peers.py" --programs "$bin" --engines "$folder" "$@"
