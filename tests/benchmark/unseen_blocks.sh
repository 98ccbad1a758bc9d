#!/usr/bin/env bash
# gem where few requests are known: searched on one file of routing, scored on
# another of the same model and task, and the other way round, on simulated
# devices that are equal and that differ as a measured cluster's do.
#
#   tests/benchmark/unseen_blocks.sh BIN_DIRECTORY MODEL A.h5 B.h5 [DEVICES...]
#       > rows.md
#
# Variables: CHUNK (default 128) tokens a step of prefill; EFFORT (default
# fast). LEANING=1 also maps with --cross-validate 3, which searches four times;
# its interval is what that expects of the file that is searched on.
set -euo pipefail
[ "${1:-}" != --help ] || { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0; }
bin=$(cd "$1" && pwd) model=$2 a=$(realpath "$3") b=$(realpath "$4") && shift 4
data=$(cd "$(dirname "$0")/../../jobs/data" && pwd)
export PATH="$bin:$PATH" OMPI_MCA_ess=isolated
work=$(mktemp -d) && touch "$work/leaning.txt" && trap 'rm -rf "$work"' EXIT && cd "$work"

of_linear() { # of_linear FILE METHOD: held out, of linear's time
  awk -v method="$2" '$1 == method && NF >= 7 { print $(NF - 2); exit }' "$1"
}

gem-trace batch --quiet --routing "$a" --phase prefill --chunk-tokens "${CHUNK:-128}" --output a.h5 > a.txt
gem-trace batch --quiet --routing "$b" --phase prefill --chunk-tokens "${CHUNK:-128}" --output b.h5 > b.txt
echo "| devices | speeds | searched on | gem in sample | eplb | speed-aware | paper | gem | gem, leaning | expected |"
echo "|---:|---|---|---:|---:|---:|---:|---:|---:|---|"
for devices in "${@:-4 8 16}"; do for n in $devices; do
  for speeds in equal cluster; do
    slowdown=1,1 && [ $speeds = equal ] || slowdown=$data/variability/longhorn-v100-sgemm.csv
    gem-profile --quiet --model "$model" --device simulated --devices "$n" --slowdown "$slowdown" --for-trace a.h5,b.h5 \
      --output profile.h5 > profile.txt
    for pair in "a b" "b a"; do
      read -r train test <<< "$pair"
      map() { gem-map --quiet --profile profile.h5 --trace "$train.h5" --effort "${EFFORT:-fast}" --output mapping.h5 "$@"; }
      map --test-trace "$test.h5" > plain.txt
      [ -z "${LEANING:-}" ] || map --test-trace "$test.h5" --cross-validate 3 > leaning.txt
      cp plain.txt leaning.txt "${KEEP:-.}" 2> /dev/null || true
      echo "| $n | $speeds | $train | $(awk '$1 == "gem" { print $3; exit }' plain.txt) | $(of_linear plain.txt eplb) | \
$(of_linear plain.txt speed-aware) | $(of_linear plain.txt paper) | $(of_linear plain.txt gem) | $(of_linear leaning.txt gem) | \
$(sed -n 's/^gem .* \([0-9.]* - [0-9.]*\).*/\1/p' leaning.txt | head -n 1) |"
    done
  done
done; done
