#!/usr/bin/env bash
# Makes several unequal GPUs out of one: starts NVIDIA's Multi-Process Service
# with folders of its own and runs one rank for each share, each with that
# percentage of the GPU's multiprocessors. Stops its service at the end, nobody
# else's.
#
#   slurm/share_gpu.sh 100,94,88,78 gem-profile --share-gpu turns ...
#
# Give the programs --share-gpu turns: ranks that compute at once share one
# memory system and disturb each other; one after the other they behave as real
# unequal GPUs do. NCCL takes each rank for a host of its own (sockets on
# loopback).
set -euo pipefail
case ${1:-} in --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
[ $# -ge 2 ] || { echo "share_gpu.sh: give the shares and a command; see share_gpu.sh --help" >&2; exit 2; }
export GEM_SHARES=$1
shift
commas=${GEM_SHARES//[^,]/}
ranks=$((${#commas} + 1))
if ! command -v nvidia-cuda-mps-control > /dev/null; then
  echo "share_gpu.sh: nvidia-cuda-mps-control is not on the PATH; it comes with the NVIDIA driver" >&2
  exit 4
fi

folder=$(mktemp -d)
mkdir "$folder/pipe" "$folder/log"
export CUDA_MPS_PIPE_DIRECTORY=$folder/pipe CUDA_MPS_LOG_DIRECTORY=$folder/log
stop() {
  echo quit | timeout 20 nvidia-cuda-mps-control > /dev/null 2>&1 || true
  rm -rf "$folder"
}
trap stop EXIT
nvidia-cuda-mps-control -d

# shellcheck source=jobs/dependencies.sh
. "$(dirname "$0")/../jobs/dependencies.sh"
# shellcheck disable=SC2016  # expanded by each rank
"${MPIRUN[@]}" -n "$ranks" bash -c '
  IFS=, read -ra shares <<< "$GEM_SHARES"
  export CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=${shares[$OMPI_COMM_WORLD_RANK]}
  export NCCL_HOSTID=gem-$OMPI_COMM_WORLD_RANK NCCL_NET=Socket NCCL_SOCKET_IFNAME=lo
  exec "$@"' share_gpu "$@"
