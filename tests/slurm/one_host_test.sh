#!/usr/bin/env bash
# slurm/one-host.sh on two host ranks: a whole run, stopped by its limit and taken up again, the table of its results,
# and the shares that it would choose.
#   one_host_test.sh FOLDER_OF_PROGRAMS
set -euo pipefail
# shellcheck source=tests/slurm/script_trial.sh
. "$(dirname "$0")/script_trial.sh"

trial() {
  "$root/slurm/one-host.sh" --ranks 2 --device host --spreads 1.00,1.28 --workloads mmlu-256 --steps 2 --rounds 1 \
    --output "$folder/trial" "$@" > "$folder/log" 2> "$folder/errors" || return $?
}
expect_refused "$root/slurm/one-host.sh" --frob --ranks '--ranks x' '--share-gpu x' '--layers 0'
trial --dry-run || fail "the dry run failed"
[ ! -e "$folder/trial" ] || fail "a dry run wrote something"
grep -q -- "--set slowdown=.*1.,1.28" "$folder/log" || fail "the dry run doesn't show the slowdowns"
trial --dry-run --layers 5 --full
grep -q -- '--set layer_count=5 .*--set compute_only=false ' "$folder/log" || fail "the dry run doesn't show options"

code=0
trial --seconds 1 || code=$?
[ $code -eq 75 ] || { cat "$folder/errors" >&2; fail "exit code $code where more is to do, not 75"; }
pair=pairs/gpt-oss-20b/mmlu-256
[ ! -e "$folder/trial/spread-1.28" ] || fail "the limit of time had no effect"
trial --stop-after mappings || { cat "$folder/errors" >&2; fail "going on to mappings failed"; }
[ -e "$folder/trial/spread-1.28/$pair/gem.h5" ] || fail "there is no mapping"
[ ! -e "$folder/trial/spread-1.00/$pair/report.h5" ] || fail "--stop-after had no effect"
trial || { cat "$folder/errors" >&2; fail "going on failed"; }
before=$(stat -c %Y.%i "$folder/trial/spread-1.00/$pair/report.h5")
trial || { cat "$folder/errors" >&2; fail "a finished run failed"; }
[ "$before" = "$(stat -c %Y.%i "$folder/trial/spread-1.00/$pair/report.h5")" ] || fail "a finished report was made again"
[ "$(grep -c '^VERDICT' "$folder/log")" -eq 2 ] || fail "no two verdicts"
for method in linear round-robin eplb speed-aware paper gem; do
  grep -q "^$method " "$folder/trial/spread-1.28/$pair/verify.txt" || fail "no row of $method"
done

# A launch that fails has no result, whatever its code.
mkdir "$folder/broken"
# shellcheck disable=SC2016 # for the script itself
printf '#!/bin/sh\n[ "$2" != --resume ] || exit 1\nexec "%s" "$@"\n' "$(command -v gem-batch)" > "$folder/broken/gem-batch"
chmod +x "$folder/broken/gem-batch"
code=0
PATH="$folder/broken:$PATH" trial || code=$?
[ $code -eq 4 ] || fail "exit code $code where nothing could be started, not 4"
tar -tzf "$folder/trial.tar.gz" "./spread-1.28/$pair/report.h5" > /dev/null || fail "the report was not packed"

if gem-analysis replays "$folder/trial" > "$folder/table" 2> "$folder/errors"; then
  [ "$(grep -c '| gpt-oss-20b mmlu |' "$folder/table")" -eq 12 ] || fail "the table has not 2 x 6 rows"
  grep -q '^spread-1.28 (host emulated x1.00, x1.28.*below eplb' "$folder/table" || fail "no line on spread 1.28"
else
  grep -q 'install python3-' "$folder/errors" || { cat "$folder/errors" >&2; fail "gem-analysis replays failed"; }
fi

# The search for shares, with a stand-in for MPS: all shares are as fast, but each gets its speed.
printf '#!/bin/sh\nexit 0\n' > "$folder/nvidia-cuda-mps-control"
chmod +x "$folder/nvidia-cuda-mps-control"
PATH="$folder:$PATH" "$root/slurm/one-host.sh" --share-gpu 2 --device host --spreads 1.00 --workloads none \
  --output "$folder/search" > "$folder/log" 2> "$folder/errors" || { cat "$folder/errors" >&2; fail "no shares found"; }
[ "$(grep -Ec '^(100|92|84|76|68) [01]\.[0-9]{3}$' "$folder/search/speed-of-shares.txt")" -eq 5 ] ||
  fail "a share has no speed"
grep -q 'shares 100,100,' "$folder/log" || fail "spread 1.00 needs whole shares, whatever the noise"

# Shares by the line through the measured speeds: 1.28 = 1 / 0.78125 lies between shares of 76 and 68 %.
printf '%s\n' '100 1.000' '92 0.943' '84 0.88' '76 0.82' '68 0.75' > "$folder/trial/speed-of-shares.txt"
"$root/slurm/one-host.sh" --share-gpu 2 --spreads 1.00,1.28,1.6 --dry-run --output "$folder/trial" > "$folder/log"
grep -q 'shares 100,100,' "$folder/log" || fail "spread 1.00 needs whole shares"
grep -q 'shares 100,72,' "$folder/log" || fail "spread 1.28 needs a share of 72 %"
grep -Eq 'shares 100,(4[0-9]|5[0-9]),' "$folder/log" || fail "spread 1.6 lies beyond the measured shares"
