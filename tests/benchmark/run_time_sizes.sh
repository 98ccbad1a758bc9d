#!/usr/bin/env bash
# From how many tokens a step, at which spread, which wins: gem, gem with
# copies, balancers that copy experts in every step (quotas equal and by speed),
# or both. Computed for two simulated devices with the links of two H200, gpt-
# oss-20b's real routing, searched on requests of the train part and scored on
# others.
#
#   tests/benchmark/run_time_sizes.sh BIN_DIRECTORY [TOKENS...] > rows.md
#
# Variables: SPREADS (default "1.00 1.08 1.28") and STEPS (16). Rows in the file
# DONE, if that is set, stay and aren't made again.
set -euo pipefail
[ "${1:-}" != --help ] || { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0; }
bin=$(cd "$1" && pwd) && shift
data=$(cd "$(dirname "$0")/../../jobs/data" && pwd)
export PATH="$bin:$PATH" OMPI_MCA_ess=isolated
done_rows=${DONE:+$(realpath "$DONE")}
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work"

held_out() { # held_out FILE METHOD [COLUMN]: what it takes of linear's time, held out; 3: in milliseconds a step
  awk -v method="$2" -v column="${3:-2}" '$1 == method { print $(NF - column); found = 1; exit }
    END { if (!found) print "-" }' "$1"
}

echo "| tokens | spread | linear ms | eplb | gem | copies even | copies lp | online equal | online by speed | gem + online equal | gem + online by speed |"
echo "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
for tokens in "${@:-64 256 1024 4096 16384}"; do for t in $tokens; do
  phase=decode size=--batch-size tile=16
  [ "$t" -le 512 ] || { phase=prefill size=--chunk-tokens tile=128; }
  for spread in ${SPREADS:-1.00 1.08 1.28}; do
    if [ -n "$done_rows" ] && grep -F "| $t | $spread |" "$done_rows"; then continue; fi
    for part in train test; do
      [ -e "$part-$t.h5" ] || gem-trace batch --quiet --routing "$data/routing/gpt-oss-20b.mmlu.h5" --phase $phase $size "$t" \
        --part $part --steps "${STEPS:-16}" --output "$part-$t.h5" > batch.txt
    done
    gem-profile --quiet --model gpt-oss-20b --device simulated --devices 2 --slowdown "1,$spread" --tile-tokens $tile \
      --domain-size 2 --inside-bandwidth 240 --across-bandwidth 240 --inside-latency 10 --redundant-experts 4 --for-trace "train-$t.h5,test-$t.h5" \
      --output profile.h5 > profile.txt
    map() { gem-map --quiet --profile profile.h5 --trace "train-$t.h5" --test-trace "test-$t.h5" --effort fast \
      --cross-validate 0 --output mapping.h5 "$@"; }
    map --online-exact > equal.txt
    map --online-exact --quota speed > speed.txt
    map --redundant-experts 2 --split lp > copies.txt
    cp ./*.txt "${KEEP:-.}" 2> /dev/null || true
    echo "| $t | $spread | $(held_out equal.txt linear 3) | $(held_out equal.txt eplb) | $(held_out equal.txt gem) | \
$(held_out copies.txt gem) | $(held_out copies.txt gem+lp) | $(held_out equal.txt online-exact) | $(held_out speed.txt online-exact) | \
$(held_out equal.txt gem+online) | $(held_out speed.txt gem+online) |"
  done
done; done
