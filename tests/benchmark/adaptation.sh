#!/usr/bin/env bash
# The runs of adaptation.md: gem-adapt on 8 simulated devices, with drift of
# tasks, of speeds, of both, and none.
#
#   tests/benchmark/adaptation.sh [--output results/adaptation] [--seconds N]
#       [--dry-run]
#
# What is finished isn't done again. --seconds N: begin nothing after N seconds;
# exit code 75 says that more is to do, and the same command goes on. Programs:
# on the PATH or in build/release/bin.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export PATH="$PATH:$root/build/release/bin"
output=results/adaptation seconds=0 dry_run=0
while [ $# -gt 0 ]; do
  case $1 in
    --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --dry-run) dry_run=1; shift; continue ;;
    --output | --seconds)
      [ $# -ge 2 ] || { echo "adaptation.sh: $1 needs a value; see adaptation.sh --help" >&2; exit 2; } ;;
    *) echo "adaptation.sh: unknown option $1; see adaptation.sh --help" >&2; exit 2 ;;
  esac
  case $1 in
    --output) output=$2 ;;
    --seconds) seconds=$2 ;;
  esac
  shift 2
done
# shellcheck source=tests/benchmark/steps.sh
. "$root/tests/benchmark/steps.sh"

slow() { # slow NAME LINES: a file of slowdowns
  [ "$dry_run" = 1 ] || [ -e "$output/$1.csv" ] || printf 'step,device,slowdown\n%b' "$2" > "$output/$1.csv"
}

adapt() { # adapt NAME OPTION...
  local base=$output/$1
  shift
  make "$base.h5" "$base.txt" gem-adapt --quiet --profile "$output/profile.h5" --move-time 5e-4 --engine-window 200 \
    --engine-interval 600 --trace "$output/mmlu.h5" --output "$base.h5" "$@"
}

run() {
  local task gpqa=(--trace "$output/gpqa.h5")
  [ "$dry_run" = 1 ] || mkdir -p "$output"
  for task in mmlu gpqa; do
    make "$output/$task.h5" "$output/$task.txt" gem-trace batch --quiet --batch-size 256 \
      --routing "$root/jobs/data/routing/gpt-oss-20b.$task.h5" --output "$output/$task.h5" || return
  done
  make "$output/profile.h5" "$output/profile.txt" gem-profile --quiet --model gpt-oss-20b --device simulated \
    --devices 8 --slowdown "$root/jobs/data/variability/longhorn-v100-sgemm.csv" --max-samples 20 \
    --output "$output/profile.h5" || return
  slow one '600,1,1.28\n1600,1,1\n'
  slow two '600,1,1.28\n1100,1,1\n1400,3,1.28\n2000,3,1\n'
  adapt tasks "${gpqa[@]}" --steps 2400 || return
  adapt alternating "${gpqa[@]}" --task-order alternating --period 500 --steps 3000 --horizon 500 || return
  adapt mixed "${gpqa[@]}" --task-order mixed --steps 2400 || return
  adapt speed --steps 2600 --slowdown-changes "$output/one.csv" || return
  adapt speeds --steps 2600 --slowdown-changes "$output/two.csv" || return
  adapt both "${gpqa[@]}" --steps 2600 --slowdown-changes "$output/one.csv" || return
  adapt none --steps 2000 || return
}

code=0
run || code=$?
[ "$dry_run" = 0 ] || exit 0
for name in tasks alternating mixed speed speeds both none; do
  [ ! -e "$output/$name.h5" ] || { echo "== $name"; sed -n '/^policy/,$p' "$output/$name.txt"; }
done
exit "$code"
