#!/usr/bin/env bash
# A placement that follows, on GPUs that compute and send each other weights:
# gem-adapt on one rank a GPU, tasks change and one device gets 1.28 times as
# slow (emulated), weights moved between steps and beside them. Ends with their
# verdicts.
#
#   tests/benchmark/adapt_gpus.sh [--output results/adapt_gpus] [--ranks 2]
#       [--seconds N] [--layers 6] [--steps 448]
#       [--dry-run]
#
# What is finished isn't done again. --seconds N: begin nothing after N seconds;
# exit code 75 says that more is to do, and the same command goes on. Programs:
# on the PATH or in build/release/bin. On other devices, for a trial or where
# ranks share a GPU: GEM_TRIAL="--device host --dtype f32", GEM_TRIAL="--device
# cuda --share-gpu turns".
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export PATH="$PATH:$root/build/release/bin"
output=results/adapt_gpus seconds=0 ranks=2 layers=6 steps=448 dry_run=0
while [ $# -gt 0 ]; do
  case $1 in
    --help) sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --dry-run) dry_run=1; shift; continue ;;
    --output | --seconds | --ranks | --layers | --steps)
      [ $# -ge 2 ] || { echo "adapt_gpus.sh: $1 needs a value; see adapt_gpus.sh --help" >&2; exit 2; } ;;
    *) echo "adapt_gpus.sh: unknown option $1; see adapt_gpus.sh --help" >&2; exit 2 ;;
  esac
  case $1 in
    --output) output=$2 ;;
    --seconds) seconds=$2 ;;
    --ranks) ranks=$2 ;;
    --layers) layers=$2 ;;
    --steps) steps=$2 ;;
  esac
  shift 2
done

read -r -a mpirun <<< "${MPIRUN:-mpirun --allow-run-as-root --oversubscribe --bind-to none}"
read -r -a trial <<< "${GEM_TRIAL:---device cuda}"
# shellcheck source=tests/benchmark/steps.sh
. "$root/tests/benchmark/steps.sh"

# The dtype is the profile's; a GPU that is shared has no NCCL.
device=() shared=()
for ((i = 0; i < ${#trial[@]}; i += 2)); do
  [ "${trial[i]}" = --dtype ] || device+=("${trial[i]}" "${trial[i + 1]}")
  [ "${trial[i]}" != --share-gpu ] || shared=(--transport mpi)
done
exchange=(--exchange)
[ "${#shared[@]}" = 0 ] || exchange=()

adapt() { # adapt NAME OPTION...
  local base=$output/$1
  shift
  make "$base.h5" "$base.txt" "${mpirun[@]}" -n "$ranks" gem-adapt --quiet "${device[@]}" "${shared[@]}" \
    --profile "$output/profile.h5" --trace "$output/mmlu.h5" --layer-count "$layers" --horizon 300 \
    --engine-window 100 --engine-interval 120 --output "$base.h5" "$@"
}

run() {
  local task tasks=(--trace "$output/gpqa.h5" --steps "$steps")
  [ "$dry_run" = 1 ] || mkdir -p "$output"
  for task in mmlu gpqa; do
    make "$output/$task.h5" "$output/$task.txt" gem-trace batch --quiet --batch-size 256 \
      --routing "$root/jobs/data/routing/gpt-oss-20b.$task.h5" --output "$output/$task.h5" || return
  done
  make "$output/profile.h5" "$output/profile.txt" "${mpirun[@]}" -n "$ranks" gem-profile --quiet "${trial[@]}" \
    "${exchange[@]}" --model gpt-oss-20b --for-trace "$output/mmlu.h5,$output/gpqa.h5" --max-samples 20 \
    --pace busy --output "$output/profile.h5" || return # as gem-adapt keeps its GPUs
  [ -e "$output/slow.csv" ] || [ "$dry_run" = 1 ] ||
    printf 'step,device,slowdown\n%d,1,1.28\n%d,1,1\n' $((steps * 5 / 8)) $((steps * 7 / 8)) > "$output/slow.csv"
  adapt pause "${tasks[@]}" --slowdown-changes "$output/slow.csv" || return
  adapt during "${tasks[@]}" --slowdown-changes "$output/slow.csv" --move during --moves-per-step 4 || return
  adapt still --steps $((steps > 416 ? steps / 2 : 208)) || return
}

code=0
run || code=$?
[ "$dry_run" = 0 ] || exit 0
for name in pause during still; do
  [ ! -e "$output/$name.h5" ] || { echo "== $name"; cat "$output/$name.txt"; }
done
exit "$code"
