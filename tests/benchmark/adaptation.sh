#!/usr/bin/env bash
# The runs of adaptation.md: gem-adapt on 8 simulated devices, with drift of
# tasks, of speeds, of both, and none. Ends with the page's table.
#
#   tests/benchmark/adaptation.sh [--held-out] [--output results/adaptation]
#       [--seconds N] [--dry-run]
#
# --held-out: the same kinds of drift on other requests, batches, devices,
# periods and seeds, two to seven runs of each. What is finished isn't done
# again. --seconds N: begin nothing after N seconds; exit code 75 says that more
# is to do, and the same command goes on. Programs: on the PATH or in
# build/release/bin.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export PATH="$PATH:$root/build/release/bin"
output=results/adaptation seconds=0 dry_run=0 held_out=0
while [ $# -gt 0 ]; do
  case $1 in
    --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --dry-run) dry_run=1; shift; continue ;;
    --held-out) held_out=1; shift; continue ;;
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

batches() { # batches TRACE TASK OPTION...: steps of a task, in TRACE.h5
  local base=$output/$1 task=$2
  shift 2
  make "$base.h5" "$base.txt" gem-trace batch --quiet --batch-size 256 \
    --routing "$root/jobs/data/routing/gpt-oss-20b.$task.h5" --output "$base.h5" "$@"
}

devices() { # devices CLUSTER: 8 of the spread of a real cluster, in CLUSTER.profile.h5
  local base=$output/$1.profile
  make "$base.h5" "$base.txt" gem-profile --quiet --model gpt-oss-20b --device simulated --devices 8 \
    --slowdown "$root/jobs/data/variability/$1.csv" --max-samples 20 --output "$base.h5"
}

names=()
adapt() { # adapt NAME CLUSTER TRACE[,TRACE] OPTION...
  local base=$output/$1 profile=$output/$2.profile.h5 traces=() trace
  for trace in ${3//,/ }; do traces+=(--trace "$output/$trace.h5"); done
  names+=("$1")
  shift 3
  make "$base.h5" "$base.txt" gem-adapt --quiet --json --profile "$profile" --move-time 5e-4 --engine-window 200 \
    --engine-interval 600 "${traces[@]}" --output "$base.h5" "$@"
}

run() {
  local tasks=mmlu,gpqa cluster=longhorn-v100-sgemm
  [ "$dry_run" = 1 ] || mkdir -p "$output"
  batches mmlu mmlu || return
  batches gpqa gpqa || return
  devices $cluster || return
  slow one '600,1,1.28\n1600,1,1\n'
  slow two '600,1,1.28\n1100,1,1\n1400,3,1.28\n2000,3,1\n'
  adapt tasks $cluster $tasks --steps 2400 || return
  adapt alternating $cluster $tasks --task-order alternating --period 500 --steps 3000 --horizon 500 || return
  adapt mixed $cluster $tasks --task-order mixed --steps 2400 || return
  adapt speed $cluster mmlu --steps 2600 --slowdown-changes "$output/one.csv" || return
  adapt speeds $cluster mmlu --steps 2600 --slowdown-changes "$output/two.csv" || return
  adapt both $cluster $tasks --steps 2600 --slowdown-changes "$output/one.csv" || return
  adapt none $cluster mmlu --steps 2000 || return
}

# Requests of the train and the test part are others; which of them share a step depends on the seed.
run_held_out() {
  local task part cluster a=longhorn-v100-resnet50 b=frontera-rtx5000-resnet50 c=longhorn-v100-pagerank
  [ "$dry_run" = 1 ] || mkdir -p "$output"
  for task in mmlu gpqa; do
    for part in train test; do batches $task.$part $task --part $part --seed 5 || return; done
    batches $task.all $task --seed 6 || return
  done
  for cluster in "$a" "$b" "$c"; do devices "$cluster" || return; done
  slow late '700,4,1.28\n1700,4,1\n'
  slow long '300,2,1.22\n1500,2,1\n'
  slow turns '500,0,1.28\n1000,0,1\n1300,7,1.28\n1900,7,1\n'
  slow others '350,3,1.35\n950,3,1\n1100,6,1.2\n1800,6,1\n'
  adapt tasks-1 $a gpqa.train,mmlu.train --steps 2400 --seed 11 || return
  adapt tasks-2 $b mmlu.test,gpqa.test --steps 2000 --seed 12 || return
  adapt alternating-1 $b mmlu.train,gpqa.train --task-order alternating --period 600 --steps 3000 --horizon 600 \
    --seed 11 || return
  adapt alternating-2 $c gpqa.all,mmlu.all --task-order alternating --period 350 --steps 2450 --horizon 350 \
    --seed 12 || return
  adapt mixed-1 $a mmlu.train,gpqa.train --task-order mixed --steps 2400 --seed 11 || return
  adapt mixed-2 $c gpqa.all,mmlu.all --task-order mixed --steps 2400 --seed 12 || return
  adapt mixed-3 $b mmlu.test,gpqa.test --task-order mixed --steps 3000 --seed 13 || return
  adapt speed-1 $a mmlu.train --steps 2600 --slowdown-changes "$output/late.csv" --seed 11 || return
  adapt speed-2 $b gpqa.all --steps 2400 --slowdown-changes "$output/long.csv" --seed 12 || return
  adapt speeds-1 $b mmlu.train --steps 2600 --slowdown-changes "$output/turns.csv" --seed 11 || return
  adapt speeds-2 $a gpqa.train --steps 2400 --slowdown-changes "$output/others.csv" --seed 12 || return
  adapt speeds-3 $c mmlu.all --steps 2600 --slowdown-changes "$output/turns.csv" --seed 13 || return
  adapt both-1 $c gpqa.train,mmlu.train --steps 2600 --slowdown-changes "$output/late.csv" --seed 11 || return
  adapt both-2 $b mmlu.all,gpqa.all --steps 2400 --slowdown-changes "$output/long.csv" --seed 12 || return
  adapt none-1 $a mmlu.train --steps 2000 --seed 11 || return
  adapt none-2 $c gpqa.all --steps 2000 --seed 12 || return
  run_fresh || return
}

# Made once the policy was done, and reported whatever they said.
run_fresh() {
  local task cluster d=longhorn-v100-sgemm e=longhorn-v100-pagerank
  for task in mmlu gpqa; do batches $task.fresh $task --seed 41 || return; done
  for cluster in "$d" "$e"; do devices "$cluster" || return; done
  slow fresh-1 '450,5,1.25\n1150,5,1\n1500,1,1.3\n2000,1,1\n'
  slow fresh-2 '600,6,1.3\n900,6,1\n1000,2,1.2\n2100,2,1\n'
  adapt speeds-4 $d gpqa.fresh --steps 2500 --slowdown-changes "$output/fresh-1.csv" --seed 41 || return
  adapt speeds-5 $e mmlu.fresh --steps 2500 --slowdown-changes "$output/fresh-2.csv" --seed 42 || return
  adapt mixed-4 $e gpqa.fresh,mmlu.fresh --task-order mixed --steps 2400 --seed 41 || return
  adapt mixed-5 $d mmlu.fresh,gpqa.fresh --task-order mixed --steps 2400 --seed 42 || return
  run_last || return
}

# The same, once the policy that this page is of was done.
run_last() {
  local task a=longhorn-v100-resnet50 b=frontera-rtx5000-resnet50
  for task in mmlu gpqa; do batches $task.last $task --seed 51 || return; done
  slow last-1 '400,1,1.22\n1000,1,1\n1200,6,1.28\n1800,6,1\n'
  slow last-2 '700,4,1.3\n1300,4,1\n1700,0,1.2\n2200,0,1\n'
  adapt speeds-6 $b mmlu.last --steps 2400 --slowdown-changes "$output/last-1.csv" --seed 51 || return
  adapt speeds-7 $a gpqa.last --steps 2700 --slowdown-changes "$output/last-2.csv" --seed 52 || return
  adapt mixed-6 $a gpqa.last,mmlu.last --task-order mixed --steps 2800 --seed 51 || return
  adapt mixed-7 $b mmlu.last,gpqa.last --task-order mixed --steps 2200 --seed 52 || return
  adapt alternating-3 $a gpqa.last,mmlu.last --task-order alternating --period 450 --steps 2700 --horizon 450 \
    --seed 51 || return
}

code=0
if [ "$held_out" = 1 ]; then run_held_out || code=$?; else run || code=$?; fi
[ "$dry_run" = 0 ] || exit 0
python3 "$root/tests/benchmark/adaptation_table.py" "$output" "${names[@]}"
exit "$code"
