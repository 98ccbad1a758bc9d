#!/usr/bin/env bash
# The whole way for one model and task as a chain of jobs: profile -> map -> verify, each after the one before ended well.
#
#   slurm/pipeline.sh --model NAME --routing FILE --output DIR [--batch-size N] [--steps N] [--dry-run] [-- OPTIONS]
#
# The devices are those of slurm/site.env. What stands behind -- goes to gem-profile, e.g. --device host --dtype f32.
set -euo pipefail
GEM_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export GEM_ROOT
model='' routing='' output='' batch_size=0 steps=128 dry_run=false
while [ $# -gt 0 ]; do
  case $1 in
    --model) model=${2:?}; shift ;;
    --routing) routing=${2:?}; shift ;;
    --output) output=${2:?}; shift ;;
    --batch-size) batch_size=${2:?}; shift ;;
    --steps) steps=${2:?}; shift ;;
    --dry-run) dry_run=true ;;
    --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --) shift; break ;;
    *) echo "pipeline.sh: unknown option $1; see pipeline.sh --help" >&2; exit 2 ;;
  esac
  shift
done
if [ -z "$model" ] || [ -z "$routing" ] || [ -z "$output" ]; then
  echo "pipeline.sh: --model, --routing and --output are needed; see pipeline.sh --help" >&2
  exit 2
fi
# shellcheck source=slurm/common.sh
. "$GEM_ROOT/slurm/common.sh"
# shellcheck source=slurm/submit.sh
. "$GEM_ROOT/slurm/submit.sh"
output=$(realpath -m "$output")
$dry_run || mkdir -p "$output"

# Traces take a moment and one process: made here.
for part in train test; do
  command=("${GEM_CONTAINER[@]}" gem-trace batch --quiet --routing "$routing" --batch-size "$batch_size"
    --steps "$steps" --part "$part" --output "$output/$part.h5")
  if $dry_run; then echo "${command[*]}"; else "${command[@]}"; fi
done
logs=(--chdir="$output")
submit "${logs[@]}" --time="$GEM_TIME_PROFILE" "${GEM_DEVICES[@]}" "$GEM_ROOT/slurm/profile.sbatch" \
  --model "$model" --output "$output/profile.h5" "$@"
submit "${logs[@]}" --time="$GEM_TIME_MAP" "${GEM_DEVICES[@]}" --dependency="afterok:$JOB" "$GEM_ROOT/slurm/map.sbatch" \
  --profile "$output/profile.h5" --trace "$output/train.h5" --test-trace "$output/test.h5" --output "$output/gem.h5"
submit "${logs[@]}" --time="$GEM_TIME_VERIFY" "${GEM_DEVICES[@]}" --dependency="afterok:$JOB" \
  "$GEM_ROOT/slurm/verify.sbatch" --profile "$output/profile.h5" --trace "$output/test.h5" --mapping "$output/gem.h5" \
  --output "$output/report.h5"
