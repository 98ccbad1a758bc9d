#!/usr/bin/env bash
# The whole proof on the GPUs of one host: profiles each model, maps each workload on one half of its requests, replays
# the other half under every mapping, and packs the small results. Programs must be on the PATH (or in build/release/bin).
#
#   slurm/one-host.sh --ranks 4                        one rank a GPU
#   slurm/one-host.sh --shares 100,94,88,78            ranks share one GPU in turns, each with that share of it
#   slurm/one-host.sh --ranks 4 --slowdown 1.0,1.08    devices made uneven on purpose (emulated)
#   slurm/one-host.sh --ranks 2 --device host ...      a trial on CPU cores, experts shrunk
#
# Options: --output DIR (results/one-host), --workloads REGEX (all), --steps N (24), --rounds N (3), --layers N (3, spread
# over the model), --full (exchange too, not only the experts' compute), --dry-run.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=jobs/dependencies.sh
. "$root/jobs/dependencies.sh"
export PATH="$PATH:$root/build/release/bin"

ranks=0 shares='' slowdown='' device=cuda output=results/one-host pattern=. steps=24 rounds=3 layers=3 full=0 dry_run=0
while [ $# -gt 0 ]; do
  case $1 in
    --ranks) ranks=$2; shift ;;
    --shares) shares=$2; shift ;;
    --slowdown) slowdown=$2; shift ;;
    --device) device=$2; shift ;;
    --output) output=$2; shift ;;
    --workloads) pattern=$2; shift ;;
    --steps) steps=$2; shift ;;
    --rounds) rounds=$2; shift ;;
    --layers) layers=$2; shift ;;
    --full) full=1 ;;
    --dry-run) dry_run=1 ;;
    *) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
  shift
done
if [ -n "$shares" ]; then
  commas=${shares//[^,]/}
  ranks=$((${#commas} + 1))
  launch=("$root/slurm/share_gpu.sh" "$shares")
  share=(--share-gpu turns)
else
  [ "$ranks" -gt 0 ] || { echo "one-host.sh: say --ranks N or --shares LIST; --help shows both" >&2; exit 2; }
  launch=("${MPIRUN[@]}" -n "$ranks")
  share=()
fi
shape=()
[ "$device" = host ] && shape=(--dtype f32 --expert-shape 128x128)
[ -n "$slowdown" ] && shape+=(--slowdown "$slowdown")

# name model task phase tokens-a-step tile most-rows-a-device: tiles by the kernels' rule for the mean tokens an expert.
workloads() {
  local task tokens
  for task in mmlu gpqa; do
    echo "$task-256 gpt-oss-20b $task decode 256 32 800"
    echo "$task-4096 gpt-oss-20b $task prefill 4096 128 10000"
    echo "$task-16384 gpt-oss-20b $task prefill 16384 128 40000"
  done
  for task in intent summary; do
    echo "$task-512 deepseek-v2-lite $task prefill 512 64 1800"
    for tokens in 2048 8192; do
      echo "$task-$tokens deepseek-v2-lite $task prefill $tokens 128 $((tokens * 7 / 2))"
    done
  done
  echo "bursty-4096 mixtral-8x7b synthetic prefill 4096 128 6000"
}

run() {
  if [ "$dry_run" = 1 ]; then echo "$*"; else "$@"; fi
}

# The first, the last and evenly between, of the trace's decoder layers.
layers_of() {
  case $1 in
    gpt-oss-20b) seq -s, 0 $((23 / (layers - 1))) 23 ;;
    deepseek-v2-lite) seq -s, 1 $((25 / (layers - 1))) 26 ;;
    *) seq -s, 0 $((31 / (layers - 1))) 31 ;;
  esac
}

make_trace() {  # make_trace PART FILE
  if [ "$task" = synthetic ]; then
    local seed=1
    [ "$1" = test ] && seed=2
    run gem-trace synthesize --quiet --model "$model" --tokens "$tokens" --steps 128 --seed $seed --output "$2"
  elif [ "$phase" = decode ]; then
    run gem-trace batch --quiet --routing "$root/jobs/data/routing/$model.$task.h5" --batch-size "$tokens" --steps 128 \
      --part "$1" --output "$2"
  else
    run gem-trace batch --quiet --routing "$root/jobs/data/routing/$model.$task.h5" --phase prefill \
      --chunk-tokens "$tokens" --steps 64 --part "$1" --output "$2"
  fi
}

mkdir -p "$output"
begin=$SECONDS
while read -r name model task phase tokens tile rows; do
  folder=$output/$name
  mkdir -p "$folder"
  profile=$output/$model.tile$tile.$rows.profile.h5
  if [ ! -e "$profile" ]; then
    run "${launch[@]}" gem-profile --quiet --model "$model" --device "$device" "${shape[@]}" "${share[@]}" \
      --tile-tokens "$tile" --max-tokens "$rows" --max-samples 40 --output "$profile" < /dev/null
  fi
  make_trace train "$folder/train.h5" > /dev/null
  make_trace test "$folder/test.h5" > /dev/null
  mappings=()
  for method in round-robin eplb speed-aware paper gem; do
    effort=fast
    [ $method = gem ] && effort=default
    run "${MPIRUN[@]}" -n "$(nproc)" gem-map --quiet --profile "$profile" --trace "$folder/train.h5" \
      --test-trace "$folder/test.h5" --method $method --effort $effort --output "$folder/$method.h5" \
      > "$folder/$method.txt" < /dev/null
    mappings+=(--mapping "$folder/$method.h5")
  done
  [ "$full" = 1 ] && compute=() || compute=(--compute-only)
  echo "== $name (at $((SECONDS - begin)) s)"
  # A negative verdict is a result, not a failure of the script.
  run "${launch[@]}" gem-verify --quiet --profile "$profile" --trace "$folder/test.h5" "${mappings[@]}" "${share[@]}" \
    "${compute[@]}" --layers "$(layers_of "$model")" --steps "$steps" --rounds "$rounds" \
    --output "$folder/report.h5" < /dev/null 2> "$folder/errors.txt" | tee "$folder/report.txt" || [ -s "$folder/report.txt" ]
done < <(workloads | grep -E "^($pattern)" || true)
[ "$dry_run" = 1 ] || tar -C "$output" -czf "$output.tar.gz" .
echo "Done in $((SECONDS - begin)) s: $output.tar.gz"
