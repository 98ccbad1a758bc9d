#!/usr/bin/env bash
# Predicted time of every method on requests that were never searched on, relative to linear placement, on simulated
# devices with a spread of 1.277 (slowest to fastest) and on equal ones; bundled real routing; a Markdown table.
# Which requests share a step is simulated by batching; the devices are simulated; the routing was measured.
#   jobs/held_out_gains.sh [SEED]      programs on the PATH or in build/release/bin
set -euo pipefail
case ${1:-} in
  --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *[!0-9]*) echo "held_out_gains.sh: $1 is no seed, a whole number; see held_out_gains.sh --help" >&2; exit 2 ;;
esac
cd "$(dirname "$0")/.."
export PATH="$PATH:$PWD/build/release/bin:$PWD/build/quickstart/bin"
seed=${1:-1}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# evenly COUNT: slowdowns from 1 to 1.277 in equal steps.
evenly() { seq -s, 0 $(($1 - 1)) | awk -v RS=, -v n="$1" '{printf "%s%.4f", (NR > 1 ? "," : ""), 1 + 0.277 * $1 / (n - 1)}'; }

echo "| routing | devices | spread | linear | round-robin | eplb | speed-aware | gem | bound |"
echo "|---|---|---|---|---|---|---|---|---|"
row() {  # row LABEL ROUTING OPTIONS-OF-BATCH DEVICES
  local label=$1 routing=$2 options=$3 devices=$4 model=${2%%.*} part slowdown
  for part in train test; do
    # shellcheck disable=SC2086  # options are words
    gem-trace batch --quiet --routing "jobs/data/routing/$routing.h5" $options --steps 128 --part $part \
      --seed "$seed" --output "$folder/$part.h5" > /dev/null
  done
  for slowdown in "$(evenly "$devices")" 1.0; do
    gem-profile --quiet --model "$model" --device simulated --devices "$devices" --slowdown "$slowdown" \
      --seed "$seed" --output "$folder/profile.h5" > /dev/null
    gem-map --quiet --profile "$folder/profile.h5" --trace "$folder/train.h5" --test-trace "$folder/test.h5" \
      --seed "$seed" --output "$folder/mapping.h5" > "$folder/map.txt"
    # Sixth column: held-out, relative to linear; the bound's row has one column less.
    awk -v name="$label" -v devices="$devices" -v spread="$([ "$slowdown" = 1.0 ] && echo equal || echo 1.277)" '
      $1 ~ /^(linear|round-robin|eplb|speed-aware|gem)$/ && NF >= 7 {held[$1] = $6}
      $1 == "(bound)" {held["bound"] = $NF}
      END {printf "| %s | %s | %s | %s | %s | %s | %s | **%s** | %s |\n", name, devices, spread, held["linear"],
           held["round-robin"], held["eplb"], held["speed-aware"], held["gem"], held["bound"]}' "$folder/map.txt"
  done
}
for task in intent summary; do
  row "DeepSeek-V2-Lite $task, 512-token chunks" deepseek-v2-lite.$task "--chunk-tokens 512" 4
done
for task in mmlu gpqa; do
  for devices in 4 8; do row "gpt-oss-20b $task, batch 256" gpt-oss-20b.$task "--batch-size 256" $devices; done
done
