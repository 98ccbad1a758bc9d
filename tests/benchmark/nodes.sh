#!/usr/bin/env bash
# Makes the tables of nodes.md: placements of DeepSeek-V3's and Kimi-K2's
# experts on nodes of 8 simulated devices, what balancers that move experts at
# run time would take, and how the search's time and memory grow with the
# devices.
#
#   tests/benchmark/nodes.sh BIN_DIRECTORY [NODES...] > rows.md
#
# Variables: LAYERS and STEPS say how many layers and steps (half searched on,
# half scored; default 4 and 64), MODELS and TOKENS (a device) which rows,
# EFFORT how long gem searches, MIXED how many mixed steps it adds (0; default:
# as gem-map does by itself), DEVICES the sizes of the second table (none: no
# second table). Rows in the file DONE, if that is set, stay and aren't made
# again.
set -euo pipefail
[ "${1:-}" != --help ] || { sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 0; }
bin=$(cd "$1" && pwd) && shift
data=$(cd "$(dirname "$0")/../../jobs/data" && pwd)
export PATH="$bin:$PATH" OMPI_MCA_ess=isolated
layers=${LAYERS:-4} steps=${STEPS:-64} mixed=(--mixed-steps "${MIXED:-0}")
[ "${MIXED:-0}" != default ] || mixed=()
# NVLink and InfiniBand of the H800 nodes of arXiv 2412.19437, section 3.2.2, a device.
links=(--inside-bandwidth 160 --across-bandwidth 50)
done_rows=${DONE:+$(realpath "$DONE")}
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work"

held_out() { # held_out FILE METHOD: the column "of linear" of what is held out
  awk -v method="$2" '$1 == method { print $5; found = 1; exit } END { if (!found) print "-" }' "$1"
}

echo "| model | nodes | tokens a device | linear ms | eplb | eplb-hier. | speed-aware | gem | gem 2 levels | copies even | copies speed | copies lp | online equal | online by speed | gem + online | copied | gem s | MiB |"
echo "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
for nodes in "${@:-4 8 16}"; do for n in $nodes; do
  for model in ${MODELS:-DeepSeek-V3 Kimi-K2}; do
    experts=384 && [ "$model" = DeepSeek-V3 ] && experts=256
    groups=() # of which each is on a node or more; on more nodes EPLB goes over all devices
    if [ "$model" = DeepSeek-V3 ] && [ $((8 % n)) = 0 ]; then groups=(--routing-groups 8); fi
    devices=$((n * 8))
    for tokens in ${TOKENS:-8 32 128 2048}; do
      if [ -n "$done_rows" ] && grep -F "| $model | $n | $tokens |" "$done_rows"; then continue; fi
      phase=decode && [ "$tokens" -gt 512 ] && phase=prefill
      gem-trace synthesize --quiet --experts $experts --top-k 8 --layers "$layers" --steps "$steps" --tokens $((tokens * devices)) \
        --phase $phase --seed 1 --output trace.h5 > /dev/null
      gem-profile --quiet --model "$model" --device simulated --devices $devices --dtype fp8 --tile-tokens 64 --nodes "$n" \
        "${links[@]}" --slowdown "$data/variability/longhorn-v100-sgemm.csv" --for-trace trace.h5 \
        --redundant-experts $devices --output profile.h5 > /dev/null 2>&1
      map() { gem-map --quiet --profile profile.h5 --trace trace.h5 --train-steps $((steps / 2)) --allow-model-mismatch --across-nodes node \
        "${mixed[@]}" --effort "${EFFORT:-default}" --output mapping.h5 "$@"; }
      /usr/bin/time -f "%e %M" -o usage.txt gem-map --quiet --profile profile.h5 --trace trace.h5 \
        --train-steps $((steps / 2)) --allow-model-mismatch --across-nodes node "${mixed[@]}" \
        --effort "${EFFORT:-default}" --output mapping.h5 "${groups[@]}" > joint.txt
      map "${groups[@]}" --levels 2 > levels.txt
      map "${groups[@]}" --method eplb --online-exact > equal.txt
      map "${groups[@]}" --online-exact --quota speed > speed.txt
      EFFORT=fast map --redundant-experts $devices --split speed > copies.txt
      EFFORT=fast map --redundant-experts $devices --split lp > lp.txt
      copied=$(tr '\n' ' ' < equal.txt | sed -n 's/.*online-exact sends [^,]*, there after \([0-9.]* [a-z]*\),.*/\1/p')
      read -r seconds kib < usage.txt
      echo "| $model | $n | $tokens | $(awk '$1 == "linear" { print $4; exit }' joint.txt) | $(held_out joint.txt eplb) | \
$(held_out joint.txt eplb-hierarchical) | $(held_out joint.txt speed-aware) | $(held_out joint.txt gem) | \
$(held_out levels.txt gem) | $(held_out copies.txt gem) | $(held_out copies.txt gem+speed) | $(held_out lp.txt gem+lp) | \
$(held_out equal.txt online-exact) | $(held_out speed.txt online-exact) | $(held_out speed.txt gem+online) | $copied | \
$seconds | $((kib / 1024)) |"
    done
  done
done; done

[ "${DEVICES:-}" != none ] || exit 0
echo
echo "| devices | experts | joint, s | MiB | 2 levels, s | MiB |"
echo "|---:|---:|---:|---:|---:|---:|"
for devices in ${DEVICES:-64 128 256 512 1024}; do
  gem-trace synthesize --quiet --experts $((2 * devices)) --layers 1 --top-k 8 --tokens $((32 * devices)) --steps 32 \
    --seed 1 --output trace.h5 > /dev/null
  gem-profile --quiet --model DeepSeek-V3 --device simulated --devices "$devices" --experts-per-device 2 --dtype fp8 \
    --tile-tokens 64 --domain-size 8 "${links[@]}" --slowdown "$data/variability/longhorn-v100-sgemm.csv" \
    --max-tokens 8192 --output profile.h5 > /dev/null
  row="| $devices | $((2 * devices)) |"
  for levels in 1 2; do
    /usr/bin/time -f "%e %M" -o usage.txt gem-map --quiet --profile profile.h5 --trace trace.h5 --allow-model-mismatch \
      --across-nodes node --effort fast --mixed-steps 0 --levels $levels --output mapping.h5 > growth.txt
    read -r seconds kib < usage.txt
    row+=" $seconds | $((kib / 1024)) |"
  done
  echo "$row"
done
