#!/usr/bin/env bash
# Predicted time of every method on requests that were never searched on,
# relative to linear placement, on simulated devices with a spread of 1.277
# (slowest to fastest) and on equal ones; bundled real routing; a Markdown
# table. Which requests share a step is simulated by batching; the devices are
# simulated; the routing was measured.
#   jobs/held_out_gains.sh [SEED]
#       programs on the PATH or in build/release/bin;
#       jobs/held_out_gains.toml says what
set -euo pipefail
case ${1:-} in
  --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *[!0-9]*) echo "held_out_gains.sh: $1 is no seed, a whole number; see held_out_gains.sh --help" >&2; exit 2 ;;
esac
cd "$(dirname "$0")/.."
export PATH="$PATH:$PWD/build/release/bin:$PWD/build/quickstart/bin"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
gem-batch jobs/held_out_gains.toml --quiet --output "$folder" --set "seed = ${1:-1}"

echo "| routing | devices | spread | linear | round-robin | eplb | speed-aware | gem | bound |"
echo "|---|---|---|---|---|---|---|---|---|"
awk -F, 'NR > 1 {
    vs_linear[$3] = $5
    if ($3 != "gem") next # the last method of a pair
    split($1, part, /[\/-][48]-/); sub("/", " ", part[1])
    devices = substr($1, length(part[1]) + 2, 1)
    steps = part[1] ~ /^DeepSeek/ ? "512-token chunks" : "batch 256"
    printf "| %s, %s | %s | %s | %.3f | %.3f | %.3f | %.3f | **%.3f** | %.3f |\n", part[1], steps, devices,
      part[2] == "equal" ? "equal" : "1.277", vs_linear["linear"], vs_linear["round-robin"], vs_linear["eplb"],
      vs_linear["speed-aware"], $5, $5 / (1 + $6) }' "$folder/summary.csv"
