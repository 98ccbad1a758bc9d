#!/usr/bin/env bash
# library_needs_test.sh LIBRARY: what an engine's process loads brings no MPI and no HDF5 along, starts no threads, and shows
# its C functions alone.
set -euo pipefail
command -v readelf > /dev/null && command -v nm > /dev/null || { echo "skipped: no binutils"; exit 77; }
needed=$(readelf -d "$1" | grep NEEDED)
if grep -Ei 'mpi|hdf5|boost|cuda|nccl|libz' <<< "$needed"; then
  echo "$1 needs more than it should"
  exit 1
fi
others=$(nm -D --defined-only "$1" | awk '{print $3}' | grep -v '^gem_policy_' || true)
if [ -n "$others" ]; then
  echo "$1 shows more than gem_policy.h: $others"
  exit 1
fi
threads=$(nm -D --undefined-only "$1" | grep -E 'pthread_create|thrd_create|_M_start_thread|GOMP_|__kmpc_' || true)
if [ -n "$threads" ]; then
  echo "$1 may start threads: $threads"
  exit 1
fi
