#!/usr/bin/env bash
# Tries the latency surface on loads that it has not seen: profiles each case on
# one device, measures random skewed loads and loads of real traces outside the
# plan, and prints the table of surface.md. Programs must be on the PATH (or in
# build/release/bin). A case that is finished in the folder isn't measured
# again.
#
#   tests/benchmark/surface.sh [--device cuda] [--output results/surface]
#       [--cases REGEX] [--loads 150] [--seconds N]
#
# --seconds N: begin no case after N seconds; exit code 75 says that more are to
# do, and the same command goes on.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export PATH="$PATH:$root/build/release/bin"
device=cuda output=results/surface pattern=. loads=150 seconds=0
while [ $# -gt 0 ]; do
  case $1 in
    --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --device | --output | --cases | --loads | --seconds)
      [ $# -ge 2 ] || { echo "surface.sh: $1 needs a value; see surface.sh --help" >&2; exit 2; } ;;
    *) echo "surface.sh: unknown option $1; see surface.sh --help" >&2; exit 2 ;;
  esac
  case $1 in
    --device) device=$2 ;;
    --output) output=$2 ;;
    --cases) pattern=$2 ;;
    --loads) loads=$2 ;;
    --seconds) seconds=$2 ;;
  esac
  shift 2
done

# model, experts of a device, rows a tile, most rows, and the trace: task and how it is batched. The tile is what the
# kernels' rule takes for such loads; 2, 4 and 8 devices share the experts.
cases() {
  local experts
  for experts in 16 8 4; do
    echo "gpt-oss-20b $experts 16 256 -"
    echo "gpt-oss-20b $experts 32 1024 mmlu --batch-size 256"
    echo "gpt-oss-20b $experts 128 16384 mmlu --phase prefill --chunk-tokens 4096"
  done
  for experts in 32 16 8; do
    echo "deepseek-v2-lite $experts 16 256 -"
    echo "deepseek-v2-lite $experts 64 2048 intent --phase prefill --chunk-tokens 512"
    echo "deepseek-v2-lite $experts 128 12288 intent --phase prefill --chunk-tokens 2048"
  done
  for experts in 64 32 16; do
    echo "Qwen3-30B-A3B $experts 16 512 -"
    echo "Qwen3-30B-A3B $experts 64 4096 -"
  done
  for experts in 4 2 1; do
    echo "Mixtral-8x7B $experts 32 256 -"
    echo "Mixtral-8x7B $experts 128 8192 -"
  done
}

# The lines "random" and the task's of the table of a log, as rows of a Markdown table.
rows() { # rows LOG SECONDS
  local from label
  for from in random "$task"; do
    [ "$from" != - ] || continue
    label="| $model, $experts | $tile | $from |"
    awk -v from="$from" -v label="$label" -v time="$2" '
      $1 != from && $2 != from { next }
      /tiles and active experts/ { surface = $(NF - 2) ", " $(NF - 1) }
      /the same as if even/ { plain = $(NF - 2) ", " $(NF - 1) }
      $(NF - 4) == "tokens" { tokens = $(NF - 2) ", " $(NF - 1) }
      END { print label, surface, "|", (plain ? plain : "same"), "|", tokens, "|", time, "|" }' "$1"
  done
}

mkdir -p "$output"
begin=$SECONDS
while read -r model experts tile most_rows task batching; do
  name=$model.$experts.tile$tile
  [ -e "$output/$name.rows" ] && continue
  if [ "$seconds" -gt 0 ] && [ $((SECONDS - begin)) -ge "$seconds" ]; then
    echo "More is to do: the same command goes on" >&2
    exit 75
  fi
  trace=()
  if [ "$task" != - ]; then
    # shellcheck disable=SC2086  # several options
    gem-trace batch --quiet $batching --steps 64 --routing "$root/jobs/data/routing/$model.$task.h5" \
      --output "$output/$name.trace.h5" > /dev/null
    trace=(--trace "$output/$name.trace.h5")
  fi
  start=$(date +%s)
  gem-profile --quiet --device "$device" --model "$model" --experts-per-device "$experts" --tile-tokens "$tile" \
    --max-tokens "$most_rows" --pace busy --validate "$loads" "${trace[@]}" --validation-output "$output/$name.csv" \
    --output "$output/$name.h5" > "$output/$name.txt" < /dev/null
  rows "$output/$name.txt" $(($(date +%s) - start)) > "$output/$name.rows.partial"
  mv "$output/$name.rows.partial" "$output/$name.rows"
  cat "$output/$name.rows" >&2
done < <(cases | grep -E "^($pattern)" || true)

echo "| experts | tile | loads | surface: median, p90 % | as if even | tokens alone | time s |"
echo "|---|---|---|---|---|---|---|"
cat "$output"/*.rows
