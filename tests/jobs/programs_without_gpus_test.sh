#!/usr/bin/env bash
# Programs that use no GPU need no library of GPUs to start, and none needs cuBLAS, which takes long to load.
#   programs_without_gpus_test.sh FOLDER_OF_PROGRAMS
set -euo pipefail
refuse() { # refuse PROGRAM LIBRARIES
  local needed
  needed=$(ldd "$1" | grep -E "$2" || true)
  [ -z "$needed" ] || { echo "FAILED: $1 needs $needed" >&2; exit 1; }
}
for program in map trace deploy; do refuse "$1/gem-$program" 'libnccl|libcublas|libcudnn|libcudart'; done
for program in profile verify adapt batch; do refuse "$1/gem-$program" 'libcublas|libcudnn'; done
